package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;

/**
 * Improved consistency training: {@link ConsistencyTraining} with the student itself as target, a
 * robust metric, and levels drawn where they matter.
 *
 * <pre>
 * L = E 1/(t − r) · (√(‖f_θ(x_t, t) − sg f_θ(x_r, r)‖² + c²) − c),  c = 0.00054 √d
 * p(i) ∝ erf((ln s_{i+1} − m)/(√2 s)) − erf((ln s_i − m)/(√2 s)),  N(k) = min(s₀ 2^⌊k/K'⌋, s₁) + 1
 * </pre>
 *
 * <p>The gradient reaches the student at x_t alone; the teacher gives initial values at most.
 *
 * <p><b>Card.</b> p(i): {@link ConsistencySchedule.LogNormal}; N(k): {@link
 * ConsistencySchedule.Doubling}; the metric: {@link ConsistencyMetric.PseudoHuber}, over the whole
 * sample as in the paper or over elements as in some code; pairs: {@link #pair}. Tests: {@code
 * ConsistencyScheduleTest}, {@code ConsistencyLearningTest}, {@code ConsistencyMapsTest} (the
 * published loss, and no gradient at the exact map of one point), {@code ConsistencyMixtureTest}.
 * The loss jumps where N doubles and is flat between: weights grow as differences shrink. What goes
 * wrong: a sign error in m, −1.1; large noise is drawn rarely (one in 190 above σ = 40), so that
 * one-step samples come last; the metric's bias in few dimensions, as for {@code ct}.
 *
 * @paper Song and Dhariwal 2023, arXiv 2310.14189, table 1
 */
public final class ImprovedConsistencyTraining extends ConsistencyLearning {
  private static final String NAME = "ict";

  /** Offered as {@code ict}. */
  public static final Method METHOD =
      new Method(
          NAME,
          "improved consistency training: no average as target, pseudo-Huber, levels by lognormal",
          (preset, teacher) ->
              new ImprovedConsistencyTraining(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher, preset.batch()));

  /**
   * The method's settings.
   *
   * @param weighting of a pair's distance (paper: 1/(t − r))
   * @param nodes N(k) (paper: doubling from 10 to 1280)
   * @param draw which pairs (paper: lognormal, −1.1 and 2)
   * @param sigmaMin the boundary ε
   * @param warmStart whether the student starts as the teacher (paper: from scratch)
   */
  public record Config(
      Training training,
      ConsistencyMetric metric,
      Weighting weighting,
      ConsistencySchedule.Nodes nodes,
      ConsistencySchedule.Draw draw,
      double sigmaMin,
      double sigmaMax,
      boolean warmStart) {
    /** The paper's settings for CIFAR-10. */
    public static Config paper() {
      return new Config(
          Training.paper(400_000, 1e-4, .99993, .3),
          ConsistencyMetric.PseudoHuber.paper(),
          Weighting.INVERSE_DISTANCE,
          new ConsistencySchedule.Doubling(10, 1280),
          new ConsistencySchedule.LogNormal(-1.1, 2.0),
          NoiseLevels.SIGMA_MIN,
          NoiseLevels.SIGMA_MAX,
          false);
    }

    /**
     * Starts as the teacher, with fewer levels, each pair as likely as the others: a short run
     * draws too little large noise from the paper's distribution to learn one-step samples. For
     * points about the paper's distribution, thousands of levels from the start, and a wide bowl of
     * the metric, as {@link ConsistencyTraining} says.
     */
    public static Config of(Preset preset) {
      boolean points = preset.isPoints();
      return new Config(
          Training.of(preset, points ? 40_000 : 1400, true),
          points
              ? new ConsistencyMetric.PseudoHuber(WIDE, false)
              : ConsistencyMetric.PseudoHuber.paper(),
          points ? Weighting.KARRAS : Weighting.INVERSE_DISTANCE,
          points ? new ConsistencySchedule.Fixed(5120) : new ConsistencySchedule.Doubling(10, 80),
          points ? new ConsistencySchedule.LogNormal(-1.2, 2) : new ConsistencySchedule.Uniform(),
          leastNoise(preset),
          mostNoise(preset),
          true);
    }
  }

  private final Config config;

  /** Huber's factor for points: quadratic up to a tenth. */
  private static final double WIDE = .07;

  /** The grid of the last step, and its distribution of pairs: they change a dozen times a run. */
  private double[] grid = {};

  private double[] cumulative;

  /**
   * Prepares training.
   *
   * @param batch samples in a step
   * @throws IllegalArgumentException if the teacher has another parameterisation or is guided
   */
  public ImprovedConsistencyTraining(Config config, Teacher teacher, int batch) {
    super(
        NAME,
        config.training,
        config.metric,
        teacher,
        new Preconditioning.Consistency(sigmaData(NAME, teacher), config.sigmaMin),
        config.warmStart,
        false,
        batch);
    refuseGuidance(NAME, teacher);
    this.config = config;
  }

  @Override
  double targetDecay(long step) {
    return 0;
  }

  @Override
  Pair pair(StepInput in) {
    int nodes = config.nodes.at(in.step(), steps());
    if (nodes != grid.length) {
      grid = ConsistencySchedule.ascending(nodes, config.sigmaMin, config.sigmaMax);
      cumulative = config.draw.cumulative(grid);
    }
    float[] uniform = in.uniforms(LEVEL);
    double[] t = new double[uniform.length];
    double[] r = new double[uniform.length];
    for (int i = 0; i < t.length; i++) {
      int pair = ConsistencySchedule.draw(cumulative, uniform[i]);
      r[i] = grid[pair];
      t[i] = grid[pair + 1];
    }
    return ConsistencyTraining.onLines(in, t, r, config.weighting.of(t, r));
  }
}
