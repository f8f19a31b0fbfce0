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
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

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
 * Karras et al. differ in their levels only. Where σ'' = 0, x̃ is the teacher's last answer itself.
 * The gradient reaches the student alone, whatever it predicts (x₀, ε, v, both, EDM's F): see
 * {@link dev.limbeck.distillation.diffusion.Preconditioning}.
 *
 * <p><b>Card.</b> x', x'': {@link SolverSteps}; x̃: {@link #target}; the weight: {@link Weighting};
 * schedules: {@link NoiseLevels}. Tests: {@code ProgressiveDistillationTest} (exact students keep
 * the first teacher's samples, and the deviation .976187 of 64 steps, through all halvings; every
 * parameterisation), {@code GaussianTest}, {@code LossWeightsTest}, {@code LearningRatesTest}
 * (rates and optimizers begin anew). The loss falls within each halving and is larger in the next,
 * as steps grow. What goes wrong: pure ε-prediction at few steps, where x₀ = (z − b ε)/a magnifies
 * errors; raw SNR in place of max(1, SNR); too short last halvings, whose maps are the hardest;
 * learning rates that do not restart with each halving.
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

  /** Students of at most so many steps are kept when they become teachers. */
  private static final int KEPT = 4;

  /** How a step of the first teacher is taken. */
  public enum Solver {
    EULER,
    /** Second order, two evaluations a step but for a step to 0. */
    HEUN,
    /**
     * Eight of Heun's for each step, on levels between as Karras et al.'s lie, or by squares to 0:
     * for teachers that cost next to nothing, such as exact ones, whose own errors are then below
     * those of training (deviations of 0.11 come out 1 % too large).
     */
    FINE_HEUN
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
   * @param stepsOfLast training steps of each halving to two steps or one (paper: 100,000)
   * @param learningRate at the start of each halving, falling linearly to 0 (paper: 5e-5)
   * @param solver how the first teacher, the one that is no student, takes its steps; the paper has
   *     Euler, Heun needs fewer steps for the same error at twice their price
   * @param clipNorm largest global norm of the gradient (paper: 1)
   * @param clipped whether teachers' clean estimates are clamped to [−1, 1] before they make a
   *     target, which fits a first teacher that is sampled so (paper: not)
   */
  public record Config(
      double[] levels,
      int endSteps,
      long stepsPerStage,
      long stepsOfLast,
      double learningRate,
      double clipNorm,
      Solver solver,
      Weighting weighting,
      boolean clipped) {
    /** Students of at most so many steps take {@code stepsOfLast}. */
    private static final int LAST = 2;

    /** All halvings of one length, targets as they are. */
    public Config(
        double[] levels,
        int endSteps,
        long stepsPerStage,
        double learningRate,
        double clipNorm,
        Solver solver,
        Weighting weighting) {
      this(
          levels,
          endSteps,
          stepsPerStage,
          stepsPerStage,
          learningRate,
          clipNorm,
          solver,
          weighting,
          false);
    }

    /** The paper's settings for CIFAR-10. */
    public static Config paper() {
      return new Config(
          NoiseLevels.cosine(8192),
          1,
          50_000,
          100_000,
          5e-5,
          1,
          Solver.EULER,
          Weighting.TRUNCATED_SNR,
          false);
    }

    /**
     * On images four steps from eight of Heun's, which on the shifted levels draw as well as 35
     * evaluations on Karras et al.'s: with so good a first teacher, one halving learns more in the
     * same time than two.
     */
    public static Config of(Preset preset) {
      boolean points = preset.isPoints();
      int endSteps = preset.sampleSteps(points ? 1 : 4);
      return new Config(
          NoiseLevels.shiftedCosine(
              Math.max(8, 2 * endSteps), preset.shift(), NoiseLevels.SIGMA_MAX),
          endSteps,
          preset.studentSteps(points ? 8800 : preset.patient() ? 2000 : 1000),
          preset.studentSteps(points ? 5600 : preset.patient() ? 2000 : 1000),
          points ? 2e-3 : 1e-3,
          1,
          points ? Solver.FINE_HEUN : Solver.HEUN,
          Weighting.TRUNCATED_SNR,
          false);
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

    /** The levels of the student of a halving, counted from 0. */
    double[] studentLevels(int stage) {
      double[] of = levels;
      for (int i = 0; i <= stage; i++) {
        of = NoiseLevels.halve(of);
      }
      return of;
    }

    /** Training steps of a halving. */
    long length(int stage) {
      return studentSteps(stage) <= LAST ? stepsOfLast : stepsPerStage;
    }

    private int studentSteps(int stage) {
      return (levels.length - 1) >> (stage + 1);
    }

    /** The training step with which a halving begins. */
    long start(int stage) {
      long sum = 0;
      for (int i = 0; i < stage; i++) {
        sum += length(i);
      }
      return sum;
    }
  }

  /**
   * How networks are halved that are told a weight of guidance: it is drawn for each sample, and
   * told to teacher and student.
   *
   * @param first the first teacher, with a weight for each sample, [N]
   * @param doubleSteps whether students learn steps over two of their intervals, as Meng et al.'s
   *     stochastic sampler takes them; otherwise over one
   * @paper Meng et al. 2023, arXiv 2210.03142, section 3.2 and appendix
   */
  record Weighted(Function<Tensor, Denoiser> first, GuidanceWeights weights, boolean doubleSteps) {}

  private final Config config;
  private final Teacher teacher;
  private final Weighted weighted;
  private final NetworkDenoiser student;
  private final NetworkDenoiser previous;

  /** By the number of a halving, the student that came of it, if it is kept: the last is not. */
  private final Map<Integer, NetworkDenoiser> kept = new LinkedHashMap<>();

  private AdamW optimizer;
  private NoisyInputs inputs = NoisyInputs.FORWARD;

  public ProgressiveDistillation(Config config, Teacher teacher) {
    this(config, teacher, null);
  }

  /** Halves networks that are told a weight of guidance, if {@code weighted} is not null. */
  ProgressiveDistillation(Config config, Teacher teacher, Weighted weighted) {
    this.config = config;
    this.teacher = teacher;
    this.weighted = weighted;
    this.student = teacher.student(weighted != null);
    this.previous = teacher.student(weighted != null);
    this.optimizer = freshOptimizer();
    for (int i = 0; i + 1 < config.stages(); i++) {
      if (config.studentSteps(i) <= KEPT) {
        kept.put(i, teacher.student(weighted != null));
      }
    }
  }

  /** Sets off from a network of the students' architecture in place of the teacher's values. */
  void startFrom(Params values) {
    student.network().params().copyFrom(values);
    previous.network().params().copyFrom(values);
  }

  private AdamW freshOptimizer() {
    return new AdamW(student.network().params(), AdamW.Config.of((float) config.learningRate));
  }

  @Override
  public void drawFrom(NoisyInputs source) {
    inputs = source;
  }

  @Override
  public double[] grid(long step) {
    return studentLevels(step);
  }

  @Override
  public Chain chain() {
    Estimates estimates =
        new Estimates() {
          @Override
          public Denoiser student(double[] guidance) {
            return weighted == null ? student : student.weighted(onDevice(guidance));
          }

          @Override
          public Denoiser teacher(long step, double[] guidance) {
            return teacherOf(stage(step), weighted == null ? null : onDevice(guidance));
          }
        };
    GuidanceWeights weights = weighted == null ? null : weighted.weights;
    return new Chain(Transition.EULER, null, weights, estimates);
  }

  private Tensor onDevice(double[] guidance) {
    return GuidanceWeights.tensor(student.network().params().device(), guidance);
  }

  @Override
  public String name() {
    return "pd";
  }

  @Override
  public long steps() {
    return config.start(config.stages());
  }

  private int stage(long step) {
    int stage = 0;
    while (stage + 1 < config.stages() && step >= config.start(stage + 1)) {
      stage++;
    }
    return stage;
  }

  /** The levels of the student that is being trained at this step. */
  double[] studentLevels(long step) {
    return config.studentLevels(stage(step));
  }

  private double[] teacherLevels(int stage) {
    return stage == 0 ? config.levels : config.studentLevels(stage - 1);
  }

  /** The denoiser that the student of a halving learns from. */
  private Denoiser teacherOf(int stage, Tensor guidance) {
    Denoiser of;
    if (weighted == null) {
      of = stage == 0 ? teacher.denoiser() : teacher.thresholdedAlike(previous);
    } else {
      of = stage == 0 ? weighted.first.apply(guidance) : previous.weighted(guidance);
    }
    return config.clipped ? clipped(of) : of;
  }

  /** Clean estimates clamped to [−1, 1]. */
  static Denoiser clipped(Denoiser denoiser) {
    return (x, sigma, labels) -> denoiser.denoise(x, sigma, labels).clamp(-1f, 1f);
  }

  @Override
  public void begin(long step) {
    int stage = stage(step);
    if (stage > 0 && step == config.start(stage)) {
      Params trained = student.network().params();
      previous.network().params().copyFrom(trained);
      if (kept.containsKey(stage - 1)) {
        kept.get(stage - 1).network().params().copyFrom(trained);
      }
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
    return target(teacher, solver, x, steps(levels, interval, false), in, labels);
  }

  /**
   * Where the teacher's two steps begin, meet and end, for each sample.
   *
   * @param doubleSteps whether they are of two intervals each. The last of the student's intervals
   *     has none after it: there the teacher takes one step, over these same two intervals, and its
   *     first leads nowhere
   */
  static double[][] steps(double[] levels, int[] interval, boolean doubleSteps) {
    double[][] s = new double[3][interval.length];
    for (int i = 0; i < interval.length; i++) {
      int at = 2 * interval[i];
      boolean last = at + 2 == levels.length - 1;
      s[0][i] = levels[at];
      s[1][i] = levels[doubleSteps ? last ? at : at + 2 : at + 1];
      s[2][i] = levels[doubleSteps && !last ? at + 4 : at + 2];
    }
    return s;
  }

  /** As above, for steps given by {@link #steps}. */
  static Tensor target(
      Denoiser teacher, Solver solver, Tensor x, double[][] s, StepInput in, Tensor labels) {
    int n = s[0].length;
    try (Scope scope = Scope.open()) {
      Tensor middle = SolverSteps.step(teacher, solver, x, s[0], s[1], in, labels);
      Tensor end = SolverSteps.step(teacher, solver, middle, s[1], s[2], in, labels);
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
      int stage = stage(step);
      return 1 - (double) (step - config.start(stage)) / config.length(stage);
    }

    @Override
    public Var loss(Tape tape, StepInput input) {
      int stage = stage(input.step());
      double[] levels = teacherLevels(stage);
      int intervals = (levels.length - 1) / 2;
      int[] interval = input.integers("interval", intervals);
      double[] sigma = new double[interval.length];
      double[] weight = new double[interval.length];
      for (int i = 0; i < sigma.length; i++) {
        sigma[i] = levels[2 * interval[i]];
        weight[i] = config.weighting.of(sigma[i]);
      }
      Tensor level = input.perSample(sigma);
      double[] drawn = weighted == null ? null : weighted.weights.draw(input);
      NoisyInputs.Noisy noisy = inputs.at(input, config.studentLevels(stage), interval, drawn);
      Tensor w = weighted == null ? null : input.perSample(noisy.guidance());
      Solver solver = stage == 0 ? config.solver : Solver.EULER;
      Denoiser from = teacherOf(stage, w);
      double[][] steps = steps(levels, interval, weighted != null && weighted.doubleSteps);
      Tensor target = target(from, solver, noisy.x(), steps, input, noisy.labels());
      Var answer = student.denoise(tape.input(noisy.x()), level, noisy.labels(), w, Dropout.off());
      return RowOps.meanSquaredError(answer, target, input.perSample(weight));
    }
  }

  @Override
  public Map<String, Params> networks() {
    Map<String, Params> all = new LinkedHashMap<>();
    all.put("student", student.network().params());
    all.put("previous", previous.network().params());
    kept.forEach((stage, of) -> all.put("student" + stage, of.network().params()));
    return all;
  }

  @Override
  public NetworkDenoiser student() {
    return student;
  }

  @Override
  public Sampler sampler() {
    return samplerOf(config.stages() - 1);
  }

  private Sampler samplerOf(int stage) {
    return Samplers.eulerOn(config.studentLevels(stage));
  }

  /** The last student, and those of up to four steps that came before it. */
  @Override
  public List<Result> results() {
    List<Result> all = new ArrayList<>();
    all.add(new Result(student, sampler()));
    kept.forEach((stage, of) -> all.add(new Result(of, samplerOf(stage))));
    all.sort(Comparator.comparingInt(result -> result.sampler().evaluations()));
    return all;
  }
}
