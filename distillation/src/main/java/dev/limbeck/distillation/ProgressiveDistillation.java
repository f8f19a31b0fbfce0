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
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.Map;

/**
 * Halves the number of sampling steps again and again: each student learns to do in one Euler
 * (DDIM) step what its teacher does in two.
 *
 * <p>For consecutive levels σ &gt; σ' &gt; σ'' of the teacher's grid, x' and x'' are the teacher's
 * two steps from x_σ, and the target is the clean image from which one step lands on x'':
 *
 * <pre>x̃ = (x'' − (σ''/σ) x_σ) / (1 − σ''/σ)</pre>
 *
 * <p>In the variance-exploding form the discrete cosine schedule of the paper and the grid of
 * Karras et al. differ in their levels only. The gradient reaches the student alone.
 *
 * @paper Salimans and Ho 2022, arXiv 2202.00512, algorithm 2
 */
public final class ProgressiveDistillation implements InputDriven {
  /** Offered as {@code pd}. */
  public static final Method METHOD =
      new Method(
          "pd",
          "progressive distillation: halves the number of steps again and again",
          (preset, teacher) ->
              new ProgressiveDistillation(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher));

  /** How a step of the first teacher is taken. */
  public enum Solver {
    EULER,
    /** Second order, two evaluations a step but for a step to 0. */
    HEUN
  }

  /** The weight of a sample's squared error in the clean image, with SNR = 1/σ². */
  public enum Weighting {
    /** 1: the error of the clean image. */
    CONSTANT,
    /** SNR: the error of the noise. */
    SNR,
    /** max(1, SNR), the paper's truncated SNR. */
    TRUNCATED_SNR,
    /** 1 + SNR: the error of v. */
    SNR_PLUS_ONE;

    double of(double sigma) {
      double snr = 1 / (sigma * sigma);
      return switch (this) {
        case CONSTANT -> 1;
        case SNR -> snr;
        case TRUNCATED_SNR -> Math.max(1, snr);
        case SNR_PLUS_ONE -> 1 + snr;
      };
    }
  }

  /**
   * The method's settings.
   *
   * @param levels noise levels that the first teacher's steps lead over, {@code endSteps} times a
   *     power of two steps; every level of a student is one of them
   * @param endSteps steps of the last student
   * @param stepsPerStage training steps of each halving (paper: 50,000)
   * @param learningRate at the start of each halving, falling linearly to 0 (paper: 5e-5)
   * @param solver how the first teacher, the one that is no student, takes its steps; the paper has
   *     Euler, Heun needs fewer steps for the same error at twice their price
   * @param clipNorm largest global norm of the gradient (paper: 1)
   */
  public record Config(
      double[] levels,
      int endSteps,
      long stepsPerStage,
      double learningRate,
      double clipNorm,
      Solver solver,
      Weighting weighting) {
    /** The paper's settings for CIFAR-10. */
    public static Config paper() {
      return new Config(
          NoiseLevels.cosine(8192), 1, 50_000, 5e-5, 1, Solver.EULER, Weighting.TRUNCATED_SNR);
    }

    /**
     * Four steps from eight of Heun's, which on the shifted levels draw as well as 35 evaluations
     * on Karras et al.'s: with so good a first teacher, one halving learns more in the same time
     * than two.
     */
    public static Config of(Preset preset) {
      return new Config(
          NoiseLevels.shiftedCosine(8, preset.shift(), NoiseLevels.SIGMA_MAX),
          4,
          preset.studentSteps(preset.patient() ? 2000 : 1000),
          1e-3,
          1,
          Solver.HEUN,
          Weighting.TRUNCATED_SNR);
    }

    public Config {
      int startSteps = levels.length - 1;
      if (endSteps < 1
          || startSteps % endSteps != 0
          || Integer.bitCount(startSteps / endSteps) != 1
          || startSteps == endSteps) {
        throw new IllegalArgumentException(
            "progressive distillation halves: "
                + startSteps
                + " steps cannot become "
                + endSteps
                + "; their ratio must be 2, 4, 8, …");
      }
    }

    /** Number of halvings. */
    public int stages() {
      return Integer.numberOfTrailingZeros((levels.length - 1) / endSteps);
    }
  }

  private final Config config;
  private final Teacher teacher;
  private final NetworkDenoiser student;
  private final NetworkDenoiser previous;
  private AdamW optimizer;
  private NoisyInputs inputs = NoisyInputs.FORWARD;

  public ProgressiveDistillation(Config config, Teacher teacher) {
    this.config = config;
    this.teacher = teacher;
    this.student = teacher.student();
    this.previous = teacher.student();
    this.optimizer = freshOptimizer();
  }

  private AdamW freshOptimizer() {
    return new AdamW(student.network().params(), AdamW.Config.of((float) config.learningRate));
  }

  @Override
  public void drawFrom(NoisyInputs source) {
    inputs = source;
  }

  @Override
  public String name() {
    return "pd";
  }

  @Override
  public long steps() {
    return config.stages() * config.stepsPerStage;
  }

  private int stage(long step) {
    return (int) Math.min(config.stages() - 1L, step / config.stepsPerStage);
  }

  /** The levels of the student that is being trained at this step. */
  double[] studentLevels(long step) {
    double[] levels = teacherLevels(step);
    return NoiseLevels.halve(levels);
  }

  private double[] teacherLevels(long step) {
    double[] levels = config.levels;
    for (int i = 0; i < stage(step); i++) {
      levels = NoiseLevels.halve(levels);
    }
    return levels;
  }

  /** The denoiser that the current student learns from. */
  private Denoiser currentTeacher(long step) {
    return stage(step) == 0 ? teacher.denoiser() : previous;
  }

  @Override
  public void begin(long step) {
    if (step > 0 && step % config.stepsPerStage == 0 && step < steps()) {
      previous.network().params().copyFrom(student.network().params());
      optimizer.close();
      optimizer = freshOptimizer();
    }
  }

  @Override
  public int kind(long step, Rng random) {
    return stage(step);
  }

  /**
   * The clean image x̃ from which one Euler step of the student does what two of the teacher's do.
   *
   * @param levels the teacher's grid
   * @param interval for each sample, which of the student's steps: 0 is the noisiest
   */
  static Tensor target(
      Denoiser teacher,
      Solver solver,
      Tensor x,
      double[] levels,
      int[] interval,
      StepInput in,
      Tensor labels) {
    int n = interval.length;
    double[][] s = new double[3][n];
    for (int i = 0; i < n; i++) {
      for (int k = 0; k < 3; k++) {
        s[k][i] = levels[2 * interval[i] + k];
      }
    }
    try (Scope scope = Scope.open()) {
      Tensor middle = step(teacher, solver, x, s[0], s[1], in, labels);
      Tensor end = step(teacher, solver, middle, s[1], s[2], in, labels);
      double[] a = new double[n];
      double[] b = new double[n];
      for (int i = 0; i < n; i++) {
        double r = s[2][i] / s[0][i];
        a[i] = 1 / (1 - r);
        b[i] = -r / (1 - r);
      }
      return scope.keep(RowOps.combine(in.perSample(a), end, in.perSample(b), x));
    }
  }

  private static Tensor step(
      Denoiser d,
      Solver solver,
      Tensor x,
      double[] from,
      double[] to,
      StepInput in,
      Tensor labels) {
    Tensor clean = d.denoise(x, in.perSample(from), labels);
    Tensor euler = towards(clean, x, from, to, in);
    if (solver == Solver.EULER) {
      return euler;
    }
    // Heun: half a step by the slope here, half by the slope there; a step to 0 stays Euler's.
    int n = from.length;
    double[] there = new double[n];
    double[] ofX = new double[n];
    double[] ofClean = new double[n];
    double[] ofSlope = new double[n];
    for (int i = 0; i < n; i++) {
      double h = (to[i] - from[i]) / 2;
      boolean toZero = to[i] == 0;
      there[i] = toZero ? from[i] : to[i];
      ofX[i] = toZero ? 0 : 1 + h / from[i];
      ofClean[i] = toZero ? 1 : -h / from[i];
      ofSlope[i] = toZero ? 0 : h / to[i];
    }
    Tensor corrected = d.denoise(euler, in.perSample(there), labels);
    Tensor half = RowOps.combine(in.perSample(ofX), x, in.perSample(ofClean), clean);
    Tensor slope = euler.sub(corrected);
    return RowOps.combine(Samplers.level(x, 1), half, in.perSample(ofSlope), slope);
  }

  /** x moved on the straight line to the clean estimate, from one noise level to another. */
  private static Tensor towards(Tensor clean, Tensor x, double[] from, double[] to, StepInput in) {
    double[] keep = new double[from.length];
    double[] move = new double[from.length];
    for (int i = 0; i < from.length; i++) {
      keep[i] = to[i] / from[i];
      move[i] = 1 - keep[i];
    }
    return RowOps.combine(in.perSample(keep), x, in.perSample(move), clean);
  }

  @Override
  public List<Objective> objectives() {
    return List.of(new Halving());
  }

  /** The regression of the student on x̃. */
  private final class Halving implements Objective {
    @Override
    public String name() {
      return "pd";
    }

    @Override
    public List<Optimizer> optimizers() {
      return List.of(optimizer);
    }

    @Override
    public double clipNorm() {
      return config.clipNorm;
    }

    @Override
    public double learningRateScale(long step) {
      return 1 - (double) (step % config.stepsPerStage) / config.stepsPerStage;
    }

    @Override
    public Var loss(Tape tape, StepInput input) {
      double[] levels = teacherLevels(input.step());
      int intervals = (levels.length - 1) / 2;
      int[] interval = input.integers("interval", intervals);
      double[] sigma = new double[interval.length];
      double[] weight = new double[interval.length];
      for (int i = 0; i < sigma.length; i++) {
        sigma[i] = levels[2 * interval[i]];
        weight[i] = config.weighting.of(sigma[i]);
      }
      Tensor level = input.perSample(sigma);
      NoisyInputs.Noisy noisy = inputs.at(input, studentLevels(input.step()), interval, null);
      Solver solver = stage(input.step()) == 0 ? config.solver : Solver.EULER;
      Denoiser from = currentTeacher(input.step());
      Tensor target = target(from, solver, noisy.x(), levels, interval, input, noisy.labels());
      Var answer = student.denoise(tape.input(noisy.x()), level, noisy.labels());
      return RowOps.meanSquaredError(answer, target, input.perSample(weight));
    }
  }

  @Override
  public Map<String, Params> networks() {
    return Map.of("student", student.network().params(), "previous", previous.network().params());
  }

  @Override
  public NetworkDenoiser student() {
    return student;
  }

  @Override
  public Sampler sampler() {
    return Samplers.eulerOn(studentLevels(steps() - 1));
  }
}
