package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.Map;

/**
 * Trains a diffusion teacher: E λ(σ) ‖D(x₀ + σ n, σ) − x₀‖² with ln σ normally distributed.
 *
 * <p>Where the best denoiser is known, the network learns its answers, E λ(σ) ‖D(x, σ) − D*(x,
 * σ)‖², which has the same optimum and far less noise.
 *
 * <p>Labels are dropped at random, so that the one network is also unconditional and can be guided.
 * The result is the moving average of the weights.
 *
 * @paper Karras et al. 2022, arXiv 2206.00364, table 1 and equation 8
 */
public final class EdmTraining implements Distiller {
  /**
   * The training's settings.
   *
   * @param logMean P_mean, the mean of ln σ
   * @param logDeviation P_std, the deviation of ln σ
   * @param labelDropout share of the labels that become "no class"
   * @param emaHalfLife half-life of the moving average in images, at most 5 % of those seen
   * @param warmUp steps over which the learning rate rises
   * @param decay the share of the run at whose start the learning rate begins to fall to 0
   */
  public record Config(
      long steps,
      double learningRate,
      double logMean,
      double logDeviation,
      double labelDropout,
      double emaHalfLife,
      long warmUp,
      double decay) {
    /** With another length. */
    public Config withSteps(long number) {
      return new Config(
          number, learningRate, logMean, logDeviation, labelDropout, emaHalfLife, warmUp, decay);
    }

    /** Settings for small images; P_mean and P_std are the paper's. */
    public static Config small(long steps) {
      return new Config(steps, 2e-3, -1.2, 1.2, 0.1, 25_000, 100, 0.5);
    }
  }

  /** 18 steps of Heun's method: 35 evaluations. */
  public static final Sampler SAMPLER = Samplers.heunOn(NoiseLevels.toZero(NoiseLevels.karras(18)));

  private final Config config;
  private final NetworkDenoiser model;
  private final NetworkDenoiser average;
  private final AdamW optimizer;
  private final Ema ema;
  private final int classes;

  /** What the network is to answer; null: the clean data. */
  private final Denoiser exact;

  public EdmTraining(
      Config config,
      Teacher.Blueprint blueprint,
      Preconditioning preconditioning,
      int classes,
      int batch) {
    this(config, blueprint, preconditioning, classes, batch, null);
  }

  /**
   * The same for data whose best denoiser is known.
   *
   * @param exact what the network learns, or null
   */
  public EdmTraining(
      Config config,
      Teacher.Blueprint blueprint,
      Preconditioning preconditioning,
      int classes,
      int batch,
      Denoiser exact) {
    this.config = config;
    this.exact = exact;
    this.classes = classes;
    this.model = new NetworkDenoiser(blueprint.create(false), preconditioning);
    this.average = new NetworkDenoiser(blueprint.create(false), preconditioning);
    this.optimizer =
        new AdamW(model.network().params(), AdamW.Config.of((float) config.learningRate));
    Ema.Kind kind = Ema.Kind.halfLife(config.emaHalfLife, 0.05);
    this.ema = new Ema(model.network().params(), kind, batch);
  }

  @Override
  public String name() {
    return "edm";
  }

  @Override
  public long steps() {
    return config.steps;
  }

  @Override
  public List<Objective> objectives() {
    return List.of(new Denoising());
  }

  /** Denoising score matching. */
  private final class Denoising implements Objective {
    @Override
    public String name() {
      return "edm";
    }

    @Override
    public List<Optimizer> optimizers() {
      return List.of(optimizer);
    }

    @Override
    public double learningRateScale(long step) {
      double rise = Math.min(1, (step + 1.0) / Math.max(1, config.warmUp));
      double start = config.decay * config.steps;
      double fall = step < start ? 1 : (config.steps - step) / (config.steps - start);
      return rise * fall;
    }

    @Override
    public double clipNorm() {
      return 10;
    }

    @Override
    public Ema average() {
      return ema;
    }

    @Override
    public Var loss(Tape tape, StepInput input) {
      int n = input.size();
      float[] normal = input.normals("sigma");
      double[] sigma = new double[n];
      double[] weight = new double[n];
      double[] ones = new double[n];
      for (int i = 0; i < n; i++) {
        sigma[i] = Math.exp(config.logMean + config.logDeviation * normal[i]);
        weight[i] = model.preconditioning().lossWeight(sigma[i]);
        ones[i] = 1;
      }
      Tensor level = input.perSample(sigma);
      Tensor noisy =
          RowOps.combine(input.perSample(ones), input.images(), level, input.noise("noise"));
      Tensor labels = dropLabels(input);
      Tensor target = exact == null ? input.images() : exact.denoise(noisy, level, labels);
      Var answer = model.denoise(tape.input(noisy), level, labels);
      return RowOps.meanSquaredError(answer, target, input.perSample(weight));
    }

    private Tensor dropLabels(StepInput input) {
      if (input.labels() == null || config.labelDropout == 0) {
        return input.labels();
      }
      int[] labels = input.labels().toInts();
      float[] u = input.uniforms("drop");
      for (int i = 0; i < labels.length; i++) {
        if (u[i] < config.labelDropout) {
          labels[i] = classes;
        }
      }
      return Tensor.constant(input.device(), input.labels().shape(), labels);
    }
  }

  @Override
  public Map<String, Params> networks() {
    return Map.of("model", model.network().params());
  }

  @Override
  public NetworkDenoiser student() {
    ema.copyTo(average.network().params());
    return average;
  }

  @Override
  public Sampler sampler() {
    return SAMPLER;
  }
}
