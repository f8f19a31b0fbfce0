package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.nn.Condition;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.LrSchedule;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.nn.optim.RAdam;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Continuous-time consistency: a student f(x, t) whose derivative along the flow from noise to data
 * is to vanish, df/dt = 0, so that every point of a path is mapped to the path's clean end.
 *
 * <p>On TrigFlow's process x_t = cos t x₀ + sin t σ_d n with f = cos t x_t − sin t σ_d F(x_t/σ_d,
 * t), which is the denoiser D(x, σ) at σ = σ_d tan t and x = x_t/cos t, the training follows
 *
 * <pre>
 * g = cos t · df/dt = −cos²t (σ_d F − dx_t/dt) − r cos t sin t (x_t + σ_d dF/dt)
 * L = E e^(−u(t))/D ‖F_θ − F_θ⁻ − g/(‖g‖ + c)‖² + u(t)
 * </pre>
 *
 * <p>whose gradient is −2 e^(−u) ⟨g, ∂F⟩/(‖g‖ + c)/D. dF/dt = ∂F/∂x · dx_t/dt + ∂F/∂t is exact: it
 * is the tangent of the very evaluation that is recorded for the gradient, taken along (dx_t/dt, 1)
 * times cos t sin t, which keeps it bounded at both ends; no differences are taken. dx_t/dt is the
 * teacher's, (cos t x_t − D)/sin t ({@link Form#DISTILLATION}), or that of the one sample, cos t
 * σ_d n − sin t x₀, whose mean it is ({@link Form#TRAINING}). r rises from 0 to 1 in the warm-up.
 * The gradient reaches the student, and u alone through e^(−u) and u.
 *
 * <p>A network of EDM's preconditioning is one of TrigFlow's but for F's sign and for its noise
 * input: a student starts as its teacher whatever the two are, and keeps the teacher's. An exact
 * denoiser's student gets the angle t as the paper has it.
 *
 * <p>Where the sources differ: the paper divides g by ‖g‖ + c over the sample and has the factor
 * 1/(σ_d tan t) of the loss within g, as cos t; FastGen's code takes the root mean square for ‖g‖
 * and multiplies the loss by 1/(σ_d tan t) once more. {@link Size} and {@link Weighting} switch.
 *
 * <p>Where it is: the process {@link #at}, g {@link #tangent}, its normalisation {@link
 * #normalised}, the loss {@link #loss}. What tests it: ContinuousConsistencyTest compares g with
 * the closed form for a Gaussian and with differences along the flow, finds no gradient at the
 * exact map, and samples after training in one and two steps; LevelUncertaintyTest compares what u
 * makes of the loss.
 *
 * <p>The loss: the error of each step is g/(‖g‖ + c) itself, and once u has settled, in the first
 * hundreds of steps, L is 1 + E ln(‖g‖²/(‖g‖ + c)²/D). It rises in the warm-up, as g gets its
 * second half. In distillation it falls from then on where the student can follow the teacher so
 * well that ‖g‖ falls below c, as in the plane; tangents of single samples do not vanish, and in
 * training it has no trend: look at samples. Without normalisation and u it is E w g² itself.
 *
 * <p>What goes wrong: high-frequency features of the noise input (dF/dt is then mostly ∂F/∂t, and
 * noisy; so large gradients at large t); warm-up left out from fresh weights; a learning rate that
 * suits denoising. Errors travel along the flow to larger t, as each g asks for agreement with what
 * is below; with q the density of ln σ and w the weight they shrink on the way, in the mean of
 * squares under w q and for a student that can follow any g, where d ln(w q)/d ln σ &lt; 2 cos²t
 * (integrate w q e (cos²t e + cos t sin t de/dt) by parts along the flow, which keeps its density).
 * It is a matter of margins: on digits after 600 steps, tangents not normalised and without u, sct
 * was in one, two and four steps at 10.2, 6.9 and 10.8 with w = 1, at 12.5, 17.8 and 24.4 with
 * sin²t, which breaks it, at 25.9, 2.2 and 1.9 with 1/σ, and at 7.6, 1.8 and 1.7 with 1/sin t
 * ({@link Weighting}).
 *
 * <p>Normalised tangents are a trap in short runs: the mean of g/(‖g‖ + c) over the samples through
 * one point vanishes elsewhere than the mean of g, and large tangents, where modes part, count for
 * too little. (In the plane, two modes of mass 2:1 became 3.3:1 from data, and 1.9:1 with {@link
 * Size#NONE}, after 1500 steps each; five modes of a teacher were in four steps 4.0 times the floor
 * after 8000 steps, and 1.9 times with NONE after 4000. On digits scm after 600 steps was in one,
 * two and four steps at 5.8, 3.7 and 4.6, and at 5.6, 2.1 and 1.9 with NONE and without u.)
 *
 * @paper Lu and Song 2024, arXiv 2410.11081, algorithm 1 and equations 6 to 8
 */
public final class ContinuousConsistency implements Distiller {
  /** Offered as {@code scm}. */
  public static final Method METHOD =
      new Method(
          "scm",
          "consistency in continuous time: exact derivatives along the teacher's flow",
          (preset, teacher) -> create(Form.DISTILLATION, preset, teacher));

  /** Offered as {@code sct}. */
  public static final Method TRAINING =
      new Method(
          "sct",
          "consistency in continuous time from data alone",
          (preset, teacher) -> create(Form.TRAINING, preset, teacher));

  /** Where the flow comes from. */
  public enum Form {
    /** sCD: from the teacher. */
    DISTILLATION,
    /** sCT: from each sample's own data and noise. */
    TRAINING
  }

  /** What a tangent is divided by, besides c. */
  public enum Size {
    /** √Σ g², as in the paper. */
    NORM,
    /** √mean g², as in FastGen. */
    ROOT_MEAN_SQUARE,
    /** Nothing, and c is not added either. */
    NONE
  }

  /** What a level's loss is multiplied by, besides e^(−u). */
  public enum Weighting {
    /** 1, as in the paper. */
    ONE,
    /** 1/(σ_d tan t), as in FastGen. */
    INVERSE_SIGMA,
    /** 1/sin t: more at little noise, and at much noise no less. */
    INVERSE_SINE;

    double of(double sigma, double sigmaData) {
      return switch (this) {
        case ONE -> 1;
        case INVERSE_SIGMA -> 1 / sigma;
        case INVERSE_SINE -> Math.hypot(sigma, sigmaData) / sigma;
      };
    }
  }

  /**
   * The method's settings; c, H, P_mean and P_std are the paper's symbols.
   *
   * @param logMean P_mean, the mean of ln σ = ln(σ_d tan t) (paper: −1.0)
   * @param logDeviation P_std, the deviation of ln σ (paper: 1.4)
   * @param warmUp H, steps over which r rises from 0 to 1 (paper: 10,000)
   * @param size what tangents are divided by
   * @param floor c, added to that (paper: 0.1)
   * @param weighting of levels
   * @param adaptive whether u is learnt; otherwise it is 0
   * @param warmStart whether the student starts as the teacher, if that is a network (paper: yes)
   * @param dropout rate of a network that has none of its own (paper: 0, and 0.2 for training)
   * @param rate the factor of the learning rate at each step
   * @param average of the student's weights, which is the result; or null for the weights as they
   *     are
   */
  public record Config(
      long steps,
      double learningRate,
      LrSchedule rate,
      double logMean,
      double logDeviation,
      long warmUp,
      Size size,
      double floor,
      Weighting weighting,
      boolean adaptive,
      boolean warmStart,
      double dropout,
      Ema.Kind average,
      double clipNorm,
      Renoising sampling) {
    /** The paper's settings for CIFAR-10. */
    public static Config paper(Form form) {
      return new Config(
          400_000,
          1e-4,
          LrSchedule.constant(),
          -1.0,
          1.4,
          10_000,
          Size.NORM,
          0.1,
          Weighting.ONE,
          true,
          true,
          form == Form.TRAINING ? 0.2 : 0,
          Ema.Kind.powerWidth(0.05),
          Double.POSITIVE_INFINITY,
          Renoising.of(Preconditioning.Edm.SIGMA_DATA, 2));
    }

    /**
     * Two steps; levels and length scaled to the preset, no normalisation, and no u, which
     * normalises too. Images weigh levels by 1/sin t. Points see small noise as often as
     * consistency training's do, and are sampled from σ = 10: from the rarest levels, at 80, one
     * step of five modes' sct was at 5.4 times the floor, from 10 at 3.5.
     */
    public static Config of(Preset preset, Form form) {
      boolean few = preset.isPoints();
      long steps =
          preset.studentSteps(
              few ? (form == Form.TRAINING ? 34_000 : 23_000) : preset.patient() ? 6000 : 1200);
      double mean = few ? -1.2 : -1.0 + Math.log(preset.shift());
      double deviation = few ? 2 : 1.4;
      double unit = Preconditioning.Edm.SIGMA_DATA * preset.shift();
      double most = ConsistencyLearning.mostNoise(preset);
      double top = Math.min(most, Renoising.top(mean, deviation));
      int drawn = preset.sampleSteps(2);
      return new Config(
          steps,
          few ? 5e-4 : 3e-4,
          LrSchedule.warmUp(100).times(LrSchedule.cosineToZero(steps)),
          mean,
          deviation,
          steps / 4,
          Size.NONE,
          0.1,
          few ? Weighting.ONE : Weighting.INVERSE_SINE,
          false,
          true,
          0,
          Ema.Kind.powerWidth(0.1),
          10,
          few ? Renoising.ofPoints(top, drawn) : Renoising.of(top, unit, drawn));
    }

    public Config {
      if (steps < 1 || !(floor >= 0) || !(logDeviation > 0)) {
        throw new IllegalArgumentException(
            "scm needs steps, c ≥ 0 and a positive deviation of ln σ, not "
                + steps
                + ", "
                + floor
                + " and "
                + logDeviation);
      }
    }
  }

  private final Form form;
  private final Config config;
  private final Denoiser teacher;
  private final NetworkDenoiser student;
  private final NetworkDenoiser result;
  private final Ema average;
  private final LevelUncertainty uncertainty;
  private final List<Optimizer> optimizers = new ArrayList<>();

  private static Distiller create(Form form, Preset preset, Teacher teacher) {
    Config config = preset.settings(Config.class, () -> Config.of(preset, form));
    return new ContinuousConsistency(form, config, teacher, preset.batch());
  }

  /**
   * Prepares training.
   *
   * @param batch samples in a step
   * @throws IllegalArgumentException if the teacher is parameterised in a way that the student
   *     cannot have, or guided where its guidance could not be learnt
   */
  public ContinuousConsistency(Form form, Config config, Teacher teacher, int batch) {
    this.form = form;
    this.config = config;
    this.teacher = teacher.denoiser();
    boolean isNetwork = teacher.initial() != null;
    if (form == Form.TRAINING && teacher.cfgScale() != 1) {
      throw new IllegalArgumentException(
          "sct learns from data alone and cannot learn a teacher's guidance: leave --guidance out,"
              + " or distil the guided teacher with scm");
    }
    boolean warm = config.warmStart && isNetwork;
    Preconditioning own = teacher.preconditioning();
    double sigmaData = TrigNetwork.of(name(), own).sigmaData();
    Preconditioning preconditioning = warm ? own : new Preconditioning.TrigFlow(sigmaData);
    this.student = network(teacher, preconditioning, warm);
    Params params = student.network().params();
    this.average = config.average == null ? null : new Ema(params, config.average, batch);
    this.result = average == null ? student : network(teacher, preconditioning, false);
    optimizers.add(adam(params));
    this.uncertainty = config.adaptive ? new LevelUncertainty(params.device()) : null;
    if (config.adaptive) {
      optimizers.add(adam(uncertainty.params()));
    }
  }

  private static NetworkDenoiser network(Teacher teacher, Preconditioning p, boolean warm) {
    return new NetworkDenoiser(
        warm ? teacher.student().network() : teacher.blueprint().create(false), p);
  }

  private Optimizer adam(Params params) {
    // β as in the paper's appendix.
    return new RAdam(params, AdamW.Config.of((float) config.learningRate).withBetas(0.9f, 0.99f));
  }

  /**
   * Points on the process, and the flow through them.
   *
   * @param scaled x_t/σ_d
   * @param velocity dx_t/dt
   * @shape scaled, velocity: [N,…]
   */
  record Points(double[] sigma, Tensor scaled, Tensor velocity) {}

  /** x_t/σ_d for data and noise, and dx_t/dt by this form's flow. */
  Points at(double[] sigma, Tensor noise, StepInput in) {
    int n = sigma.length;
    double sd = TrigNetwork.of("scm", student.preconditioning()).sigmaData();
    double[] ones = new double[n];
    double[] cos = new double[n];
    double[] sin = new double[n];
    double[] first = new double[n];
    double[] second = new double[n];
    for (int i = 0; i < n; i++) {
      double radius = Math.hypot(sigma[i], sd);
      cos[i] = sd / radius;
      sin[i] = sigma[i] / radius;
      ones[i] = 1;
      first[i] = cos[i] / sd;
    }
    Tensor x0 = in.images();
    Tensor scaled = RowOps.combine(in.perSample(first), x0, in.perSample(sin), noise);
    if (form == Form.TRAINING) {
      for (int i = 0; i < n; i++) {
        first[i] = -sin[i];
        second[i] = cos[i] * sd;
      }
      return new Points(
          sigma, scaled, RowOps.combine(in.perSample(first), x0, in.perSample(second), noise));
    }
    Tensor level = in.perSample(sigma);
    Tensor noisy = RowOps.combine(in.perSample(ones), x0, level, noise);
    Tensor clean = teacher.denoise(noisy, level, in.labels());
    for (int i = 0; i < n; i++) {
      first[i] = cos[i] * sd / sin[i];
      second[i] = -1 / sin[i];
    }
    return new Points(
        sigma, scaled, RowOps.combine(in.perSample(first), scaled, in.perSample(second), clean));
  }

  /**
   * The network at these points, recorded, with the tangent cos t sin t · dF/dt along the flow: of
   * EDM's ln(σ)/4 that product's share is 1/4.
   */
  static Var evaluate(NetworkDenoiser student, Points at, Tape tape, StepInput in, Dropout mask) {
    Preconditioning p = student.preconditioning();
    TrigNetwork c = TrigNetwork.of("scm", p);
    int n = at.sigma.length;
    double[] along = new double[n];
    double[] number = new double[n];
    double[] ofNumber = new double[n];
    for (int i = 0; i < n; i++) {
      double radius = Math.hypot(at.sigma[i], c.sigmaData());
      double both = c.sigmaData() * at.sigma[i] / (radius * radius);
      along[i] = both / c.sigmaData();
      number[i] = p.noise(at.sigma[i]);
      ofNumber[i] = c.numberSlope(at.sigma[i]);
    }
    Tensor direction = RowOps.scale(in.perSample(along), at.velocity);
    Var x = tape.input(at.scaled).withTangent(direction);
    Var noise = Var.dual(in.perSample(number), in.perSample(ofNumber));
    return student.network().forward(x, new Condition(noise, in.labels(), null), mask);
  }

  /**
   * g = cos t · df/dt, the derivative of the student along the flow.
   *
   * @param raw the network's output with its tangent, as {@link #evaluate} makes it
   * @param warm r, the share of the terms that hold derivatives
   */
  static Tensor tangent(Preconditioning p, Points at, Var raw, double warm, StepInput in) {
    TrigNetwork c = TrigNetwork.of("scm", p);
    int n = at.sigma.length;
    double[] ofRaw = new double[n];
    double[] ofVelocity = new double[n];
    double[] ofScaled = new double[n];
    double[] ofTangent = new double[n];
    for (int i = 0; i < n; i++) {
      double radius = Math.hypot(at.sigma[i], c.sigmaData());
      double cos = c.sigmaData() / radius;
      double sin = at.sigma[i] / radius;
      ofRaw[i] = -cos * cos * c.sigmaData() * c.sign();
      ofVelocity[i] = cos * cos;
      ofScaled[i] = -warm * cos * sin * c.sigmaData();
      ofTangent[i] = -warm * c.sigmaData() * c.sign();
    }
    Tensor here =
        RowOps.combine(in.perSample(ofRaw), raw.value(), in.perSample(ofVelocity), at.velocity);
    Tensor change =
        RowOps.combine(in.perSample(ofScaled), at.scaled, in.perSample(ofTangent), raw.tangent());
    return here.add(change);
  }

  /** g/(size + c) for each sample. */
  Tensor normalised(Tensor g) {
    if (config.size == Size.NONE) {
      return g;
    }
    int n = g.dim(0);
    Tensor squares = g.square().reshape(n, g.size() / n);
    boolean mean = config.size == Size.ROOT_MEAN_SQUARE;
    Tensor sizes = (mean ? squares.mean(1, false) : squares.sum(1, false)).sqrt();
    Tensor one = Tensor.full(g.device(), Shape.of(n), 1f);
    return RowOps.scale(one.div(sizes.add((float) config.floor)), g);
  }

  @Override
  public String name() {
    return form == Form.DISTILLATION ? "scm" : "sct";
  }

  @Override
  public long steps() {
    return config.steps;
  }

  @Override
  public List<Objective> objectives() {
    return List.of(
        Objective.of(name(), optimizers, config.rate, config.clipNorm, average, this::loss));
  }

  /** The regression of F on itself, moved by its normalised tangent. */
  private Var loss(Tape tape, StepInput in) {
    int n = in.size();
    float[] normal = in.normals("sigma");
    double[] sigma = new double[n];
    double[] weight = new double[n];
    TrigNetwork trig = TrigNetwork.of(name(), student.preconditioning());
    for (int i = 0; i < n; i++) {
      sigma[i] = Math.exp(config.logMean + config.logDeviation * normal[i]);
      weight[i] = config.weighting.of(sigma[i], trig.sigmaData());
    }
    Dropout mask = Dropout.off();
    if (config.dropout > 0) {
      mask = new Dropout((float) config.dropout, in.stream("dropout").nextKey());
    }
    Points at = at(sigma, in.noise("noise"), in);
    Preconditioning p = student.preconditioning();
    Var raw = evaluate(student, at, tape, in, mask);
    double warm = Math.min(1, (in.step() + 1.0) / Math.max(1, config.warmUp));
    Tensor g = normalised(tangent(p, at, raw, warm, in));
    // The network's output is F or −F, and its error has the same square.
    Tensor target = raw.value().copy().addInPlace((float) trig.sign(), g);
    Var errors = raw.sub(Var.constant(target)).square().reshape(n, g.size() / n);
    Var each = errors.mean(1, false).mul(Var.constant(in.perSample(weight)));
    return uncertainty == null ? each.mean() : uncertainty.weigh(each, sigma, tape, in);
  }

  @Override
  public Map<String, Params> networks() {
    Map<String, Params> all = new LinkedHashMap<>();
    all.put("student", student.network().params());
    if (uncertainty != null) {
      all.put("uncertainty", uncertainty.params());
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
