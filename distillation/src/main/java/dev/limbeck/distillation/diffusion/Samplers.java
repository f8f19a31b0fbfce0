package dev.limbeck.distillation.diffusion;

import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import java.util.Locale;

/**
 * Ways from noise to data along a descending grid of noise levels.
 *
 * <p>Each takes the state at the first level, x = σ_0 n plus data, and returns the state at the
 * last; a grid that ends in 0 returns clean data.
 */
public final class Samplers {
  private Samplers() {}

  /** A named sampler with its grid: what a student or a teacher is sampled with. */
  public interface Sampler {
    /**
     * Samples from unit normal noise.
     *
     * @shape noise and the result: [N,…]; labels: [N] or null
     */
    Tensor sample(Denoiser denoiser, Tensor noise, Tensor labels, Rng rng);

    /** Evaluations of the denoiser for each sample. */
    int evaluations();

    /** What {@link Samplers#parse} reads. */
    String text();
  }

  /** Stochasticity of {@link #heun}: noise is added and removed between two noise levels. */
  public record Churn(double amount, double sigmaMin, double sigmaMax, double noise) {
    /** No stochasticity. */
    public static Churn none() {
      return new Churn(0, 0, Double.POSITIVE_INFINITY, 1);
    }
  }

  /**
   * Euler's method on dx/dσ = (x − D)/σ, which is DDIM with η = 0; first order.
   *
   * @paper Song et al. 2020, arXiv 2010.02502; Karras et al. 2022, arXiv 2206.00364
   */
  public static Tensor euler(Denoiser denoiser, Tensor x, double[] sigmas, Tensor labels) {
    Tensor state = x;
    for (int i = 0; i + 1 < sigmas.length; i++) {
      try (Scope scope = Scope.open()) {
        Tensor clean = denoiser.denoise(state, level(x, sigmas[i]), labels);
        double r = sigmas[i + 1] / sigmas[i];
        state = next(scope, x, state, combine(r, state, 1 - r, clean));
      }
    }
    return state;
  }

  /**
   * Heun's method with churn; second order without it.
   *
   * @paper Karras et al. 2022, arXiv 2206.00364, algorithm 2
   */
  public static Tensor heun(
      Denoiser denoiser, Tensor x, double[] sigmas, Tensor labels, Churn churn, Rng rng) {
    Tensor state = x;
    int steps = sigmas.length - 1;
    for (int i = 0; i < steps; i++) {
      try (Scope scope = Scope.open()) {
        boolean inRange = sigmas[i] >= churn.sigmaMin && sigmas[i] <= churn.sigmaMax;
        double gamma = inRange ? Math.min(churn.amount / steps, Math.sqrt(2) - 1) : 0;
        double from = sigmas[i] * (1 + gamma);
        Tensor start = state;
        if (gamma > 0) {
          double added = Math.sqrt(from * from - sigmas[i] * sigmas[i]) * churn.noise;
          Tensor n = rng.split(i).normal(x.device(), x.shape());
          start = combine(1, state, added, n);
        }
        state = next(scope, x, state, heunStep(denoiser, start, from, sigmas[i + 1], labels));
      }
    }
    return state;
  }

  private static Tensor heunStep(
      Denoiser denoiser, Tensor x, double from, double to, Tensor labels) {
    Tensor clean = denoiser.denoise(x, level(x, from), labels);
    double r = to / from;
    Tensor euler = combine(r, x, 1 - r, clean);
    if (to == 0) {
      return euler;
    }
    Tensor corrected = denoiser.denoise(euler, level(x, to), labels);
    // x + (to − from)/2 · ((x − D)/from + (x' − D')/to)
    double h = (to - from) / 2;
    Tensor half = combine(1 + h / from, x, -h / from, clean);
    return combine(1, half, h / to, combine(1, euler, -1, corrected));
  }

  /**
   * DPM-Solver++(2M) in data prediction; second order with one evaluation a step.
   *
   * <p>The first step, and a step to σ = 0, are of first order.
   *
   * @paper Lu et al. 2022, arXiv 2211.01095, algorithm 2
   */
  public static Tensor dpmSolver2M(Denoiser denoiser, Tensor x, double[] sigmas, Tensor labels) {
    Tensor state = x;
    Tensor previous = null;
    for (int i = 0; i + 1 < sigmas.length; i++) {
      try (Scope scope = Scope.open()) {
        Tensor clean = denoiser.denoise(state, level(x, sigmas[i]), labels);
        double r = sigmas[i + 1] / sigmas[i];
        Tensor direction = clean;
        if (previous != null && sigmas[i + 1] > 0) {
          // r0 is the last step over this one in half log SNR, −ln σ.
          double r0 = Math.log(sigmas[i] / sigmas[i - 1]) / Math.log(r);
          direction = combine(1 + 1 / (2 * r0), clean, -1 / (2 * r0), previous);
        }
        Tensor made = combine(r, state, 1 - r, direction);
        if (previous != null) {
          previous.close();
        }
        previous = scope.keep(clean);
        state = next(scope, x, state, made);
      }
    }
    if (previous != null) {
      previous.close();
    }
    return state;
  }

  /** The state of the next step survives; the last one is freed unless the caller gave it. */
  private static Tensor next(Scope scope, Tensor given, Tensor last, Tensor made) {
    if (last != given) {
      last.close();
    }
    return scope.keep(made);
  }

  /** One noise level for every sample of the batch. */
  public static Tensor level(Tensor like, double sigma) {
    float[] levels = new float[like.dim(0)];
    Arrays.fill(levels, (float) sigma);
    return Tensor.constant(like.device(), Shape.of(levels.length), levels);
  }

  /** a x + b y. */
  static Tensor combine(double a, Tensor x, double b, Tensor y) {
    return x.mul((float) a).addInPlace((float) b, y);
  }

  // ---- samplers as values ----

  /** A method of this class, for samplers that are read from text. */
  public enum Method {
    EULER,
    HEUN,
    DPM_SOLVER_2M,
    /**
     * Denoises fully, adds fresh noise of the next level, and so on: for generators that map noise
     * of several levels straight to data.
     */
    RENOISING
  }

  /** Euler on a fixed grid. */
  public static Sampler eulerOn(double... sigmas) {
    return new OnGrid(Method.EULER, sigmas);
  }

  /** Heun without churn on a fixed grid; 2n − 1 evaluations where the grid ends in 0. */
  public static Sampler heunOn(double... sigmas) {
    return new OnGrid(Method.HEUN, sigmas);
  }

  /** A method on a fixed grid. */
  public static Sampler of(Method method, double... sigmas) {
    return new OnGrid(method, sigmas);
  }

  /**
   * Reads what {@link Sampler#text} wrote, as in {@code euler 80.0 2.5 0.0}.
   *
   * @throws IllegalArgumentException if it is anything else
   */
  public static Sampler parse(String text) {
    String[] words = text.trim().split("\\s+");
    try {
      double[] sigmas = new double[words.length - 1];
      for (int i = 0; i < sigmas.length; i++) {
        sigmas[i] = Double.parseDouble(words[i + 1]);
      }
      return new OnGrid(Method.valueOf(words[0].toUpperCase(Locale.ROOT)), sigmas);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("\"" + text + "\" does not describe a sampler", e);
    }
  }

  /** A method of this class on a fixed grid. */
  private record OnGrid(Method method, double[] sigmas) implements Sampler {
    OnGrid {
      if (sigmas.length < (method == Method.RENOISING ? 1 : 2)) {
        throw new IllegalArgumentException(
            "a sampler needs at least one step, a grid of " + sigmas.length + " has none");
      }
    }

    @Override
    public Tensor sample(Denoiser denoiser, Tensor noise, Tensor labels, Rng rng) {
      try (Scope scope = Scope.open()) {
        Tensor x = noise.mul((float) sigmas[0]);
        return scope.keep(
            switch (method) {
              case EULER -> euler(denoiser, x, sigmas, labels);
              case HEUN -> heun(denoiser, x, sigmas, labels, Churn.none(), rng);
              case DPM_SOLVER_2M -> dpmSolver2M(denoiser, x, sigmas, labels);
              case RENOISING -> renoise(denoiser, x, sigmas, labels, rng);
            });
      }
    }

    @Override
    public int evaluations() {
      int steps = sigmas.length - 1;
      return switch (method) {
        case EULER, DPM_SOLVER_2M -> steps;
        case HEUN -> sigmas[steps] == 0 ? 2 * steps - 1 : 2 * steps;
        case RENOISING -> sigmas.length;
      };
    }

    @Override
    public String text() {
      StringBuilder text = new StringBuilder(method.name().toLowerCase(Locale.ROOT));
      for (double sigma : sigmas) {
        text.append(' ').append(sigma);
      }
      return text.toString();
    }
  }

  private static Tensor renoise(
      Denoiser denoiser, Tensor x, double[] levels, Tensor labels, Rng rng) {
    Tensor state = x;
    for (int i = 0; i < levels.length; i++) {
      try (Scope scope = Scope.open()) {
        Tensor made = denoiser.denoise(state, level(x, levels[i]), labels);
        if (i + 1 < levels.length) {
          Tensor n = rng.split(i).normal(x.device(), x.shape());
          made = combine(1, made, levels[i + 1], n);
        }
        state = next(scope, x, state, made);
      }
    }
    return state;
  }
}
