package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.ProgressiveDistillation.Solver;
import dev.limbeck.distillation.ProgressiveDistillation.Weighting;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Editing;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Distils classifier-free guidance: a student that is told the weight w first learns the guided
 * estimate in one evaluation, and is then halved by progressive distillation with w told to teacher
 * and student.
 *
 * <p>Stage 1, with c and u the teacher's estimates for the class and for none:
 *
 * <pre>E_{t,w} ω(σ_t) ‖x̂(x_σ, σ, w) − ((1 + w) c − w u)‖²,  ω = max(1, 1/σ²) or 1 + 1/σ²</pre>
 *
 * <p>Stage 2 is {@link ProgressiveDistillation} from the result. The paper's w is {@code cfgScale}
 * − 1. Students for the deterministic sampler learn steps over one interval of their grid, those
 * for the stochastic one over two. On an ascending grid the student is an <em>encoder</em>: it
 * takes the steps of DDIM backwards in time, from an image to its noise.
 *
 * <p>In both stages the gradient reaches the student alone.
 *
 * <p>Equation, code, test:
 *
 * <ul>
 *   <li>x̂^w = (1 + w) c − w u: {@link GuidanceWeights}; linear for normal distributions, {@code
 *       guidedFlowOfNormalDistributions}
 *   <li>stage 1: {@code Absorbing}; |x̂ − x^w| over levels and weights, {@code
 *       oneEvaluationLearnsTheGuidedEstimate}
 *   <li>stage 2: {@link ProgressiveDistillation}'s target, told w; from the same noise as many
 *       guided steps, {@code fewStepsLandWhereManyGuidedOnesDo}
 *   <li>steps over two intervals, the last over one: {@code ProgressiveDistillation.steps}; {@code
 *       stepsOfDoubleLength}, {@code stochasticStudentsRemoveTheBiasOfDoubleSteps}, and with an
 *       exact teacher before and after training, {@code StochasticGuidanceTest}
 *   <li>ω: {@link Weighting}; {@code LossWeightsTest}
 *   <li>encoding: {@link Config#encoder}; there and back, and into the other class, {@code
 *       fewStepsEncodeAndTransfer}
 * </ul>
 *
 * <p>What the loss looks like: stage 1 begins at the weighted size of w (c − u) and falls by an
 * order of magnitude within its first fifth, then slowly until the rate is 0. Each halving begins
 * higher than the one before it ended, since its steps are longer, and falls within a few hundred
 * steps. A stage that ends where it began has too large a rate; one that still falls, too few
 * steps.
 *
 * <p>What goes wrong: the label for "no class" must be the one that the teacher's labels were
 * dropped to, or u means nothing. Weights beyond those learnt are answered badly, and those at the
 * ends worse than between, which is why a share of samples gets the least one. Large weights put
 * x̂^w outside [−1, 1]. A student for the stochastic sampler is a bad one for the deterministic
 * sampler and the other way about: their steps differ in length. Without classes c is u, and stage
 * 1 has nothing to learn but w's being of no effect.
 *
 * @cost a step: 2 evaluations of the teacher (Heun's first halving 4, twice that if direct), 1 of
 *     the student, 1 gradient
 * @paper Meng et al. 2023, arXiv 2210.03142, algorithms 1 and 2
 */
public final class GuidedDistillation implements Distiller {
  /** Offered as {@code guided}. */
  public static final Method METHOD =
      new Method(
          "guided",
          "guidance of any weight in one evaluation, then halvings of the number of steps",
          (preset, teacher) ->
              new GuidedDistillation(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher));

  /**
   * The method's settings.
   *
   * @param weights of guidance that the student learns (paper: 0 to 4 in pixels, 2 to 14 in the
   *     latent space of Stable Diffusion)
   * @param absorbingSteps training steps of stage 1
   * @param absorbingRate learning rate of stage 1, falling linearly to 0
   * @param weighting of stage 1; stage 2 has its own
   * @param shift of the cosine schedule that stage 1 draws its levels from, uniformly in time
   * @param sigmaMax largest of these levels
   * @param clip whether guided estimates are clipped to [−1, 1], as befits a teacher that is
   *     sampled so
   * @param halving the settings of stage 2
   * @param direct whether the first halving learns from the guided teacher itself, in two
   *     evaluations for one, instead of from what stage 1 made of it (paper: no); stage 1 then is
   *     where students start, and no more
   * @param stochastic whether the student is for the stochastic sampler
   */
  public record Config(
      GuidanceWeights weights,
      long absorbingSteps,
      double absorbingRate,
      Weighting weighting,
      double shift,
      double sigmaMax,
      boolean clip,
      ProgressiveDistillation.Config halving,
      boolean direct,
      boolean stochastic) {
    /** The paper's settings for pixels, ImageNet-64 and CIFAR-10: from 1024 steps to one. */
    public static Config paper() {
      ProgressiveDistillation.Config halving =
          new ProgressiveDistillation.Config(
              NoiseLevels.cosine(1024),
              1,
              50_000,
              100_000,
              1e-4,
              1,
              Solver.EULER,
              Weighting.TRUNCATED_SNR,
              false);
      double sigmaMax = Math.exp(NoiseLevels.LOG_SNR_MAX / 2);
      return new Config(
          new GuidanceWeights(0, 4),
          100_000,
          1e-4,
          Weighting.TRUNCATED_SNR,
          1,
          sigmaMax,
          false,
          halving,
          false,
          false);
    }

    /**
     * Four steps from eight of Heun's, as progressive distillation has them; for points one from 32
     * on Karras et al.'s levels, which keep modes that are narrow to half a hundredth. (Eight steps
     * of eight of Heun's each, and so two halvings less, take twice the time for the same samples.)
     */
    public static Config of(Preset preset) {
      boolean points = preset.isPoints();
      double shift = points ? Preconditioning.Edm.SIGMA_DATA : preset.shift();
      long stage = points ? 5800 : preset.patient() ? 2000 : 1000;
      double rate = points ? 2e-3 : 1e-3;
      int endSteps = preset.sampleSteps(points ? 1 : 4);
      int startSteps = Math.max(points ? 32 : 8, 2 * endSteps);
      double[] levels =
          points
              ? NoiseLevels.toZero(NoiseLevels.karras(startSteps, .01, 10, NoiseLevels.RHO))
              : NoiseLevels.shiftedCosine(startSteps, shift, NoiseLevels.SIGMA_MAX);
      ProgressiveDistillation.Config halving =
          new ProgressiveDistillation.Config(
              levels,
              endSteps,
              preset.studentSteps(stage),
              rate,
              1,
              Solver.HEUN,
              Weighting.TRUNCATED_SNR);
      return new Config(
          new GuidanceWeights(0, 4, points ? 0.5 : 0.25),
          preset.studentSteps(points ? 3000 : stage),
          rate,
          Weighting.TRUNCATED_SNR,
          shift,
          NoiseLevels.SIGMA_MAX,
          false,
          halving,
          points,
          false);
    }

    /**
     * An encoder of as many steps as the student has, trained in the same way on the same levels in
     * rising order; the first is next to 0, where images are.
     */
    public static Config encoder(Preset preset) {
      Config decoder = of(preset);
      double[] levels = reversed(decoder.halving.levels());
      levels[0] = Math.min(LEAST, levels[1] / 2);
      ProgressiveDistillation.Config halving = decoder.halving;
      return new Config(
          decoder.weights,
          decoder.absorbingSteps,
          decoder.absorbingRate,
          decoder.weighting,
          decoder.shift,
          decoder.sigmaMax,
          decoder.clip,
          new ProgressiveDistillation.Config(
              levels,
              halving.endSteps(),
              halving.stepsPerStage(),
              halving.learningRate(),
              halving.clipNorm(),
              halving.solver(),
              halving.weighting()),
          decoder.direct,
          false);
    }

    /** Where encoding begins: noise that no pixel shows, yet that teachers know. */
    private static final double LEAST = 0.02;

    public Config {
      if (absorbingSteps < 1 || !(shift > 0) || !(sigmaMax > 0)) {
        throw new IllegalArgumentException(
            "guided needs at least one step of stage 1 and positive noise levels, not "
                + absorbingSteps
                + " and a shift of "
                + shift
                + " up to "
                + sigmaMax);
      }
      if (stochastic && halving.levels()[0] < halving.levels()[1]) {
        throw new IllegalArgumentException(
            "an encoder's steps are deterministic: stochastic students have a falling grid");
      }
    }

    /** Whether the grid rises, so that the student encodes. */
    public boolean encodes() {
      return halving.levels()[0] < halving.levels()[1];
    }

    /** The level of stage 1 at time u in [0, 1): σ = shift · tan(A u + B), at most σ_max. */
    double sigma(double u) {
      return Math.min(sigmaMax, shift * Math.exp(-0.5 * NoiseLevels.cosineLogSnr(u)));
    }
  }

  private final Config config;
  private final Teacher teacher;
  private final GuidanceWeights weights;
  private final double sampledWeight;
  private final NetworkDenoiser absorbed;
  private final AdamW optimizer;
  private final ProgressiveDistillation halving;

  /**
   * Prepares both stages.
   *
   * @throws IllegalArgumentException if the teacher's scale of guidance is none that is learnt
   */
  public GuidedDistillation(Config config, Teacher teacher) {
    this.config = config;
    this.teacher = teacher;
    this.weights = config.weights.of(teacher);
    this.sampledWeight = config.weights.sampled(teacher, METHOD.name());
    this.absorbed = teacher.student(true);
    this.optimizer =
        new AdamW(absorbed.network().params(), AdamW.Config.of((float) config.absorbingRate));
    this.halving =
        new ProgressiveDistillation(
            config.halving,
            teacher,
            new ProgressiveDistillation.Weighted(
                config.direct ? this::guidedBy : absorbed::weighted, weights, config.stochastic));
  }

  /** The guided teacher, with a weight for each sample. */
  private Denoiser guidedBy(Tensor w) {
    Denoiser guided = teacher.guidedBy(w);
    return config.clip ? ProgressiveDistillation.clipped(guided) : guided;
  }

  @Override
  public String name() {
    return METHOD.name();
  }

  @Override
  public long steps() {
    return config.absorbingSteps + halving.steps();
  }

  @Override
  public void begin(long step) {
    long later = step - config.absorbingSteps;
    if (later == 0) {
      halving.startFrom(absorbed.network().params());
    }
    if (later >= 0) {
      halving.begin(later);
    }
  }

  @Override
  public int kind(long step, Rng random) {
    long later = step - config.absorbingSteps;
    return later < 0 ? 0 : 1 + halving.kind(later, random);
  }

  @Override
  public List<Objective> objectives() {
    List<Objective> all = new ArrayList<>();
    all.add(new Absorbing());
    halving.objectives().forEach(objective -> all.add(new Later(objective)));
    return all;
  }

  /** Stage 1: the regression on the guided estimate. */
  private final class Absorbing implements Objective {
    @Override
    public String name() {
      return "guidance";
    }

    @Override
    public List<Optimizer> optimizers() {
      return List.of(optimizer);
    }

    @Override
    public boolean due(long step) {
      return step < config.absorbingSteps;
    }

    @Override
    public double clipNorm() {
      return config.halving.clipNorm();
    }

    @Override
    public double learningRateScale(long step) {
      return 1 - (double) step / config.absorbingSteps;
    }

    @Override
    public Var loss(Tape tape, StepInput input) {
      float[] time = input.uniforms("time");
      double[] sigma = new double[time.length];
      double[] weight = new double[time.length];
      for (int i = 0; i < sigma.length; i++) {
        sigma[i] = config.sigma(time[i]);
        weight[i] = config.weighting.of(sigma[i]);
      }
      Tensor level = input.perSample(sigma);
      Tensor ones = Samplers.level(input.images(), 1);
      Tensor noisy = RowOps.combine(ones, input.images(), level, input.noise("noise"));
      Tensor w = input.perSample(weights.draw(input));
      Tensor target = target(noisy, level, input.labels(), w);
      Var answer = absorbed.denoise(tape.input(noisy), level, input.labels(), w, Dropout.off());
      return RowOps.meanSquaredError(answer, target, input.perSample(weight));
    }

    private Tensor target(Tensor noisy, Tensor level, Tensor labels, Tensor w) {
      try (Scope scope = Scope.open()) {
        return scope.keep(guidedBy(w).denoise(noisy, level, labels));
      }
    }
  }

  /** An objective of stage 2, whose steps are counted from its own beginning. */
  private final class Later implements Objective {
    private final Objective own;

    Later(Objective own) {
      this.own = own;
    }

    @Override
    public String name() {
      return own.name();
    }

    @Override
    public List<Optimizer> optimizers() {
      return own.optimizers();
    }

    @Override
    public boolean due(long step) {
      return step >= config.absorbingSteps && own.due(step - config.absorbingSteps);
    }

    @Override
    public double clipNorm() {
      return own.clipNorm();
    }

    @Override
    public double learningRateScale(long step) {
      return own.learningRateScale(step - config.absorbingSteps);
    }

    @Override
    public Var loss(Tape tape, StepInput input) {
      long step = input.step() - config.absorbingSteps;
      return own.loss(tape, new StepInput(step, input.rng(), input.images(), input.labels()));
    }
  }

  @Override
  public Map<String, Params> networks() {
    Map<String, Params> all = new LinkedHashMap<>();
    all.put("guided", absorbed.network().params());
    all.putAll(halving.networks());
    return all;
  }

  /** The result of stage 1: guided estimates in one evaluation, for samplers of many steps. */
  NetworkDenoiser absorbed() {
    return absorbed;
  }

  @Override
  public NetworkDenoiser student() {
    return told(halving.student());
  }

  /** A student that is told the teacher's own weight where nobody names another. */
  private NetworkDenoiser told(NetworkDenoiser halved) {
    return new NetworkDenoiser(halved.network(), halved.preconditioning(), sampledWeight);
  }

  @Override
  public GuidanceWeights guidance() {
    return weights;
  }

  @Override
  public Sampler sampler() {
    return samplerOn(halving.studentLevels(halving.steps()));
  }

  private Sampler samplerOn(double[] levels) {
    if (config.encodes()) {
      return Samplers.eulerOn(reversed(levels));
    }
    return Samplers.of(
        config.stochastic ? Samplers.Method.DOUBLE_STEPS : Samplers.Method.EULER, levels);
  }

  /** The last student, and those of up to four steps that came before it. */
  @Override
  public List<Result> results() {
    if (config.encodes()) {
      return List.of(new Result(student(), sampler(), weights));
    }
    List<Result> all = new ArrayList<>();
    for (Result result : halving.results()) {
      double[] levels = Editing.levels(result.sampler());
      all.add(new Result(told(result.student()), samplerOn(levels), weights));
    }
    return all;
  }

  /** Levels in the opposite order: those of an encoder from those of its way back. */
  public static double[] reversed(double[] levels) {
    double[] other = new double[levels.length];
    for (int i = 0; i < levels.length; i++) {
      other[i] = levels[levels.length - 1 - i];
    }
    return other;
  }
}
