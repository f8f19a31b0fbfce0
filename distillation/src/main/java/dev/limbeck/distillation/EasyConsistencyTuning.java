package dev.limbeck.distillation;

import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.LrSchedule;

/**
 * Easy consistency tuning: a trained diffusion model becomes a consistency model by and by, as the
 * level r of the target moves from 0 towards t.
 *
 * <pre>
 * r(t) = max(0, t (1 − (1 + 8 σ(−t))/q^(stage+1))),  ln t ~ N(−1.1, 2²)
 * L = E 1/(t − r) · ‖D_θ(x₀ + t n, t) − sg D_θ(x₀ + r n, r)‖
 * </pre>
 *
 * <p>With q = 2, the first stage is plain denoising below t = ln 7, where r = 0 and D(x₀, 0) = x₀.
 * The student keeps EDM's preconditioning, whose boundary is 0. The gradient reaches the student at
 * the upper level alone; the teacher gives the initial values.
 *
 * <p><b>Card.</b> r(t): {@link Config#lower}; stages: {@link Config#stage}; L: {@link
 * ConsistencyLearning}, {@link ConsistencyMetric.PseudoHuber} with the factor 0. Tests: {@code
 * ConsistencyScheduleTest} (values of r), {@code ConsistencyLearningTest} (denoising where r = 0),
 * {@code ConsistencyMixtureTest}. The loss hardly moves: 1/(t − r) grows as differences shrink, and
 * it jumps at each stage. What goes wrong: more stages than the run has time for (each halves the
 * gap, and what is learnt has twice as many gaps to cross); large noise is drawn rarely, so that
 * one-step samples come last.
 *
 * @paper Geng et al. 2024, arXiv 2406.14548, sections 3 and 4
 */
public final class EasyConsistencyTuning extends ConsistencyLearning {
  private static final String NAME = "ect";

  /** Offered as {@code ect}. */
  public static final Method METHOD =
      new Method(
          NAME,
          "easy consistency tuning: a diffusion model whose answers come to agree by and by",
          (preset, teacher) ->
              new EasyConsistencyTuning(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher, preset.batch()));

  /**
   * The method's settings.
   *
   * @param metric the distance (released code: the norm, without Huber's constant)
   * @param weighting of a pair's distance (paper: 1/(t − r))
   * @param logMean mean of ln t
   * @param logDeviation deviation of ln t
   * @param factor q: 2 with many stages, or 256 with a single one for short runs
   * @param stages of equal length (paper, 200,000 steps: 8)
   */
  public record Config(
      Training training,
      ConsistencyMetric metric,
      Weighting weighting,
      double logMean,
      double logDeviation,
      double factor,
      int stages) {
    private static final double SLOPE = 8;

    /** The paper's settings for CIFAR-10. */
    public static Config paper() {
      return new Config(
          new Training(
              200_000,
              1e-4,
              LrSchedule.constant(),
              Ema.Kind.rate(.9999),
              .2,
              Double.POSITIVE_INFINITY,
              new double[] {80, 5, .821, .2},
              2),
          new ConsistencyMetric.PseudoHuber(0, false),
          Weighting.INVERSE_DISTANCE,
          -1.1,
          2.0,
          2,
          8);
    }

    /** The paper's recipe for an hour on one GPU: q = 256 from the start. */
    public static Config withoutDoubling() {
      Config paper = paper();
      Training t = paper.training;
      return new Config(
          new Training(
              8000,
              t.learningRate(),
              t.rate(),
              Ema.Kind.rate(.9993),
              t.dropout(),
              t.clipNorm(),
              t.levels(),
              t.samplingSteps()),
          paper.metric,
          paper.weighting,
          paper.logMean,
          paper.logDeviation,
          256,
          1);
    }

    /**
     * Fewer stages, and larger noise, of which a short run draws too little otherwise. For points a
     * single stage with levels as near as {@link ConsistencyTraining}'s, and its mean square: what
     * the last of many stages is to mend, a falling rate has no time for (in one, two and four
     * steps 7.3, 2.4 and 1.3 times the floor with ten stages of q = 2, and 3.6, 1.5 and 1.2 with
     * this).
     */
    public static Config of(Preset preset) {
      boolean points = preset.isPoints();
      return new Config(
          Training.of(preset, points ? 40_000 : 1400, true),
          points ? new ConsistencyMetric.SquaredL2() : new ConsistencyMetric.PseudoHuber(0, false),
          points ? Weighting.KARRAS : Weighting.INVERSE_DISTANCE,
          points ? -.8 : 0,
          2,
          points ? 4000 : 2,
          points ? 1 : 4);
    }

    /** The stage of a step, from 0. */
    public int stage(long step) {
      return (int) Math.min(stages - 1L, step * stages / training.steps());
    }

    /** r(t) = max(0, t·(1 − (1 + 8·sigmoid(−t))/q^(stage+1))). */
    public double lower(double t, int stage) {
      double gap = (1 + SLOPE / (1 + Math.exp(t))) / Math.pow(factor, stage + 1);
      return Math.max(0, t * (1 - gap));
    }
  }

  private final Config config;

  /**
   * Prepares tuning of the teacher.
   *
   * @param batch samples in a step
   * @throws IllegalArgumentException if the teacher has another parameterisation or is guided
   */
  public EasyConsistencyTuning(Config config, Teacher teacher, int batch) {
    super(
        NAME,
        config.training,
        config.metric,
        teacher,
        teacher.preconditioning(),
        true,
        false,
        batch);
    sigmaData(NAME, teacher);
    refuseGuidance(NAME, teacher);
    this.config = config;
  }

  @Override
  double targetDecay(long step) {
    return 0;
  }

  @Override
  Pair pair(StepInput in) {
    int stage = config.stage(in.step());
    float[] normal = in.normals(LEVEL);
    double[] t = new double[normal.length];
    double[] r = new double[normal.length];
    for (int i = 0; i < t.length; i++) {
      t[i] = Math.exp(config.logMean + config.logDeviation * normal[i]);
      r[i] = config.lower(t[i], stage);
    }
    return ConsistencyTraining.onLines(in, t, r, config.weighting.of(t, r));
  }
}
