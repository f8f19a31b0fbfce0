package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.op.MatchingTarget;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Improved distribution matching distillation: a generator whose noised outputs are moved from
 * where a critic, trained on those outputs, believes them to be to where the teacher believes them
 * to be.
 *
 * <p>For x = G(z) and x_σ = x + σ n, with critic D_f and teacher D_r,
 *
 * <pre>∂L/∂x ∝ (D_f(x_σ) − D_r(x_σ)) / mean|x − D_r(x_σ)|</pre>
 *
 * <p>which is, up to the normaliser, the gradient of the reverse Kullback-Leibler divergence. The
 * critic takes several steps for each of the generator's (two time scales); an optional classifier
 * on the critic's bottleneck tells noised real from noised generated images (GAN); with several
 * levels the generator is trained on its own intermediate results (backward simulation). The critic
 * sees the results of all levels together: it is their mixture that is matched, and levels that
 * start from fresh weights may divide the modes among them; started as the teacher, each has them
 * all.
 *
 * <p>The generator's loss reaches the generator only, through the frozen classifier; the critic's
 * loss reaches critic and classifier.
 *
 * @paper Yin et al. 2024, arXiv 2405.14867, sections 4.1 to 4.5
 */
public final class Dmd2 implements Distiller {
  /** Offered as {@code dmd2}. */
  public static final Method METHOD =
      new Method(
          "dmd2",
          "distribution matching with a critic, and a classifier where it is switched on",
          (preset, teacher) ->
              new Dmd2(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher, preset.batch()));

  /** The stream of the generator's level. */
  private static final String NODE = "node";

  /** Levels of {@link Config#paperNoise}, as released with the paper. */
  private static final int TABLE = 1000;

  /**
   * The method's settings.
   *
   * @param iterations training iterations; the generator steps in every {@code criticSteps}-th
   * @param levels the generator's noise levels, one for a one-step generator
   * @param noise descending levels, each as likely as the other, at which generated images are
   *     noised for matching (the outer 2 % left out), for the critic and for the classifier
   * @param criticSteps critic steps for each generator step (paper: 5)
   * @param generatorWeight weight g_w of the adversarial term in the generator's loss (paper,
   *     ImageNet-64: 3e-3); 0 leaves the GAN out
   * @param classifierWeight weight d_w of the classifier in the critic's loss (paper: 1e-2)
   * @param backwardSimulation whether generator inputs of later levels come from its own samples;
   *     otherwise from noised real images
   * @param normalised whether the matching gradient is divided by mean|x − D_r|
   * @param emaHalfLife half-life of the generator's moving average in images; 0 for none (paper)
   * @param warmUp iterations over which both learning rates rise
   */
  public record Config(
      long iterations,
      double[] levels,
      double[] noise,
      int criticSteps,
      double generatorRate,
      double criticRate,
      double generatorWeight,
      double classifierWeight,
      boolean backwardSimulation,
      boolean normalised,
      double emaHalfLife,
      long warmUp,
      double clipNorm) {
    /** The paper's settings for a one-step generator on ImageNet-64, GAN from the start. */
    public static Config paper() {
      return new Config(
          200_000 * 5L,
          new double[] {80},
          paperNoise(),
          5,
          2e-6,
          2e-6,
          3e-3,
          1e-2,
          true,
          true,
          0,
          500,
          10);
    }

    /** A thousand of Karras et al.'s levels, as released with the paper. */
    public static double[] paperNoise() {
      return NoiseLevels.karras(TABLE);
    }

    /** Levels of a generator with n steps: n of Karras et al.'s levels, the smallest left out. */
    public static double[] levels(int n) {
      return Arrays.copyOf(NoiseLevels.karras(n + 1), n);
    }

    /** One step, without the adversarial term unless there is time for it. */
    public static Config of(Preset preset) {
      boolean patient = preset.patient();
      double[] noise = NoiseLevels.shiftedCosine(TABLE, preset.shift(), NoiseLevels.SIGMA_MAX);
      return new Config(
          preset.studentSteps(patient ? 5000 : 1800),
          new double[] {NoiseLevels.SIGMA_MAX},
          Arrays.copyOf(noise, TABLE),
          3,
          3e-4,
          6e-4,
          0,
          0,
          true,
          true,
          patient ? 5000 : 2000,
          20,
          10);
    }

    public Config {
      if (levels.length == 0 || noise.length == 0 || criticSteps < 1) {
        throw new IllegalArgumentException(
            "dmd2 needs at least one noise level and one critic step, not "
                + levels.length
                + " and "
                + criticSteps);
      }
    }
  }

  private final Config config;
  private final Denoiser teacher;
  private final NetworkDenoiser generator;
  private final NetworkDenoiser result;
  private final NetworkDenoiser critic;
  private final Discriminator discriminator;
  private final AdamW generatorOptimizer;
  private final List<Optimizer> criticOptimizers = new ArrayList<>();
  private final Ema ema;
  private final int classes;

  /** The generator's images of this iteration, left by its objective or made for the critic. */
  private Generated generated;

  /** Images of the generator without history, and the classes they were asked to show. */
  private record Generated(Tensor images, Tensor labels) {}

  /** What a generator is given: noise of a level, and classes. */
  private record GeneratorInput(Tensor noisy, Tensor level, Tensor labels) {}

  /**
   * Prepares training of a generator that starts as the teacher.
   *
   * @param batch samples in a step
   */
  public Dmd2(Config config, Teacher teacher, int batch) {
    this.config = config;
    this.teacher = teacher.denoiser();
    this.classes = teacher.classes();
    this.generator = teacher.student();
    this.critic = teacher.student();
    this.generatorOptimizer = adam(generator.network().params(), config.generatorRate);
    criticOptimizers.add(adam(critic.network().params(), config.criticRate));
    if (config.generatorWeight > 0) {
      this.discriminator = new Discriminator(critic, teacher.sample());
      criticOptimizers.add(adam(discriminator.params(), config.criticRate));
    } else {
      this.discriminator = null;
    }
    if (config.emaHalfLife > 0) {
      Ema.Kind kind = Ema.Kind.halfLife(config.emaHalfLife, 1);
      this.ema = new Ema(generator.network().params(), kind, batch);
      this.result = teacher.student();
    } else {
      this.ema = null;
      this.result = generator;
    }
  }

  private static AdamW adam(Params params, double rate) {
    return new AdamW(params, new AdamW.Config((float) rate, 0.9f, 0.999f, 1e-8f, 0.01f));
  }

  @Override
  public String name() {
    return "dmd2";
  }

  @Override
  public long steps() {
    return config.iterations;
  }

  @Override
  public List<Objective> objectives() {
    return List.of(new Matching(), new Critic());
  }

  @Override
  public void begin(long step) {
    generated = null;
  }

  /** The level that the generator is trained at: as many evaluations come before. */
  @Override
  public int kind(long step, Rng random) {
    int[] drawn = new int[1];
    random.split(NODE.hashCode()).integers(drawn, config.levels.length);
    return drawn[0];
  }

  // ---- generator ----

  private GeneratorInput generatorInput(StepInput in) {
    int last = in.integers(NODE, config.levels.length)[0];
    Tensor labels = null;
    if (classes > 0) {
      int[] drawn = in.integers("labels", classes);
      labels = Tensor.constant(in.device(), Shape.of(drawn.length), drawn);
    }
    if (last > 0 && !config.backwardSimulation) {
      Tensor noisy = addNoise(in.images(), config.levels[last], in.noise("generator"));
      return new GeneratorInput(noisy, Samplers.level(noisy, config.levels[last]), in.labels());
    }
    Tensor state = in.noise("generator").mul((float) config.levels[0]);
    for (int j = 0; j < last; j++) {
      Tensor clean = generator.denoise(state, Samplers.level(state, config.levels[j]), labels);
      state = addNoise(clean, config.levels[j + 1], in.noise("generator" + (j + 1)));
    }
    return new GeneratorInput(state, Samplers.level(state, config.levels[last]), labels);
  }

  private static Tensor addNoise(Tensor images, double sigma, Tensor noise) {
    Tensor ones = Samplers.level(images, 1);
    return RowOps.combine(ones, images, Samplers.level(images, sigma), noise);
  }

  private double[] drawLevels(StepInput in, String stream, int from, int to) {
    int[] drawn = in.integers(stream, to - from);
    double[] sigma = new double[drawn.length];
    for (int i = 0; i < sigma.length; i++) {
      sigma[i] = config.noise[config.noise.length - 1 - from - drawn[i]];
    }
    return sigma;
  }

  /** Distribution matching, and fooling the classifier. */
  private final class Matching implements Objective {
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
      return step % config.criticSteps == 0;
    }

    @Override
    public double clipNorm() {
      return config.clipNorm;
    }

    @Override
    public double learningRateScale(long step) {
      return warmUp(step);
    }

    @Override
    public Ema average() {
      return ema;
    }

    @Override
    public Var loss(Tape tape, StepInput in) {
      GeneratorInput input = generatorInput(in);
      Var x = generator.denoise(tape.input(input.noisy), input.level, input.labels);
      generated = new Generated(tape.keep(x).value(), input.labels);
      if (input.labels != null) {
        tape.keep(input.labels);
      }
      Tensor target = matchingTarget(in, x.value(), input.labels);
      Var loss = RowOps.meanSquaredError(x, target, Samplers.level(target, 0.5));
      if (discriminator == null) {
        return loss;
      }
      Var logits = noisyLogits(in, x, input.labels, "fool");
      return loss.add(logits.neg().softplus().mean().mul((float) config.generatorWeight));
    }
  }

  private Tensor matchingTarget(StepInput in, Tensor x, Tensor labels) {
    try (Scope scope = Scope.open()) {
      // 2 % to 98 % of the levels: at its ends the two estimates agree or are meaningless.
      int edge = config.noise.length / 50;
      Tensor level = in.perSample(drawLevels(in, "match", edge, config.noise.length - edge));
      Tensor noisy = RowOps.combine(Samplers.level(x, 1), x, level, in.noise("match"));
      Tensor real = teacher.denoise(noisy, level, labels);
      Tensor believed = critic.denoise(noisy, level, labels);
      return scope.keep(matchingTarget(x, real, believed, config.normalised));
    }
  }

  /**
   * x − (D_f − D_r)/mean|x − D_r|: half the squared distance to it has the matching gradient.
   *
   * @param real D_r
   * @param believed D_f
   */
  static Tensor matchingTarget(Tensor x, Tensor real, Tensor believed, boolean normalised) {
    Tensor target = Tensor.empty(x.device(), x.shape());
    x.device()
        .execute(
            new MatchingTarget(
                x.dim(0),
                normalised,
                x.buffer(),
                real.buffer(),
                believed.buffer(),
                target.buffer()));
    return target;
  }

  // ---- critic and classifier ----

  private Generated generatedImages(StepInput in) {
    if (generated == null) {
      GeneratorInput input = generatorInput(in);
      generated =
          new Generated(generator.denoise(input.noisy, input.level, input.labels), input.labels);
    }
    return generated;
  }

  /** The classifier's logits on images noised at random levels of the whole table. */
  private Var noisyLogits(StepInput in, Var images, Tensor labels, String stream) {
    Tensor level = in.perSample(drawLevels(in, stream, 0, config.noise.length));
    Var noise = Var.constant(in.noise(stream));
    Var noisy = RowOps.combine(Samplers.level(images.value(), 1), images, level, noise);
    return discriminator.logits(noisy, level, labels);
  }

  /** Denoising of the generator's images, and telling them from real ones. */
  private final class Critic implements Objective {
    @Override
    public String name() {
      return "critic";
    }

    @Override
    public List<Optimizer> optimizers() {
      return criticOptimizers;
    }

    @Override
    public double clipNorm() {
      return config.clipNorm;
    }

    @Override
    public double learningRateScale(long step) {
      return warmUp(step);
    }

    @Override
    public Var loss(Tape tape, StepInput in) {
      Generated fake = generatedImages(in);
      double[] sigma = drawLevels(in, "critic", 0, config.noise.length);
      double[] weight = new double[sigma.length];
      for (int i = 0; i < sigma.length; i++) {
        weight[i] = critic.preconditioning().lossWeight(sigma[i]);
      }
      Tensor level = in.perSample(sigma);
      Tensor noisy =
          RowOps.combine(Samplers.level(fake.images, 1), fake.images, level, in.noise("critic"));
      Var answer = critic.denoise(tape.input(noisy), level, fake.labels);
      Var loss = RowOps.meanSquaredError(answer, fake.images, in.perSample(weight));
      if (discriminator == null) {
        return loss;
      }
      Var onFake = noisyLogits(in, tape.input(fake.images), fake.labels, "tellFake");
      Var onReal = noisyLogits(in, tape.input(in.images()), in.labels(), "tellReal");
      Var told = onFake.softplus().mean().add(onReal.neg().softplus().mean());
      return loss.add(told.mul((float) config.classifierWeight));
    }
  }

  private double warmUp(long step) {
    return Math.min(1, (step + 1.0) / Math.max(1, config.warmUp));
  }

  // ---- result ----

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

  @Override
  public Sampler sampler() {
    return Samplers.of(Samplers.Method.RENOISING, config.levels);
  }
}
