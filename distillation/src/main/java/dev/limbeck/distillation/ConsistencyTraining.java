package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.tensor.Tensor;

/**
 * Consistency training: without a teacher's trajectories, on straight lines from data to noise.
 *
 * <pre>
 * x_t = x₀ + t n,  x_r = x₀ + r n,  t = s_{i+1} &gt; r = s_i of N(k) levels
 * L = E w d(f_θ(x_t, t), f_θ⁻(x_r, r)),  θ⁻ ← μ(k) θ⁻ + (1 − μ(k)) θ
 * </pre>
 *
 * <p>x_r is Euler's step from x_t with the clean sample in the place of D(x_t, t), of which it is
 * an estimate without bias: with ever more levels the loss becomes that of distillation. The
 * gradient reaches the student at x_t alone; the teacher gives initial values at most.
 *
 * <p><b>Card.</b> x_t, x_r: {@link #onLines}; N(k), μ(k): {@link ConsistencySchedule}; L, θ⁻:
 * {@link ConsistencyLearning}. Tests: {@code ConsistencyScheduleTest} (published values), {@code
 * ConsistencyMapsTest} (on a normal distribution the optimum is Euler's grid, to 10⁻⁵, and has no
 * gradient), {@code ConsistencyMixtureTest}. The loss stays near the spread of targets about their
 * mean and falls only where N grows; it does not tell good from bad. What goes wrong: the targets'
 * noise calls for many more samples than distillation; a norm instead of its square takes medians
 * for means, which in few dimensions differ; too fine a grid too soon has no signal.
 *
 * @paper Song et al. 2023, arXiv 2303.01469, algorithm 3 and appendix C
 */
public final class ConsistencyTraining extends ConsistencyLearning {
  private static final String NAME = "ct";

  /** Offered as {@code ct}. */
  public static final Method METHOD =
      new Method(
          NAME,
          "consistency training: answers agree along straight lines from data, without a teacher",
          (preset, teacher) ->
              new ConsistencyTraining(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher, preset.batch()));

  /**
   * The method's settings.
   *
   * @param weighting w (paper: 1)
   * @param nodes N(k) (paper: square root, from 2 to 150 for CIFAR-10)
   * @param targetDecay μ(k) (paper: from 0.9, by N(k); the released code divides by N(k) − 1)
   * @param sigmaMin the boundary ε
   * @param warmStart whether the student starts as the teacher (paper: from scratch; the launch
   *     lines released with it name a teacher, whose weights the code then copies)
   */
  public record Config(
      Training training,
      ConsistencyMetric metric,
      Weighting weighting,
      ConsistencySchedule.Nodes nodes,
      ConsistencySchedule.Decay targetDecay,
      double sigmaMin,
      double sigmaMax,
      boolean warmStart) {
    /**
     * The paper's settings for CIFAR-10, but for its metric: in the place of LPIPS stands {@link
     * ConsistencyMetric.Features}, whose network knows grey images alone. Training on images of
     * three channels is refused with it; they need another metric, such as {@link
     * ConsistencyMetric.PseudoHuber#paper}.
     */
    public static Config paper() {
      return new Config(
          Training.paper(800_000, 4e-4, .9999, 0),
          new ConsistencyMetric.Features(),
          Weighting.UNIFORM,
          new ConsistencySchedule.SquareRoot(2, 150),
          new ConsistencySchedule.Adaptive(2, .9, false),
          NoiseLevels.SIGMA_MIN,
          NoiseLevels.SIGMA_MAX,
          false);
    }

    /**
     * Starts as the teacher, with fewer levels and the norm weighted by 1/(t − r), as there is time
     * for some thousand steps. For points thousands of levels and the mean square: a norm follows
     * the median of the lines through a point where their mean is the flow, which moved the masses
     * of five modes by up to 0.08, and between N levels modes run into each other over a width that
     * falls with √N only.
     */
    public static Config of(Preset preset) {
      boolean points = preset.isPoints();
      return new Config(
          Training.of(preset, points ? 40_000 : 1400, true),
          points ? new ConsistencyMetric.SquaredL2() : new ConsistencyMetric.PseudoHuber(0, false),
          points ? Weighting.KARRAS : Weighting.INVERSE_DISTANCE,
          points ? new ConsistencySchedule.Fixed(5120) : new ConsistencySchedule.SquareRoot(10, 60),
          ConsistencySchedule.Constant.STOP_GRADIENT,
          leastNoise(preset),
          mostNoise(preset),
          true);
    }
  }

  private final Config config;

  /**
   * Prepares training.
   *
   * @param batch samples in a step
   * @throws IllegalArgumentException if the teacher has another parameterisation or is guided
   */
  public ConsistencyTraining(Config config, Teacher teacher, int batch) {
    super(
        NAME,
        config.training,
        config.metric,
        teacher,
        new Preconditioning.Consistency(sigmaData(NAME, teacher), config.sigmaMin),
        config.warmStart,
        !config.targetDecay.equals(ConsistencySchedule.Constant.STOP_GRADIENT),
        batch);
    refuseGuidance(NAME, teacher);
    this.config = config;
  }

  @Override
  double targetDecay(long step) {
    return config.targetDecay.at(config.nodes.at(step, steps()));
  }

  @Override
  Pair pair(StepInput in) {
    int nodes = config.nodes.at(in.step(), steps());
    double[] grid = ConsistencySchedule.ascending(nodes, config.sigmaMin, config.sigmaMax);
    int[] drawn = in.integers(LEVEL, nodes - 1);
    double[] t = new double[drawn.length];
    double[] r = new double[drawn.length];
    for (int i = 0; i < drawn.length; i++) {
      r[i] = grid[drawn[i]];
      t[i] = grid[drawn[i] + 1];
    }
    return onLines(in, t, r, config.weighting.of(t, r));
  }

  /**
   * x₀ + t n and x₀ + r n with the same noise: what Euler's step along the trajectory becomes when
   * the clean sample takes the teacher's place.
   */
  static Pair onLines(StepInput in, double[] t, double[] r, double[] weight) {
    Tensor noise = in.noise(NOISE);
    Tensor ones = Samplers.level(in.images(), 1);
    Tensor upper = RowOps.combine(ones, in.images(), in.perSample(t), noise);
    Tensor lower = RowOps.combine(ones, in.images(), in.perSample(r), noise);
    return new Pair(upper, t, lower, r, in.labels(), weight);
  }
}
