package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;

/**
 * Consistency distillation: the student answers the same at neighbouring points of each trajectory
 * of the teacher, and what it is given at the trajectory's end.
 *
 * <pre>
 * t = s_i &gt; r = s_{i+1},  x_t = x₀ + t n,  x_r = Heun(D; x_t, t → r)
 * L = E w d(f_θ(x_t, t), f_θ⁻(x_r, r)),  f(x, ε) = x
 * </pre>
 *
 * <p>The gradient reaches the student at x_t alone.
 *
 * <p><b>Card.</b> f: {@link Preconditioning.Consistency}; x_t, x_r: {@link #pair}, by {@link
 * SolverSteps#step}; L, θ⁻: {@link ConsistencyLearning}; d: {@link ConsistencyMetric}. Tests:
 * {@code ConsistencyMapsTest} (the factors of Euler's and Heun's grids on a normal distribution to
 * 10⁻⁵, no gradient at the optimum), {@code ConsistencyLearningTest} (the boundary to the bit,
 * dropout replayed), {@code ConsistencyMixtureTest} (the trained map lies where Heun's steps lead).
 * The loss falls by one or two orders of magnitude and nearly to 0, as targets have no noise; it
 * says nothing about samples: a student that answers one point at every level has no loss but at
 * the boundary. What goes wrong: with squared L2 and equal weights the differences at small noise,
 * a thousandth of those at large, are not learnt, and modes collapse (measured on a ring of five
 * modes: 15 times the floor within modes, where the norm weighted by 1/(t − r) gives 3.7 after as
 * many steps); without Heun's corrector the error is of first order in the nodes; a target that
 * sees another dropout mask is a silent loss of quality.
 *
 * @paper Song et al. 2023, arXiv 2303.01469, algorithm 2 and appendix C
 */
public final class ConsistencyDistillation extends ConsistencyLearning implements InputDriven {
  private static final String NAME = "cd";

  /** Offered as {@code cd}. */
  public static final Method METHOD =
      new Method(
          NAME,
          "consistency distillation: answers agree along the teacher's trajectories",
          (preset, teacher) ->
              new ConsistencyDistillation(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher, preset.batch()));

  /**
   * The method's settings.
   *
   * @param weighting w (paper: 1)
   * @param grid descending noise levels, the last of which is the boundary ε (paper: 18 of Karras
   *     et al.'s for CIFAR-10, 40 for ImageNet-64)
   * @param solver how the teacher steps (paper: Heun)
   * @param targetDecay μ of the target's moving average; 0 takes the student itself, without
   *     gradient (paper: 0 for CIFAR-10, 0.95 for ImageNet-64)
   */
  @SuppressWarnings("ArrayRecordComponent") // Settings are read, never compared.
  public record Config(
      Training training,
      ConsistencyMetric metric,
      Weighting weighting,
      double[] grid,
      ProgressiveDistillation.Solver solver,
      double targetDecay) {
    private static final int PAPER_NODES = 18;

    public Config {
      boolean falls = grid.length >= 2 && grid[grid.length - 1] > 0;
      for (int i = 1; falls && i < grid.length; i++) {
        falls = grid[i] < grid[i - 1];
      }
      if (!falls) {
        throw new IllegalArgumentException(
            "cd compares answers on a grid of at least two noise levels that fall and stay above"
                + " 0, not on "
                + Arrays.toString(grid));
      }
    }

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
          NoiseLevels.karras(PAPER_NODES),
          ProgressiveDistillation.Solver.HEUN,
          0);
    }

    /**
     * The norm of the difference weighted by 1/(t − r), which at this scale learns small noise as
     * well as large, where the paper's squares do not.
     */
    public static Config of(Preset preset) {
      double min = leastNoise(preset);
      double max = mostNoise(preset);
      return new Config(
          Training.of(preset, preset.isPoints() ? 26_000 : 1000, false),
          new ConsistencyMetric.PseudoHuber(0, false),
          Weighting.INVERSE_DISTANCE,
          NoiseLevels.karras(preset.isPoints() ? 32 : 18, min, max, NoiseLevels.RHO),
          ProgressiveDistillation.Solver.HEUN,
          0);
    }
  }

  private final Config config;
  private final Denoiser teacher;
  private NoisyInputs inputs = NoisyInputs.FORWARD;

  /**
   * Prepares a student that starts as the teacher.
   *
   * @param batch samples in a step
   */
  public ConsistencyDistillation(Config config, Teacher teacher, int batch) {
    super(
        NAME,
        config.training,
        config.metric,
        teacher,
        new Preconditioning.Consistency(
            sigmaData(NAME, teacher), config.grid[config.grid.length - 1]),
        true,
        config.targetDecay > 0,
        batch);
    this.config = config;
    this.teacher = teacher.denoiser();
  }

  @Override
  public void drawFrom(NoisyInputs source) {
    inputs = source;
  }

  @Override
  public double[] grid(long step) {
    return config.grid;
  }

  @Override
  public Chain chain() {
    return chain(teacher);
  }

  @Override
  double targetDecay(long step) {
    return config.targetDecay;
  }

  @Override
  Pair pair(StepInput in) {
    int[] node = in.integers(LEVEL, config.grid.length - 1);
    double[] t = new double[node.length];
    double[] r = new double[node.length];
    for (int i = 0; i < node.length; i++) {
      t[i] = config.grid[node[i]];
      r[i] = config.grid[node[i] + 1];
    }
    NoisyInputs.Noisy upper = inputs.at(in, config.grid, node, null);
    try (Scope scope = Scope.open()) {
      Tensor lower = SolverSteps.step(teacher, config.solver, upper.x(), t, r, in, upper.labels());
      double[] weight = config.weighting.of(t, r);
      return new Pair(upper.x(), t, scope.keep(lower), r, upper.labels(), weight);
    }
  }
}
