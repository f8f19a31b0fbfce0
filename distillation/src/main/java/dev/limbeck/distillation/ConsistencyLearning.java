package dev.limbeck.distillation;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.SamplerSettings;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.distillation.diffusion.Tuning;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.op.MovingAverage;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.LrSchedule;
import dev.limbeck.nn.optim.RAdam;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What the consistency methods share: a student f(x, σ) whose answers at two noise levels of one
 * trajectory are to agree.
 *
 * <pre>L = E w d(f_θ(x_t, t), f_θ⁻(x_r, r)),  t &gt; r</pre>
 *
 * <p>The target f_θ⁻ is a moving average of the student or the student itself, without gradient,
 * and sees the dropout mask of the student's own evaluation. The gradient reaches the student at
 * the upper level alone. Which two levels and states are compared, and with which weight, is what
 * the methods differ in.
 */
abstract class ConsistencyLearning implements Distiller {
  /** Names of random streams. */
  static final String LEVEL = "level";

  static final String NOISE = "noise";

  /**
   * How the student is trained and sampled.
   *
   * @param rate the factor of the learning rate at each step
   * @param average of the student's weights, which is the result; or null for the weights as they
   *     are
   * @param dropout rate of a network that has none of its own
   * @param clipNorm largest global norm of the gradient; infinity does not clip
   * @param levels descending levels for sampling with up to so many steps; with n of them, every
   *     (length/n)-th
   * @param samplingSteps steps that the result is meant for
   */
  public record Training(
      long steps,
      double learningRate,
      LrSchedule rate,
      Ema.Kind average,
      double dropout,
      double clipNorm,
      double[] levels,
      int samplingSteps) {
    public Training {
      if (steps < 1 || samplingSteps < 1 || samplingSteps > levels.length) {
        throw new IllegalArgumentException(
            "consistency learning takes at least one step and samples with 1 to "
                + levels.length
                + " steps, not "
                + samplingSteps);
      }
    }

    /** As in the papers, for one-step samples; further levels are this project's choice. */
    static Training paper(long steps, double learningRate, double decay, double dropout) {
      return new Training(
          steps,
          learningRate,
          LrSchedule.constant(),
          Ema.Kind.rate(decay),
          dropout,
          Double.POSITIVE_INFINITY,
          new double[] {NoiseLevels.SIGMA_MAX, 24.4, 5.84, .9},
          1);
    }

    /**
     * For short runs: a larger learning rate, which falls to 0.
     *
     * @param own steps unless others are asked for
     * @param averaged whether the result is an average of the weights, for targets with noise
     */
    static Training of(Preset preset, long own, boolean averaged) {
      long steps = preset.studentSteps(preset.patient() ? 5 * own : own);
      double most = mostNoise(preset);
      double[] ofPoints = Renoising.ofPoints(most, 1).levels();
      double[] ofImages = {most, 5, .8, .3};
      return new Training(
          steps,
          preset.isPoints() && !averaged ? 2e-3 : 5e-4,
          LrSchedule.cosineToZero(steps).times(LrSchedule.warmUp(WARM_UP)),
          averaged ? average(preset) : null,
          0,
          CLIP,
          preset.isPoints() ? ofPoints : ofImages,
          preset.sampleSteps(2));
    }

    private static Ema.Kind average(Preset preset) {
      return preset.isPoints()
          ? Ema.Kind.powerWidth(WIDTH)
          : Ema.Kind.halfLife(AVERAGED * preset.batch(), RAMP_UP);
    }

    /** Width of the average of points' weights, a share of the run. */
    private static final double WIDTH = .1;

    /** Steps over which the learning rate of short runs rises. */
    private static final long WARM_UP = 50;

    /** Half-life of short runs' average, in steps, and its share of the run at most. */
    private static final double AVERAGED = 500;

    private static final double RAMP_UP = .05;
    private static final double CLIP = 10;
  }

  /** The boundary of short runs: points are not seen at less noise than a tenth of their modes'. */
  static double leastNoise(Preset preset) {
    return preset.isPoints() ? .005 : NoiseLevels.SIGMA_MIN;
  }

  /**
   * The largest noise of short runs. Points have mean 0 and deviation ½, next to which 10 is noise
   * alone; images have a mean whose length over all pixels is not small.
   */
  static double mostNoise(Preset preset) {
    return preset.isPoints() ? 10 : NoiseLevels.SIGMA_MAX;
  }

  /** The weight of a sample's distance, for an upper level t and a lower level r. */
  public enum Weighting {
    /** 1. */
    UNIFORM,
    /** 1/(t − r): finer grids compare smaller differences. */
    INVERSE_DISTANCE,
    /** EDM's 1/c_out²: what makes a network's raw answer's error count alike at all levels. */
    KARRAS,
    /** 1/c_out: the same for metrics that grow with errors instead of their squares. */
    KARRAS_ROOT;

    private static final Preconditioning EDM = new Preconditioning.Edm();

    double of(double t, double r) {
      return switch (this) {
        case UNIFORM -> 1;
        case INVERSE_DISTANCE -> 1 / (t - r);
        case KARRAS -> EDM.lossWeight(t);
        case KARRAS_ROOT -> 1 / EDM.out(t);
      };
    }

    /** The weights of many. */
    double[] of(double[] t, double[] r) {
      double[] weights = new double[t.length];
      for (int i = 0; i < t.length; i++) {
        weights[i] = of(t[i], r[i]);
      }
      return weights;
    }
  }

  /**
   * Two states of one trajectory for each sample, the upper one noisier.
   *
   * @param weight of each sample's distance
   * @shape upper, lower: [N,…]; labels: [N] or null
   */
  record Pair(Tensor upper, double[] t, Tensor lower, double[] r, Tensor labels, double[] weight) {}

  private final String name;
  private final Training training;
  private final ConsistencyMetric.Distance metric;
  private final NetworkDenoiser online;
  private final NetworkDenoiser target;
  private final NetworkDenoiser result;
  private final RAdam optimizer;
  private final Ema average;

  /**
   * Prepares training.
   *
   * @param warm whether the student starts as the teacher, if that is a network
   * @param averagedTarget whether targets come from a moving average of the student
   * @param batch samples in a step
   */
  ConsistencyLearning(
      String name,
      Training training,
      ConsistencyMetric metric,
      Teacher teacher,
      Preconditioning preconditioning,
      boolean warm,
      boolean averagedTarget,
      int batch) {
    this.name = name;
    this.training = training;
    this.online = network(teacher, preconditioning, warm);
    Params params = online.network().params();
    Device device = params.device();
    this.metric = metric.on(device);
    this.target = averagedTarget ? network(teacher, preconditioning, warm) : online;
    if (averagedTarget) {
      target.network().params().copyFrom(params);
    }
    AdamW.Config adam = new AdamW.Config((float) training.learningRate, 0.9f, 0.999f, 1e-8f, 0f);
    this.optimizer = new RAdam(params, adam);
    this.average = training.average == null ? null : new Ema(params, training.average, batch);
    this.result = average == null ? online : network(teacher, preconditioning, false);
  }

  private static NetworkDenoiser network(
      Teacher teacher, Preconditioning preconditioning, boolean warm) {
    return new NetworkDenoiser(
        warm ? teacher.student().network() : teacher.blueprint().create(false), preconditioning);
  }

  /**
   * The standard deviation of the data that an EDM-parameterised teacher assumes.
   *
   * @throws IllegalArgumentException if the teacher is parameterised otherwise
   */
  static double sigmaData(String method, Teacher teacher) {
    if (teacher.preconditioning() instanceof Preconditioning.Edm edm) {
      return edm.sigmaData();
    }
    throw new IllegalArgumentException(
        method
            + " needs a teacher with EDM's preconditioning (as limbeck train makes them), this one"
            + " has \""
            + teacher.preconditioning().text()
            + "\"; pd and dmd2 take any");
  }

  /**
   * Refuses a guided teacher, for methods that learn from data alone.
   *
   * @throws IllegalArgumentException if it is guided
   */
  static void refuseGuidance(String method, Teacher teacher) {
    if (teacher.cfgScale() != 1) {
      throw new IllegalArgumentException(
          method
              + " learns from data alone and cannot learn a teacher's guidance: leave --guidance"
              + " out, or distil the guided teacher with cd");
    }
  }

  /** What a step compares. */
  abstract Pair pair(StepInput in);

  /** The decay μ of the target's average after this step. */
  abstract double targetDecay(long step);

  @Override
  public String name() {
    return name;
  }

  @Override
  public long steps() {
    return training.steps;
  }

  /** Moves the target towards the student, as the step before left it. */
  @Override
  public void begin(long step) {
    if (step > 0 && target != online) {
      Params to = target.network().params();
      float rate = (float) (1 - targetDecay(step - 1));
      to.device().execute(new MovingAverage(rate, online.network().params().values(), to.values()));
      to.touch();
    }
  }

  @Override
  public List<Objective> objectives() {
    return List.of(
        Objective.of(
            name, List.of(optimizer), training.rate, training.clipNorm, average, this::loss));
  }

  /** The distance of the answers at both levels. */
  private Var loss(Tape tape, StepInput in) {
    Pair pair = pair(in);
    Dropout dropout = Dropout.off();
    if (training.dropout > 0) {
      dropout = new Dropout((float) training.dropout, in.stream("dropout").nextKey());
    }
    Tensor wanted = wanted(in, pair, dropout);
    Var answer =
        online.denoise(tape.input(pair.upper), in.perSample(pair.t), pair.labels, null, dropout);
    return metric.between(answer, wanted, in.perSample(pair.weight));
  }

  /** f_θ⁻(x_r, r): nothing of it is on the tape. */
  private Tensor wanted(StepInput in, Pair pair, Dropout dropout) {
    try (Scope scope = Scope.open()) {
      Var lower = Var.constant(pair.lower);
      Tensor level = in.perSample(pair.r);
      return scope.keep(target.denoise(lower, level, pair.labels, null, dropout).value());
    }
  }

  @Override
  public Map<String, Params> networks() {
    Map<String, Params> all = new LinkedHashMap<>();
    all.put("student", online.network().params());
    if (target != online) {
      all.put("target", target.network().params());
    }
    return all;
  }

  @Override
  public NetworkDenoiser student() {
    if (average != null) {
      average.copyTo(result.network().params());
    }
    return result;
  }

  @Override
  public Sampler sampler() {
    return renoising(training.samplingSteps);
  }

  @Override
  public Optional<Sampler> sampler(int steps) {
    boolean has = steps >= 1 && steps <= training.levels.length;
    return has ? Optional.of(renoising(steps)) : Optional.empty();
  }

  /**
   * Denoising fully and adding noise up to the next level again, n times; what a student with the
   * boundary ε answers has that much noise already.
   */
  private Sampler renoising(int n) {
    SamplerSettings settings = Samplers.Method.RENOISING.settings();
    if (online.preconditioning() instanceof Preconditioning.Consistency consistency) {
      settings =
          Samplers.Method.CONSISTENCY.settings().with(Tuning.EPSILON, consistency.sigmaMin());
    }
    return Samplers.of(settings, samplingLevels(n));
  }

  private double[] samplingLevels(int n) {
    double[] levels = new double[n];
    for (int i = 0; i < n; i++) {
      levels[i] = training.levels[i * training.levels.length / n];
    }
    return levels;
  }

  /** The student as it stands, which samples as it is meant to. */
  InputDriven.Chain chain(Denoiser teacher) {
    InputDriven.Estimates estimates =
        new InputDriven.Estimates() {
          @Override
          public Denoiser student(double[] guidance) {
            return online;
          }

          @Override
          public Denoiser teacher(long step, double[] guidance) {
            return teacher;
          }
        };
    return new InputDriven.Chain(
        InputDriven.Transition.RENOISING, samplingLevels(training.samplingSteps), null, estimates);
  }

  @Override
  public List<Result> results() {
    NetworkDenoiser student = student();
    List<Result> all = new ArrayList<>();
    for (int n = 1; n <= training.levels.length; n *= 2) {
      all.add(new Result(student, renoising(n)));
    }
    return all;
  }
}
