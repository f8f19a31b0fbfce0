package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Condition;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.LrSchedule;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Mean velocities: a student u(z, r, t) that tells how far the flow from noise to data goes between
 * two times, so that z_r = z_t − (t − r) u in one step of any length.
 *
 * <p>On z_t = (1 − t) x₀ + t n with velocity v = dz/dt, the mean u = 1/(t − r) ∫_r^t v dτ is the
 * solution of
 *
 * <pre>
 * u = v − (t − r) du/dt,   du/dt = v ∂u/∂z + ∂u/∂t
 * L = E w ‖u_θ − (v − (t − r) du/dt)⁻‖²,   w = 1/(‖…‖² + c)^p without gradient
 * </pre>
 *
 * <p>du/dt is exact: it is made of the tangent of the very evaluation that is recorded for the
 * gradient, taken along (v, 1) times t − r; no differences are taken. v is the teacher's, (z −
 * D)/t, or that of the one sample, n − x₀, whose mean it is ({@link Velocity}). The gradient
 * reaches the student.
 *
 * <p>As a denoiser: with σ = t/(1 − t) and x = z/(1 − t), the student is D(x, σ; r) = z − t u(z, r,
 * t), so that a network of EDM's or TrigFlow's preconditioning is u without any change: a student
 * starts as its teacher, blind to r, where u = v exactly. The network is told r/t through its input
 * for the weight of guidance, in units of that input's wavelength ({@link #told}); the weight 0,
 * which it is told by default, is r = 0, and D(x, σ; 0) is the map to data. In u = p z + q R(z/h,
 * number) the coefficients are h² = t² + σ_d² (1 − t)², p = h'/h and q = ∓σ_d/h.
 *
 * <p>Where the sources differ: the paper has c = 10⁻³; its released code 10⁻². The paper tells the
 * network (t, t − r), which it found slightly better than (t, r); here it is told (t, r/t), which
 * tells apart small times too, and whose second number has the derivative −r/t².
 *
 * <p>Results of several steps renoise: from the map to data alone, each step mends the one before
 * it, where the paper's sampler, which goes from t to r, keeps its errors (digits, one student,
 * 2,000 samples, Fréchet distances in two and four steps: 1.07 and 1.11, against 1.36 and 1.47 at
 * that sampler's best levels of some).
 *
 * <p>Where it is: the process and v {@link #at}, the target {@link #target}, the loss {@code
 * Identity.loss}, the paper's sampler {@link #sample}. What tests it: MeanFlowTest finds the target
 * to be u itself where u is the exact mean velocity of a Gaussian, compares du/dt with differences,
 * and samples after training in one and two steps.
 *
 * <p>The loss: with p = 1 every sample counts ‖…‖²/(‖…‖² + c), just under 1, and there is no trend
 * before ‖…‖² falls to c, which the error of single samples never does: look at samples. With p = 0
 * it falls to the variance of v given z.
 *
 * <p>What goes wrong: high-frequency features of the noise input, whose ∂u/∂t is noise; more than
 * half of the samples with r ≠ t before v is learnt, for then u follows its own errors; p = 1 in
 * few dimensions with single samples' v, whose weighted mean is not their mean.
 *
 * @paper Geng et al. 2025, arXiv 2505.13447, algorithms 1 and 2, section 4.3
 */
public final class MeanFlow implements Distiller {
  /** Offered as {@code meanflow}. */
  public static final Method METHOD =
      new Method(
          "meanflow",
          "mean velocities between two times: exact derivatives along the teacher's flow",
          (preset, teacher) ->
              new MeanFlow(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher, preset.batch()));

  private static final String NAME = "meanflow";

  /** Whose velocity is averaged. */
  public enum Velocity {
    /** The teacher's: distillation. */
    TEACHER,
    /** That of each sample's own data and noise, as in the paper: training from data alone. */
    DATA
  }

  /**
   * The method's settings; the numbers given as the paper's are those for ImageNet.
   *
   * @param logMean mean of ln(t/(1 − t)), which is ln σ (paper: −0.4)
   * @param logDeviation its deviation (paper: 1.0)
   * @param sigmaMax larger σ = t/(1 − t) count as this one: d/dt of the network's noise input grows
   *     with σ, and with it what the network has not learnt of how little it matters there
   * @param apart share of the samples with r ≠ t (paper: 0.25)
   * @param power p (paper: 1)
   * @param floor c (paper: 1e-3)
   * @param dropout rate of a network that has none of its own
   * @param rate the factor of the learning rate at each step
   * @param average of the student's weights, which is the result; or null for the weights as they
   *     are
   */
  public record Config(
      Velocity velocity,
      long steps,
      double learningRate,
      LrSchedule rate,
      double logMean,
      double logDeviation,
      double sigmaMax,
      double apart,
      double power,
      double floor,
      double dropout,
      Ema.Kind average,
      double clipNorm,
      Renoising sampling) {
    /** The paper's settings for ImageNet: one step, from data. */
    public static Config paper() {
      return new Config(
          Velocity.DATA,
          1_200_000,
          1e-4,
          LrSchedule.constant(),
          -0.4,
          1.0,
          Double.POSITIVE_INFINITY,
          0.25,
          1,
          1e-3,
          0,
          Ema.Kind.rate(0.9999),
          Double.POSITIVE_INFINITY,
          Renoising.of(Preconditioning.Edm.SIGMA_DATA, 1));
    }

    /**
     * The teacher's flow; most samples apart, because v is known already, and times further apart
     * than the paper's for ImageNet (nearer its own for CIFAR-10), because one step goes all the
     * way. p = 0: w tames what single samples' v differ from their mean by, which the teacher's
     * does not, and with p = 1 those count whose r is next to t, where the teacher is right
     * already. (On digits, after 600 steps of 64 images, the Fréchet distances in one, two and four
     * steps were 55, 8.8 and 2.6 with p = 1, 9.1, 4.3 and 3.2 with p = 0; and 3.6, 1.7 and 1.6 at
     * this rate.)
     */
    public static Config of(Preset preset) {
      boolean few = preset.isPoints();
      long steps = preset.studentSteps(few ? 34_000 : preset.patient() ? 6000 : 1200);
      double mean = -0.8 + Math.log(preset.shift());
      double deviation = 2.0;
      double unit = Preconditioning.Edm.SIGMA_DATA * preset.shift();
      int drawn = preset.sampleSteps(1);
      return new Config(
          Velocity.TEACHER,
          steps,
          few ? 5e-4 : 1e-3,
          LrSchedule.warmUp(100).times(LrSchedule.cosineToZero(steps)),
          mean,
          deviation,
          ConsistencyLearning.mostNoise(preset),
          0.75,
          0,
          1e-3,
          0,
          Ema.Kind.powerWidth(0.1),
          10,
          few
              ? Renoising.ofPoints(ConsistencyLearning.mostNoise(preset), drawn)
              : Renoising.of(Renoising.top(mean, deviation), unit, drawn));
    }

    public Config {
      if (steps < 1 || !(apart >= 0 && apart <= 1) || !(floor > 0)) {
        throw new IllegalArgumentException(
            "meanflow needs steps, a share in [0, 1] and c > 0, not "
                + steps
                + ", "
                + apart
                + " and "
                + floor);
      }
    }

    /** t for a normally distributed number. */
    double time(double normal) {
      double sigma = Math.exp(logMean + logDeviation * normal);
      return 1 / (1 + 1 / Math.min(sigma, sigmaMax));
    }
  }

  private final Config config;
  private final Denoiser teacher;
  private final NetworkDenoiser student;
  private final NetworkDenoiser result;
  private final Ema average;
  private final AdamW optimizer;

  /**
   * Prepares training.
   *
   * @param batch samples in a step
   * @throws IllegalArgumentException if the teacher is parameterised in a way that the student
   *     cannot have, or guided where its guidance could not be learnt
   */
  public MeanFlow(Config config, Teacher teacher, int batch) {
    this.config = config;
    this.teacher = teacher.denoiser();
    boolean isNetwork = teacher.initial() != null;
    boolean fromData = config.velocity == Velocity.DATA;
    if (fromData && teacher.cfgScale() != 1) {
      throw new IllegalArgumentException(
          "meanflow from data cannot learn a teacher's guidance: leave --guidance out, or average"
              + " the teacher's velocity");
    }
    Preconditioning own = teacher.preconditioning();
    double sigmaData = TrigNetwork.of(NAME, own).sigmaData();
    Preconditioning p = isNetwork ? own : new Preconditioning.TrigFlow(sigmaData);
    this.student = new NetworkDenoiser(teacher.student(true).network(), p);
    Params params = student.network().params();
    this.average = config.average == null ? null : new Ema(params, config.average, batch);
    this.result =
        average == null ? student : new NetworkDenoiser(teacher.blueprint().create(true), p);
    this.optimizer = new AdamW(params, AdamW.Config.of((float) config.learningRate));
  }

  /**
   * Points on the process, each with the time r to go to, and the velocity there.
   *
   * @shape z, velocity: [N,…]
   */
  record Points(double[] t, double[] r, Tensor z, Tensor velocity) {}

  /** z_t for data and noise, with this configuration's velocity. */
  Points at(double[] t, double[] r, Tensor noise, StepInput in) {
    int n = t.length;
    double[] rest = new double[n];
    double[] ones = new double[n];
    double[] sigma = new double[n];
    double[] inverse = new double[n];
    double[] minus = new double[n];
    for (int i = 0; i < n; i++) {
      rest[i] = 1 - t[i];
      ones[i] = 1;
      sigma[i] = t[i] / rest[i];
      inverse[i] = 1 / t[i];
      minus[i] = -inverse[i];
    }
    Tensor z = RowOps.combine(in.perSample(rest), in.images(), in.perSample(t), noise);
    if (config.velocity == Velocity.DATA) {
      return new Points(t, r, z, noise.sub(in.images()));
    }
    Tensor level = in.perSample(sigma);
    Tensor noisy = RowOps.combine(in.perSample(ones), in.images(), level, noise);
    Tensor clean = teacher.denoise(noisy, level, in.labels());
    Tensor v = RowOps.combine(in.perSample(inverse), z, in.perSample(minus), clean);
    return new Points(t, r, z, v);
  }

  /**
   * The coefficients of u = p z + q R(z/h, number) at one time, and their derivatives by it.
   *
   * <p>h h' = t − σ_d² (1 − t), and h'² + h h'' = 1 + σ_d².
   */
  private record Coefficients(
      double h, double dh, double p, double dp, double q, double dq, double dNumber) {
    static Coefficients at(TrigNetwork network, double t) {
      double sd = network.sigmaData();
      double h = Math.hypot(t, sd * (1 - t));
      double dh = (t - sd * sd * (1 - t)) / h;
      double ddh = (1 + sd * sd - dh * dh) / h;
      // D = … − sign σ_d sin t_angle R, and u = (z − D)/t.
      double q = network.sign() * sd / h;
      double sigma = t / (1 - t);
      // The angle's derivative by t is σ_d/h², and cos · sin of the angle is t (1 − t) σ_d/h².
      double dNumber = network.numberSlope(sigma) / (t * (1 - t));
      return new Coefficients(
          h, dh, dh / h, (ddh * h - dh * dh) / (h * h), q, -q * dh / h, dNumber);
    }
  }

  /**
   * What the network is told of r, within one wavelength: features of r itself that turn many times
   * on the way from 0 to 1 make of each r another problem.
   */
  static double told(NetworkDenoiser student, double t, double r) {
    return student.network().guidanceWavelength() * r / t;
  }

  /** The student's raw output at these points, with its tangent along (v, 1) times t − r. */
  static Var evaluate(NetworkDenoiser student, Points at, Tape tape, StepInput in, Dropout mask) {
    TrigNetwork network = TrigNetwork.of(NAME, student.preconditioning());
    int n = at.t.length;
    double[] scale = new double[n];
    double[] alongV = new double[n];
    double[] alongZ = new double[n];
    double[] number = new double[n];
    double[] ofNumber = new double[n];
    double[] told = new double[n];
    double[] ofTold = new double[n];
    for (int i = 0; i < n; i++) {
      Coefficients c = Coefficients.at(network, at.t[i]);
      double span = at.t[i] - at.r[i];
      told[i] = told(student, at.t[i], at.r[i]);
      ofTold[i] = -span * told[i] / at.t[i];
      scale[i] = 1 / c.h;
      alongV[i] = span / c.h;
      alongZ[i] = -span * c.dh / (c.h * c.h);
      number[i] = student.preconditioning().noise(at.t[i] / (1 - at.t[i]));
      ofNumber[i] = span * c.dNumber;
    }
    Tensor direction =
        RowOps.combine(in.perSample(alongV), at.velocity, in.perSample(alongZ), at.z);
    Var x = tape.input(RowOps.scale(in.perSample(scale), at.z)).withTangent(direction);
    Var noise = Var.dual(in.perSample(number), in.perSample(ofNumber));
    Var end = Var.dual(in.perSample(told), in.perSample(ofTold));
    Condition condition = new Condition(noise, in.labels(), end);
    return student.network().forward(x, condition, mask);
  }

  /** u = p z + q R, recorded. */
  static Var velocity(NetworkDenoiser student, Points at, Var raw, StepInput in) {
    TrigNetwork network = TrigNetwork.of(NAME, student.preconditioning());
    double[] p = new double[at.t.length];
    double[] q = new double[at.t.length];
    for (int i = 0; i < p.length; i++) {
      Coefficients c = Coefficients.at(network, at.t[i]);
      p[i] = c.p;
      q[i] = c.q;
    }
    return RowOps.combine(in.perSample(p), Var.constant(at.z), in.perSample(q), raw);
  }

  /**
   * v − (t − r) du/dt.
   *
   * @param raw the network's output with its tangent, as {@link #evaluate} makes it
   */
  static Tensor target(NetworkDenoiser student, Points at, Var raw, StepInput in) {
    TrigNetwork network = TrigNetwork.of(NAME, student.preconditioning());
    int n = at.t.length;
    double[] ofV = new double[n];
    double[] ofZ = new double[n];
    double[] ofRaw = new double[n];
    double[] ofTangent = new double[n];
    for (int i = 0; i < n; i++) {
      Coefficients c = Coefficients.at(network, at.t[i]);
      double span = at.t[i] - at.r[i];
      ofV[i] = 1 - span * c.p;
      ofZ[i] = -span * c.dp;
      ofRaw[i] = -span * c.dq;
      ofTangent[i] = -c.q;
    }
    Tensor known = RowOps.combine(in.perSample(ofV), at.velocity, in.perSample(ofZ), at.z);
    return known.add(
        RowOps.combine(in.perSample(ofRaw), raw.value(), in.perSample(ofTangent), raw.tangent()));
  }

  /**
   * Goes from noise of the first level down the levels, one evaluation for each, and to data with
   * the last: z_r = z_t − (t − r) u(z_t, r, t), which is D(x, σ; r) mixed with z.
   *
   * @param levels descending σ without a final 0
   * @shape noise and the result: [N,…]; labels: [N] or null
   */
  public static Tensor sample(
      NetworkDenoiser student, Tensor noise, Tensor labels, double... levels) {
    try (Scope scope = Scope.open()) {
      Tensor x = noise.mul((float) levels[0]);
      for (int i = 0; i < levels.length; i++) {
        double t = levels[i] / (1 + levels[i]);
        double r = i + 1 < levels.length ? levels[i + 1] / (1 + levels[i + 1]) : 0;
        Tensor level = Samplers.level(x, levels[i]);
        Tensor told = Samplers.level(x, told(student, t, r));
        Tensor end = student.weighted(told).denoise(x, level, labels);
        // z_r = (r/t) z_t + (1 − r/t) D with z = (1 − t) x, and x_r = z_r/(1 − r).
        x =
            x.mul((float) (r * (1 - t) / (t * (1 - r))))
                .addInPlace((float) ((1 - r / t) / (1 - r)), end);
      }
      return scope.keep(x);
    }
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public long steps() {
    return config.steps;
  }

  @Override
  public List<Objective> objectives() {
    return List.of(
        Objective.of(NAME, List.of(optimizer), config.rate, config.clipNorm, average, this::loss));
  }

  /** The regression of u on what the identity makes of its derivative. */
  private Var loss(Tape tape, StepInput in) {
    Dropout mask = Dropout.off();
    if (config.dropout > 0) {
      mask = new Dropout((float) config.dropout, in.stream("dropout").nextKey());
    }
    Points at = points(in);
    Var raw = evaluate(student, at, tape, in, mask);
    Var u = velocity(student, at, raw, in);
    Tensor target = target(student, at, raw, in);
    return RowOps.meanSquaredError(u, target, weights(u.value(), target));
  }

  private Points points(StepInput in) {
    int n = in.size();
    float[] first = in.normals("first");
    float[] second = in.normals("second");
    float[] chance = in.uniforms("apart");
    double[] t = new double[n];
    double[] r = new double[n];
    for (int i = 0; i < n; i++) {
      double a = config.time(first[i]);
      double b = chance[i] < config.apart ? config.time(second[i]) : a;
      t[i] = Math.max(a, b);
      r[i] = Math.min(a, b);
    }
    return at(t, r, in.noise("noise"), in);
  }

  /** The sum over a sample is its width times the mean that the loss takes. */
  private Tensor weights(Tensor u, Tensor target) {
    int n = u.dim(0);
    int width = u.size() / n;
    Tensor sizes = u.sub(target).square().reshape(n, width).sum(1, false);
    return sizes.add((float) config.floor).pow((float) -config.power).mul(width);
  }

  @Override
  public Map<String, Params> networks() {
    return Map.of("student", student.network().params());
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
    return config.sampling.sampler();
  }

  @Override
  public Optional<Sampler> sampler(int steps) {
    return config.sampling.sampler(steps);
  }

  @Override
  public List<Result> results() {
    return config.sampling.results(student());
  }
}
