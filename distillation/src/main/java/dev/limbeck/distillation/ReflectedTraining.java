package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.ReflectedDiffusion;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.LrSchedule;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.Map;

/**
 * Trains the score of {@link ReflectedDiffusion}, whose samples stay in the cube [0, 1]^d under any
 * guidance, without thresholding.
 *
 * <p>For data x₀ in the cube and x = reflect(x₀ + σ n) the loss is E σ² |S(x, σ) − ∇ log p_σ(x |
 * x₀)|², with ln σ uniform. The network answers D = x + σ² S, which away from the faces and for
 * small noise is what any denoiser answers; in D the loss is |D − x − σ² ∇ log p_σ(x | x₀)|²/σ².
 *
 * <p>Data must lie in the cube: images of [−1, 1] do as (x + 1)/2. It is trained as a {@link
 * Distiller} by {@link Trainer}; {@link #score} is for the samplers of {@link ReflectedDiffusion}.
 * Targets are made on the host, from noised data that are read back: it trains on the CPU, and a
 * device that records its steps refuses them.
 *
 * @paper Lou and Ermon 2023, arXiv 2304.04740, section 4
 */
public final class ReflectedTraining implements Distiller {
  private static final String NAME = "reflected";

  /** σ_d of the preconditioning: a little above that of uniform numbers, 0.29. */
  private static final Preconditioning EDM = new Preconditioning.Edm();

  /**
   * Settings.
   *
   * @param sigmaMin the smallest level (paper: 0.01)
   * @param sigmaMax the largest, from which on noised data are uniform (paper: 5)
   * @param emaHalfLife half-life of the result's average, in samples
   * @param sampledSteps steps of the result's own sampler
   */
  public record Config(
      long steps,
      double learningRate,
      double sigmaMin,
      double sigmaMax,
      double emaHalfLife,
      int sampledSteps) {
    /** The paper's levels. */
    public static Config of(long steps) {
      return new Config(steps, 1e-3, .01, 5, 10_000, 40);
    }

    public Config {
      if (!(sigmaMin > 0 && sigmaMin < sigmaMax) || steps < 1 || sampledSteps < 1) {
        throw new IllegalArgumentException(
            "reflected: levels lie above 0, the smallest first, and steps are at least 1; given are"
                + " levels "
                + sigmaMin
                + " and "
                + sigmaMax
                + ", steps "
                + steps
                + " and "
                + sampledSteps);
      }
    }
  }

  private final Config config;
  private final NetworkDenoiser model;
  private final NetworkDenoiser average;
  private final AdamW optimizer;
  private final Ema ema;

  /**
   * Prepares training of a fresh network.
   *
   * @param batch samples in a step
   */
  public ReflectedTraining(Config config, Teacher.Blueprint blueprint, int batch) {
    this.config = config;
    this.model = new NetworkDenoiser(blueprint.create(false), EDM);
    this.average = new NetworkDenoiser(blueprint.create(false), EDM);
    Params params = model.network().params();
    this.optimizer = new AdamW(params, AdamW.Config.of((float) config.learningRate));
    this.ema = new Ema(params, Ema.Kind.halfLife(config.emaHalfLife, .05), batch);
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
        Objective.of(NAME, List.of(optimizer), LrSchedule.constant(), 10, ema, this::loss));
  }

  /**
   * The loss of a batch.
   *
   * @throws IllegalArgumentException if data lie outside of the cube
   */
  private Var loss(Tape tape, StepInput in) {
    float[] u = in.uniforms("sigma");
    double[] sigma = new double[u.length];
    double[] variance = new double[u.length];
    double[] weight = new double[u.length];
    for (int i = 0; i < u.length; i++) {
      sigma[i] = config.sigmaMin * Math.pow(config.sigmaMax / config.sigmaMin, u[i]);
      variance[i] = sigma[i] * sigma[i];
      weight[i] = 1 / variance[i];
    }
    float[] clean = in.images().toFloats();
    for (float each : clean) {
      if (!(each >= 0 && each <= 1)) {
        throw new IllegalArgumentException(
            "reflected diffusion takes data between 0 and 1, not " + each);
      }
    }
    Tensor level = in.perSample(sigma);
    Tensor ones = Samplers.level(in.images(), 1);
    Tensor far = RowOps.combine(ones, in.images(), level, in.noise("noise"));
    Tensor x = ReflectedDiffusion.reflect(far);
    float[] slope = ReflectedDiffusion.target(x.toFloats(), clean, sigma);
    Tensor score = Tensor.constant(in.device(), x.shape(), slope);
    Tensor wanted = RowOps.combine(ones, x, in.perSample(variance), score);
    Var answer = model.denoise(tape.input(x), level, in.labels());
    return RowOps.meanSquaredError(answer, wanted, in.perSample(weight));
  }

  @Override
  public Map<String, Params> networks() {
    return Map.of("model", model.network().params());
  }

  /** D = x + σ² S on the cube. */
  @Override
  public NetworkDenoiser student() {
    ema.copyTo(average.network().params());
    return average;
  }

  /** The trained score as it stands. */
  public ReflectedDiffusion.Score score() {
    return score(student());
  }

  /** S = (D − x)/σ². */
  static ReflectedDiffusion.Score score(Denoiser denoiser) {
    return (x, sigma, labels) -> {
      float[] levels = sigma.toFloats();
      float[] inverse = new float[levels.length];
      float[] negative = new float[levels.length];
      for (int i = 0; i < levels.length; i++) {
        inverse[i] = 1 / (levels[i] * levels[i]);
        negative[i] = -inverse[i];
      }
      try (Scope scope = Scope.open()) {
        Tensor by = Tensor.constant(x.device(), sigma.shape(), inverse);
        Tensor less = Tensor.constant(x.device(), sigma.shape(), negative);
        Tensor clean = denoiser.denoise(x, sigma, labels);
        return scope.keep(RowOps.combine(by, clean, less, x));
      }
    };
  }

  /** The reflected probability flow on levels of equal ratios. */
  @Override
  public Sampler sampler() {
    return new Flow(
        NoiseLevels.exponential(config.sampledSteps + 1, config.sigmaMin, config.sigmaMax));
  }

  /**
   * {@link ReflectedDiffusion#sampleOde} from noise of the first level that is reflected into the
   * cube, where it is uniform.
   *
   * <p>It draws what this class trains, and is none of the samplers that a file may name.
   */
  @SuppressWarnings("ArrayRecordComponent") // A sampler is run, never compared.
  private record Flow(double[] sigmas) implements Sampler {
    @Override
    public Tensor sample(Denoiser denoiser, Tensor noise, Tensor labels, Rng rng, long firstRow) {
      try (Scope scope = Scope.open()) {
        Tensor start = ReflectedDiffusion.reflect(noise.mul((float) sigmas[0]));
        return scope.keep(ReflectedDiffusion.sampleOde(score(denoiser), start, sigmas, labels));
      }
    }

    @Override
    public int evaluations() {
      return 2 * (sigmas.length - 1);
    }

    @Override
    public String text() {
      StringBuilder text = new StringBuilder(NAME);
      for (double sigma : sigmas) {
        text.append(' ').append(sigma);
      }
      return text.toString();
    }
  }
}
