package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.ConsistencyLearning.Weighting;
import dev.limbeck.distillation.ProgressiveDistillation.Solver;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Latent consistency distillation: a student f(x, σ, w) whose answers at two nodes of one guided
 * trajectory of the teacher agree, the nodes k of the schedule's T times apart.
 *
 * <p>With t = kj − 1 for j uniform in 1, …, T/k, t' = max(t − k, 0), w uniform, λ = 1 and x̂^w = (1
 * + w) c − w u,
 *
 * <pre>x_t' = (σ_t'/σ_t) x_t + (1 − σ_t'/σ_t) x̂^w(x_t, σ_t)
 * L = E λ d(f_θ(x_t, t, w), f_θ⁻(x_t', t', w)),  d(a, b) = mean_i √((a_i − b_i)² + c²) − c</pre>
 *
 * <p>f = c_skip z + c_out D with z = x/√(1 + σ²), where the coefficients are next to a step
 * function: f is D at all nodes but t' = 0, where it is z. θ⁻ is the moving average of θ, which is
 * also the result. The paper's w is {@code cfgScale} − 1. The method knows nothing of images: in a
 * latent space it is given latent batches.
 *
 * <p>The gradient reaches the student at t alone.
 *
 * <p>Equation, code, test:
 *
 * <ul>
 *   <li>nodes kj − 1, and those of sampling: {@link Config#times}; {@code inferenceNodes}
 *   <li>x_t', f_θ⁻ at t', and z at t' = 0: {@code wanted}; {@code
 *       theTargetAtTheBoundaryIsTheState}, {@code boundaries}
 *   <li>error of the map of order k: {@code theErrorOfTheMapIsProportionalToTheStride}, which
 *       follows the targets of {@code wanted} from node to node
 *   <li>w told to the student: {@code oneStepFollowsTheTrajectoryOfEachWeight}
 *   <li>skipping: with k = 20 a thousand iterations come to a twentieth of the error that k = 1
 *       leaves, {@code strideMakesTrainingConverge}
 * </ul>
 *
 * <p>What the loss looks like: it is a difference of neighbours, not an error. It falls at first,
 * may rise while what is known at the lowest nodes spreads to the upper ones, and ends where the
 * rate does; with a larger k it is larger and means more. Look at samples.
 *
 * <p>What goes wrong: k = 1 needs as many rounds as there are times before the upper nodes learn
 * anything; with a large k Euler's error makes samples too narrow, which Heun's steps mend.
 * Elements of an image that are compared one by one with equal weights pull at the least noise with
 * the signs of its differences alone: after 115,200 digits the answer at σ = 0.19 was further from
 * the trajectory's end (0.039) than the teacher's estimate (0.020), and four steps worse than one.
 * Whole images with the weight of raw answers come to 0.015 after 64,000. What a student learns of
 * one weight of guidance seeps into others, and adds up from step to step: that student's answer
 * without guidance lay 0.2 to 0.4 of the way to that for w = 1, where a quarter of the samples had
 * w = 0; now half of them have. The released code takes scales of guidance for weights in its help,
 * and random values for the projection of w, which is 0 at first here. The released c_out lacks the
 * σ_d that the printed one has ({@link Boundary}); both amount to the same rule up to that factor.
 * The released noise starts from unit variance although the last time's ᾱ is not 0; σ n here
 * differs by ½ σ⁻².
 *
 * @cost a step: 2 evaluations of the teacher (4 with Heun's), 1 of the target, 1 of the student, 1
 *     gradient; a copy of the average
 * @paper Luo et al. 2023, arXiv 2310.04378, algorithm 1
 */
public final class LatentConsistency implements InputDriven {
  /** Offered as {@code lcm}. */
  public static final Method METHOD =
      new Method(
          "lcm",
          "latent consistency: guided trajectories of any weight, in strides of k times",
          (preset, teacher) ->
              new LatentConsistency(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher, preset.batch()));

  /** How the boundary f(z, 0) = z is held, with c_skip = σ_d²/(s² + σ_d²) and s = 10 t. */
  public enum Boundary {
    /** What the other two amount to: D at every node, and z at t = 0. */
    EFFECTIVE,
    /** c_out = s/√(s² + σ_d²), as released with the paper. */
    RELEASED,
    /** c_out = σ_d s/√(s² + σ_d²), as printed: the network then answers in units of σ_d. */
    PRINTED;

    /** The factor on t, as released. */
    private static final double TIME_SCALE = 10;

    /** σ_d, as released. */
    static final double SIGMA_DATA = 0.5;

    double skip(int t) {
      double s = TIME_SCALE * t;
      return this == EFFECTIVE
          ? t == 0 ? 1 : 0
          : SIGMA_DATA * SIGMA_DATA / (s * s + SIGMA_DATA * SIGMA_DATA);
    }

    double out(int t) {
      double s = TIME_SCALE * t;
      return this == EFFECTIVE
          ? t == 0 ? 0 : 1
          : factor() * s / Math.sqrt(s * s + SIGMA_DATA * SIGMA_DATA);
    }

    /** c_out far from t = 0. */
    double factor() {
      return this == PRINTED ? SIGMA_DATA : 1;
    }
  }

  /**
   * The method's settings.
   *
   * @param table σ at the times t = 0, …, T − 1, ascending (paper: T = 1000)
   * @param stride k, by how many times the two nodes lie apart; it divides T (paper: 20)
   * @param weights of guidance that the student learns (paper: 2 to 14)
   * @param solver of the teacher's step from node to node; the paper's is DDIM, which is Euler's
   * @param boundary which rule f follows
   * @param metric d (paper: {@link ConsistencyMetric.Huber} with c = 0.001)
   * @param weighting λ (paper: 1)
   * @param emaRate of the target (paper: 0.999943; released script: 0.95)
   * @param iterations training steps
   * @param warmUp iterations over which the learning rate rises
   * @param decay the share of the run at whose start the learning rate begins to fall to 0
   * @param clipNorm largest global norm of the gradient (paper: 1)
   * @param samplingSteps nodes that the result is sampled at, by x = f(x, σ) and noise of the next
   *     of their levels
   */
  public record Config(
      double[] table,
      int stride,
      GuidanceWeights weights,
      Solver solver,
      Boundary boundary,
      ConsistencyMetric metric,
      Weighting weighting,
      double emaRate,
      long iterations,
      double learningRate,
      long warmUp,
      double decay,
      double clipNorm,
      int samplingSteps) {
    /** Times of the paper's table. */
    private static final int TIMES = 1000;

    private static final ConsistencyMetric HUBER = new ConsistencyMetric.Huber(0.001);

    /** The paper's settings for Stable Diffusion. */
    public static Config paper() {
      return new Config(
          NoiseLevels.scaledLinear(TIMES, 0.00085, 0.012),
          20,
          new GuidanceWeights(2, 14),
          Solver.EULER,
          Boundary.EFFECTIVE,
          HUBER,
          Weighting.UNIFORM,
          0.999943,
          100_000,
          8e-6,
          500,
          1,
          1,
          4);
    }

    /**
     * Strides of 20 times of the shifted cosine schedule, as many as the paper's; for points of 25
     * by Heun's steps, of which the error is next to none. Images are compared as a whole, with the
     * weight of raw answers.
     */
    public static Config of(Preset preset) {
      boolean points = preset.isPoints();
      return new Config(
          cosineTable(points ? Preconditioning.Edm.SIGMA_DATA : preset.shift()),
          points ? 25 : 20,
          new GuidanceWeights(0, 4, 0.5),
          points ? Solver.HEUN : Solver.EULER,
          Boundary.EFFECTIVE,
          points ? HUBER : new ConsistencyMetric.PseudoHuber(0, false),
          points ? Weighting.UNIFORM : Weighting.KARRAS_ROOT,
          0.95,
          preset.studentSteps(points ? 23_000 : preset.patient() ? 5000 : 1800),
          points ? 1e-3 : 7e-4,
          50,
          0.3,
          1,
          preset.sampleSteps(4));
    }

    /** A thousand levels of the shifted cosine schedule, ascending and without 0. */
    public static double[] cosineTable(double shift) {
      double[] descending = NoiseLevels.shiftedCosine(TIMES, shift, NoiseLevels.SIGMA_MAX);
      double[] table = new double[TIMES];
      for (int t = 0; t < TIMES; t++) {
        table[t] = descending[TIMES - 1 - t];
      }
      return table;
    }

    public Config {
      if (stride < 1 || table.length % stride != 0 || table.length == stride) {
        throw new IllegalArgumentException(
            "lcm: a stride of "
                + stride
                + " does not divide "
                + table.length
                + " times into two or more nodes");
      }
      int nodes = table.length / stride;
      if (samplingSteps < 1 || samplingSteps > nodes) {
        throw new IllegalArgumentException(
            "lcm samples with 1 to " + nodes + " steps, its nodes, not " + samplingSteps);
      }
    }

    /** S, the number of nodes. */
    public int nodes() {
      return table.length / stride;
    }

    /** The time of a node, of which 0 is the noisiest: k(S − node) − 1. */
    int time(int node) {
      return stride * (nodes() - node) - 1;
    }

    /** The nodes' levels, descending. */
    double[] grid() {
      double[] grid = new double[nodes()];
      for (int i = 0; i < grid.length; i++) {
        grid[i] = table[time(i)];
      }
      return grid;
    }

    /** The times at which a result is sampled with n steps: the nodes ⌊S i/n⌋. */
    public int[] times(int n) {
      int[] times = new int[n];
      for (int i = 0; i < n; i++) {
        times[i] = time((int) ((long) nodes() * i / n));
      }
      return times;
    }

    /** σ at the times at which a result is sampled with n steps. */
    double[] levels(int n) {
      return Arrays.stream(times(n)).mapToDouble(t -> table[t]).toArray();
    }
  }

  /** The stream of the nodes. */
  private static final String NODE = "node";

  private final Config config;
  private final Teacher teacher;
  private final GuidanceWeights weights;
  private final double sampledWeight;
  private final double[] grid;
  private final NetworkDenoiser student;
  private final NetworkDenoiser target;
  private final ConsistencyMetric.Distance metric;
  private final AdamW optimizer;
  private final Ema average;
  private NoisyInputs inputs = NoisyInputs.FORWARD;

  /**
   * Prepares training of a student that starts as the teacher.
   *
   * @param batch samples in a step
   * @throws IllegalArgumentException if the teacher's scale of guidance is none that is learnt
   */
  public LatentConsistency(Config config, Teacher teacher, int batch) {
    this.config = config;
    this.teacher = teacher;
    this.weights = config.weights.of(teacher);
    this.sampledWeight = config.weights.sampled(teacher, METHOD.name());
    this.grid = config.grid();
    this.student = teacher.student(true);
    this.target = teacher.student(true);
    Params params = student.network().params();
    this.metric = config.metric.on(params.device());
    this.optimizer = new AdamW(params, AdamW.Config.of((float) config.learningRate));
    this.average = new Ema(params, Ema.Kind.rate(config.emaRate), batch);
  }

  @Override
  public String name() {
    return METHOD.name();
  }

  @Override
  public long steps() {
    return config.iterations;
  }

  @Override
  public void drawFrom(NoisyInputs source) {
    inputs = source;
  }

  @Override
  public double[] grid(long step) {
    return NoiseLevels.toZero(grid);
  }

  @Override
  public Chain chain() {
    Estimates estimates =
        new Estimates() {
          @Override
          public Denoiser student(double[] guidance) {
            return scaled(student).weighted(GuidanceWeights.tensor(device(), guidance));
          }

          @Override
          public Denoiser teacher(long step, double[] guidance) {
            return teacher.guidedBy(GuidanceWeights.tensor(device(), guidance));
          }
        };
    return new Chain(Transition.RENOISING, config.levels(config.samplingSteps), weights, estimates);
  }

  @Override
  public List<Objective> objectives() {
    return List.of(new Consistency());
  }

  /** The agreement of the student's answers at two nodes of a guided trajectory. */
  private final class Consistency implements Objective {
    @Override
    public String name() {
      return METHOD.name();
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
      double rise = Math.min(1, (step + 1.0) / Math.max(1, config.warmUp));
      double start = config.decay * config.iterations;
      double fall = step < start ? 1 : (config.iterations - step) / (config.iterations - start);
      return rise * fall;
    }

    @Override
    public Ema average() {
      return average;
    }

    @Override
    public Var loss(Tape tape, StepInput in) {
      int[] node = in.integers(NODE, grid.length);
      NoisyInputs.Noisy noisy = inputs.at(in, grid(in.step()), node, weights.draw(in));
      Tensor w = in.perSample(noisy.guidance());
      Tensor wanted = wanted(noisy, node, in);
      int[] t = new int[node.length];
      Arrays.setAll(t, i -> config.time(node[i]));
      double[] sigma = levels(t);
      Var clean =
          student.denoise(
              tape.input(noisy.x()), in.perSample(sigma), noisy.labels(), w, Dropout.off());
      double[] lower = levels(lower(node));
      Tensor weight = in.perSample(config.weighting.of(sigma, lower));
      return metric.between(answer(noisy.x(), clean, t, sigma, in), wanted, weight);
    }
  }

  private double[] levels(int[] times) {
    double[] sigma = new double[times.length];
    Arrays.setAll(sigma, i -> config.table[times[i]]);
    return sigma;
  }

  /** t' for each sample. */
  private int[] lower(int[] node) {
    int[] lower = new int[node.length];
    Arrays.setAll(lower, i -> Math.max(config.time(node[i]) - config.stride, 0));
    return lower;
  }

  /**
   * f_θ⁻ at the lower nodes, where the teacher's steps lead.
   *
   * @param node for each sample the upper one
   */
  Tensor wanted(NoisyInputs.Noisy noisy, int[] node, StepInput in) {
    int[] lower = lower(node);
    double[] from = new double[node.length];
    Arrays.setAll(from, i -> grid[node[i]]);
    double[] to = levels(lower);
    try (Scope scope = Scope.open()) {
      Tensor w = in.perSample(noisy.guidance());
      target.network().params().copyFrom(average.params());
      Denoiser guided = teacher.guidedBy(w);
      Tensor x = SolverSteps.step(guided, config.solver, noisy.x(), from, to, in, noisy.labels());
      Tensor clean = target.weighted(w).denoise(x, in.perSample(to), noisy.labels());
      return scope.keep(answer(x, Var.constant(clean), lower, to, in).value());
    }
  }

  /** f = c_skip(t) z + c_out(t) D with z = x/√(1 + σ²). */
  private Var answer(Tensor x, Var clean, int[] t, double[] sigma, StepInput in) {
    double[] skip = new double[t.length];
    double[] out = new double[t.length];
    for (int i = 0; i < t.length; i++) {
      skip[i] = config.boundary.skip(t[i]) / Math.sqrt(1 + sigma[i] * sigma[i]);
      out[i] = config.boundary.out(t[i]);
    }
    return RowOps.combine(in.perSample(skip), Var.constant(x), in.perSample(out), clean);
  }

  @Override
  public Map<String, Params> networks() {
    return Map.of("student", student.network().params());
  }

  @Override
  public NetworkDenoiser student() {
    average.copyTo(target.network().params());
    return scaled(target);
  }

  /** Answers in units of the data, whatever the boundary makes of a network's. */
  private NetworkDenoiser scaled(NetworkDenoiser of) {
    double factor = config.boundary.factor();
    Preconditioning own = of.preconditioning();
    return new NetworkDenoiser(
        of.network(), factor == 1 ? own : new Preconditioning.Scaled(factor, own), sampledWeight);
  }

  @Override
  public GuidanceWeights guidance() {
    return weights;
  }

  @Override
  public Sampler sampler() {
    return Samplers.of(Samplers.Method.LCM, config.levels(config.samplingSteps));
  }

  @Override
  public List<Result> results() {
    return results(1, 2, 4);
  }

  /** Any number of steps up to that of the nodes. */
  @Override
  public Optional<Sampler> sampler(int steps) {
    return steps < 1 || steps > config.nodes()
        ? Optional.empty()
        : Optional.of(Samplers.of(Samplers.Method.LCM, config.levels(steps)));
  }

  private Device device() {
    return student.network().params().device();
  }
}
