package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.MatchingConfig.Features;
import dev.limbeck.distillation.MatchingConfig.Inputs;
import dev.limbeck.distillation.MatchingConfig.Metric;
import dev.limbeck.distillation.MatchingConfig.Rhythm;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The loop behind {@link DiffInstruct}, {@link Dmd} and {@link Dmd2}: a generator whose noised
 * outputs are moved from where a critic, trained on those outputs, believes them to be to where the
 * teacher believes them to be.
 *
 * <p>For x = G(z) and x_σ = x + σ n, with critic D_f and teacher D_r, a generator's step moves x by
 *
 * <pre>−w(σ) (D_f(x_σ) − D_r(x_σ)) / normaliser</pre>
 *
 * <p>which is, without normaliser, σ² times the gradient of the divergence KL(p_G ∗ N(0, σ²) ‖ p ∗
 * N(0, σ²)) where the critic is exact; other weights than σ² are {@link
 * MatchingConfig.SigmaWeight}'s. Optional terms: a classifier that tells noised real from noised
 * generated samples, and regression on the teacher's own results for the same noise.
 *
 * <p>With {@link Inputs#SOURCE} the generator is given samples of another domain in place of noise,
 * and with a {@link MatchingConfig.Transport} keeps what it makes of them near to them: regularised
 * distribution matching distillation, unpaired translation in one step, {@link #translate}.
 *
 * <p>The generator's loss reaches the generator only, through the frozen classifier; the critic's
 * loss reaches critic and classifier. With several levels the critic sees the results of all levels
 * together, as in DMD2: it is their mixture that is matched, where one level may make good what
 * another lacks, and levels that start from fresh weights may divide the modes among them. A critic
 * that is told the level ({@link MatchingConfig.Critic#knowsLevel}) matches each by itself; the
 * classifier is not told.
 */
public final class DistributionMatching implements InputDriven {
  /** The stream of the generator's level. */
  private static final String NODE = "node";

  private final String name;
  private final MatchingConfig config;
  private final NetworkDenoiser generator;
  private final NetworkDenoiser result;
  private final NetworkDenoiser critic;
  private final MatchingGradient gradient;
  private final Discriminator discriminator;
  private final TeacherPairs pairs;
  private final AdamW generatorOptimizer;
  private final List<Optimizer> criticOptimizers = new ArrayList<>();
  private final Ema ema;
  private final int classes;
  private NoisyInputs source = NoisyInputs.FORWARD;

  /** Whether the inputs of later levels are the generator's own. */
  private boolean simulated;

  /** The generator's samples of this iteration, left by its objective or made for the critic. */
  private Generated generated;

  /**
   * Samples of the generator without history, the classes they were asked to show, and the number
   * of the level they come from, if the critic is told it.
   */
  private record Generated(Tensor images, Tensor labels, Tensor origin) {}

  /**
   * What a generator is given: noise of a level, or a sample of the source, and classes; and what
   * its critic is told.
   */
  record GeneratorInput(Tensor noisy, Tensor level, Tensor labels, Tensor origin) {}

  /**
   * Prepares training of a generator and a critic that start as the teacher.
   *
   * @param name the method's
   * @param batch samples in a step
   * @throws IllegalArgumentException if the teacher is not what a setting needs
   */
  public DistributionMatching(String name, MatchingConfig config, Teacher teacher, int batch) {
    this.name = name;
    this.config = config;
    this.classes = teacher.classes();
    this.simulated = config.inputs() == Inputs.SIMULATED;
    this.generator = teacher.student();
    this.critic = freshCritic(teacher);
    this.gradient = new MatchingGradient(config, teacher.denoiser(), critic);
    check(teacher);
    MatchingConfig.Training training = config.training();
    this.generatorOptimizer = adam(generator.network().params(), training.generatorRate());
    criticOptimizers.add(adam(critic.network().params(), training.criticRate()));
    this.discriminator = discriminator(teacher);
    if (discriminator != null) {
      criticOptimizers.add(adam(discriminator.params(), training.criticRate()));
    }
    this.pairs =
        config.regression().isOn()
            ? new TeacherPairs(config.regression(), teacher, gradient.teacher(), device())
            : null;
    if (training.emaHalfLife() > 0) {
      Ema.Kind kind = Ema.Kind.halfLife(training.emaHalfLife(), training.emaRampUp());
      this.ema = new Ema(generator.network().params(), kind, batch);
      this.result = teacher.student();
    } else {
      this.ema = null;
      this.result = generator;
    }
  }

  private void check(Teacher given) {
    boolean fresh = given.initial() == null;
    if (fresh && config.adversarial().isOn() && config.adversarial().features() == Features.TEACHER
        || fresh && config.regression().isOn() && config.regression().metric() == Metric.FEATURES) {
      throw new IllegalArgumentException(
          name
              + ": the teacher's features are asked for, and it is no network; a classifier on the"
              + " critic's features and the metric L2 fit every teacher");
    }
    if (config.training().dropout() > 0 && !(gradient.teacher() instanceof NetworkDenoiser)) {
      throw new IllegalArgumentException(
          name
              + ": dropout is to be the same in teacher and critic, and this teacher takes none; a"
              + " network without guidance does, and a dropout of 0 fits every teacher");
    }
  }

  /** A network that starts as the teacher, with what inputs a critic has. */
  NetworkDenoiser freshCritic(Teacher given) {
    return given.student(config.critic().knowsLevel() && config.levels().length > 1);
  }

  private Discriminator discriminator(Teacher given) {
    MatchingConfig.Adversarial a = config.adversarial();
    if (!a.isOn()) {
      return null;
    }
    NetworkDenoiser seen = a.features() == Features.CRITIC ? critic : given.student();
    return new Discriminator(seen, given.sample());
  }

  private AdamW adam(Params params, double rate) {
    MatchingConfig.Training t = config.training();
    AdamW.Config basic = AdamW.Config.of((float) rate).withBetas((float) t.beta1(), 0.999f);
    return new AdamW(params, basic.withWeightDecay((float) t.weightDecay()));
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public long steps() {
    return config.iterations();
  }

  private Device device() {
    return generator.network().params().device();
  }

  MatchingConfig config() {
    return config;
  }

  /** The inputs of the generator's later levels come from there, not from its own results. */
  @Override
  public void drawFrom(NoisyInputs inputs) {
    if (config.inputs() == Inputs.SOURCE) {
      throw new IllegalArgumentException(
          name
              + ": a generator with the inputs SOURCE is given clean samples, and takes no noisy"
              + " inputs from elsewhere; SIMULATED and NOISED_DATA do");
    }
    source = inputs;
    simulated = false;
  }

  /** The generator's levels, and 0, where nobody steps from. */
  @Override
  public double[] grid(long step) {
    return NoiseLevels.toZero(config.levels());
  }

  @Override
  public Chain chain() {
    return new Chain(Transition.RENOISING, config.levels(), null, new Believed());
  }

  private final class Believed implements Estimates {
    @Override
    public Denoiser student(double[] guidance) {
      return generator;
    }

    @Override
    public Denoiser teacher(long step, double[] guidance) {
      return gradient.teacher();
    }
  }

  @Override
  public List<Objective> objectives() {
    return config.critic().rhythm() == Rhythm.FRESH
        ? List.of(new CriticStep(), new GeneratorStep())
        : List.of(new GeneratorStep(), new CriticStep());
  }

  @Override
  public void keepIn(Path folder) {
    if (pairs != null) {
      pairs.keepIn(folder.resolve("pairs-" + name + ".safetensors"));
    }
  }

  @Override
  public void begin(long step) {
    generated = null;
    if (pairs != null) {
      pairs.make();
    }
  }

  /** The level that the generator is trained at: as many evaluations come before. */
  @Override
  public int kind(long step, Rng random) {
    int[] drawn = new int[1];
    random.split(NODE.hashCode()).integers(drawn, config.levels().length);
    return drawn[0];
  }

  // ---- generator ----

  private GeneratorInput generatorInput(StepInput in, String use) {
    double[] levels = config.levels();
    int last = in.integers(NODE, levels.length)[0];
    if (config.inputs() == Inputs.SOURCE) {
      Tensor given = in.images();
      Tensor level = Samplers.level(given, levels[last]);
      return new GeneratorInput(given, level, classes > 0 ? in.labels() : null, origin(in, last));
    }
    if (last > 0 && !simulated) {
      int[] node = new int[in.size()];
      Arrays.fill(node, last);
      NoisyInputs.Noisy given = source.at(in, grid(in.step()), node, null);
      Tensor level = Samplers.level(given.x(), levels[last]);
      return new GeneratorInput(given.x(), level, given.labels(), origin(in, last));
    }
    Tensor labels = null;
    if (classes > 0) {
      int[] drawn = in.integers("labels" + use, classes);
      labels = Tensor.constant(in.device(), Shape.of(drawn.length), drawn);
    }
    Tensor state = in.noise("generator" + use).mul((float) levels[0]);
    for (int j = 0; j < last; j++) {
      Tensor clean = generator.denoise(state, Samplers.level(state, levels[j]), labels);
      Tensor fresh = in.noise("generator" + use + (j + 1));
      state = MatchingGradient.addNoise(clean, Samplers.level(state, levels[j + 1]), fresh);
    }
    Tensor level = Samplers.level(state, levels[last]);
    return new GeneratorInput(state, level, labels, origin(in, last));
  }

  /** The number of a level for each sample, or null where no critic is told. */
  private Tensor origin(StepInput in, int level) {
    if (!critic.network().takesGuidance()) {
      return null;
    }
    double[] numbers = new double[in.size()];
    Arrays.fill(numbers, level);
    return in.perSample(numbers);
  }

  /** What both have in common. */
  private abstract class Step implements Objective {
    @Override
    public double clipNorm() {
      return config.training().clipNorm();
    }

    @Override
    public double learningRateScale(long step) {
      return config.training().scale(step, config.iterations());
    }
  }

  /** Distribution matching, and fooling the classifier, and doing as the teacher does. */
  private final class GeneratorStep extends Step {
    @Override
    public String name() {
      return "generator";
    }

    @Override
    public List<Optimizer> optimizers() {
      return List.of(generatorOptimizer);
    }

    @Override
    public boolean due(long step) {
      return step % config.critic().steps() == 0;
    }

    @Override
    public Ema average() {
      return ema;
    }

    @Override
    public Var loss(Tape tape, StepInput in) {
      GeneratorInput input = generatorInput(in, "");
      Dropout dropout = gradient.dropout(in, "generatorDropout");
      Var x = generator.denoise(tape.input(input.noisy), input.level, input.labels, null, dropout);
      if (config.critic().rhythm() != Rhythm.FRESH) {
        generated = new Generated(tape.keep(x).value(), input.labels, input.origin);
        if (input.labels != null) {
          tape.keep(input.labels);
        }
        if (input.origin != null) {
          tape.keep(input.origin);
        }
      }
      Var loss = gradient.loss(in, x, input);
      if (discriminator != null) {
        Var logits = discriminate(in, x, input.labels, "fool").logits;
        float weight = (float) config.adversarial().generatorWeight();
        loss = loss.add(logits.neg().softplus().mean().mul(weight));
      }
      return pairs == null ? loss : loss.add(pairs.loss(tape, in, generator, config.levels()[0]));
    }
  }

  // ---- critic and classifier ----

  private Generated generatedSamples(StepInput in) {
    if (generated == null) {
      String use = config.critic().rhythm() == Rhythm.FRESH ? "Critic" : "";
      GeneratorInput input = generatorInput(in, use);
      Tensor images = generator.denoise(input.noisy, input.level, input.labels);
      generated = new Generated(images, input.labels, input.origin);
    }
    return generated;
  }

  /** Logits, and the noised samples and levels that they are of. */
  private record Told(Var logits, Var noisy, Tensor level) {}

  /** The classifier's logits on samples noised at random levels. */
  private Told discriminate(StepInput in, Var images, Tensor labels, String stream) {
    Tensor level = in.perSample(config.adversarial().noise().draw(in, stream));
    Var noise = Var.constant(in.noise(stream));
    Var noisy = RowOps.combine(Samplers.level(images.value(), 1), images, level, noise);
    return new Told(discriminator.logits(noisy, level, labels), noisy, level);
  }

  /** Denoising of the generator's samples, and telling them from real ones. */
  private final class CriticStep extends Step {
    @Override
    public String name() {
      return "critic";
    }

    @Override
    public List<Optimizer> optimizers() {
      return criticOptimizers;
    }

    @Override
    public boolean due(long step) {
      MatchingConfig.Critic c = config.critic();
      return c.rhythm() != Rhythm.EITHER || step % c.steps() != 0;
    }

    @Override
    public Var loss(Tape tape, StepInput in) {
      Generated fake = generatedSamples(in);
      Var loss = denoisingLoss(tape, in);
      if (discriminator == null) {
        return loss;
      }
      MatchingConfig.Adversarial a = config.adversarial();
      Var onFake = discriminate(in, tape.input(fake.images), fake.labels, "tellFake").logits;
      Told real = discriminate(in, tape.input(in.images()), in.labels(), "tellReal");
      Var told = onFake.softplus().mean().add(real.logits.neg().softplus().mean());
      loss = loss.add(told.mul((float) a.classifierWeight()));
      if (a.penalty() == 0) {
        return loss;
      }
      Tensor moved = in.noise("penalty").mul((float) a.penaltyNoise());
      Var steepness =
          discriminator.steepness(real.logits, real.noisy, moved, real.level, in.labels());
      return loss.add(steepness.mul((float) a.penalty()));
    }
  }

  /** E λ(σ) ‖D_f(x + σ n, σ) − x‖² on the generator's samples: what makes the critic theirs. */
  Var denoisingLoss(Tape tape, StepInput in) {
    Generated fake = generatedSamples(in);
    double[] sigma = config.critic().noise().draw(in, "critic");
    double[] weight = new double[sigma.length];
    for (int i = 0; i < sigma.length; i++) {
      weight[i] = config.critic().weighted() ? critic.preconditioning().lossWeight(sigma[i]) : 1;
    }
    Tensor level = in.perSample(sigma);
    Tensor noisy = MatchingGradient.addNoise(fake.images, level, in.noise("critic"));
    Dropout dropout = gradient.dropout(in, "criticDropout");
    Var answer = critic.denoise(tape.input(noisy), level, fake.labels, fake.origin, dropout);
    return RowOps.meanSquaredError(answer, fake.images, in.perSample(weight));
  }

  // ---- result ----

  NetworkDenoiser critic() {
    return critic;
  }

  /** The generator as it is trained, without the average. */
  NetworkDenoiser generator() {
    return generator;
  }

  @Override
  public Map<String, Params> networks() {
    Map<String, Params> all = new LinkedHashMap<>();
    all.put("generator", generator.network().params());
    all.put("critic", critic.network().params());
    if (discriminator != null) {
      all.put("discriminator", discriminator.params());
    }
    return all;
  }

  @Override
  public NetworkDenoiser student() {
    if (ema != null) {
      ema.copyTo(result.network().params());
    }
    return result;
  }

  /**
   * What the result makes of samples of the source.
   *
   * @shape source and the result: [N,…]; labels: [N] or null
   * @throws IllegalStateException if it was not given any in training: without {@link
   *     Inputs#SOURCE}
   */
  public Tensor translate(Tensor source, Tensor labels) {
    if (config.inputs() != Inputs.SOURCE) {
      throw new IllegalStateException(
          name
              + ": a generator with the inputs SOURCE translates, one with "
              + config.inputs()
              + " does not");
    }
    return student().denoise(source, Samplers.level(source, config.levels()[0]), labels);
  }

  /** One that translates is to be given samples of the source over its level in place of noise. */
  @Override
  public Sampler sampler() {
    return Samplers.of(Samplers.Method.RENOISING, config.levels());
  }

  /** The chain of all levels may be broken off after any of them. */
  @Override
  public Optional<Sampler> sampler(int steps) {
    return steps < 1 || steps > config.levels().length
        ? Optional.empty()
        : Optional.of(
            Samplers.of(Samplers.Method.RENOISING, Arrays.copyOf(config.levels(), steps)));
  }
}
