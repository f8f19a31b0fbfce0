package dev.limbeck.distillation.diffusion;

import java.util.Arrays;

/**
 * Descending noise levels for samplers and distillation; grids for samplers end in 0.
 *
 * @unit σ, the standard deviation of the noise, in units of the data
 */
public final class NoiseLevels {
  /** The range that EDM trains and samples on. */
  public static final double SIGMA_MIN = 0.002;

  /** The range that EDM trains and samples on. */
  public static final double SIGMA_MAX = 80;

  /** Karras et al.'s warp of the grid towards small noise. */
  public static final double RHO = 7;

  /** log SNR at the two ends of the cosine schedule, as in progressive distillation. */
  public static final double LOG_SNR_MAX = 20;

  private NoiseLevels() {}

  /**
   * σ_i = (σ_max^{1/ρ} + i/(n−1) (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ for i &lt; n, without a final 0.
   *
   * @paper Karras et al. 2022, arXiv 2206.00364, equation 5
   */
  public static double[] karras(int n, double sigmaMin, double sigmaMax, double rho) {
    checkCount(n);
    double high = Math.pow(sigmaMax, 1 / rho);
    double low = Math.pow(sigmaMin, 1 / rho);
    double[] sigmas = new double[n];
    for (int i = 0; i < n; i++) {
      double at = n == 1 ? 0 : (double) i / (n - 1);
      sigmas[i] = Math.pow(high + at * (low - high), rho);
    }
    return sigmas;
  }

  /** {@link #karras(int, double, double, double)} with EDM's constants. */
  public static double[] karras(int n) {
    return karras(n, SIGMA_MIN, SIGMA_MAX, RHO);
  }

  /** Levels whose logarithms are evenly spaced, without a final 0. */
  public static double[] exponential(int n, double sigmaMin, double sigmaMax) {
    checkCount(n);
    double[] sigmas = new double[n];
    for (int i = 0; i < n; i++) {
      double at = n == 1 ? 0 : (double) i / (n - 1);
      sigmas[i] = sigmaMax * Math.pow(sigmaMin / sigmaMax, at);
    }
    return sigmas;
  }

  /**
   * σ = exp((1 − i/(n−1))^ρ (ln σ_max − ln σ_min) + ln σ_min) for i &lt; n: for ρ = 1 {@link
   * #exponential}, for more denser at small levels; without a final 0.
   */
  public static double[] polyexponential(int n, double sigmaMin, double sigmaMax, double rho) {
    checkCount(n);
    double[] sigmas = new double[n];
    for (int i = 0; i < n; i++) {
      double ramp = n == 1 ? 1 : Math.pow(1 - (double) i / (n - 1), rho);
      sigmas[i] = sigmaMin * Math.pow(sigmaMax / sigmaMin, ramp);
    }
    return sigmas;
  }

  /**
   * Levels at even times of the variance-preserving process with β(t) = 0.1 + 19.9 t, from t = 1 to
   * ε, without a final 0.
   *
   * @paper Song et al. 2021, arXiv 2011.13456, appendix C
   */
  public static double[] vp(int n, double epsilon) {
    return even(n, TimeScale.VP, TimeScale.VP.sigma(epsilon), TimeScale.VP.sigma(1));
  }

  /** Levels at even times of a clock, without a final 0. */
  static double[] even(int n, TimeScale scale, double sigmaMin, double sigmaMax) {
    checkCount(n);
    double first = scale.time(sigmaMax);
    double last = scale.time(sigmaMin);
    double[] sigmas = new double[n];
    for (int i = 0; i < n; i++) {
      double at = n == 1 ? 0 : (double) i / (n - 1);
      sigmas[i] = scale.sigma(first + at * (last - first));
    }
    return sigmas;
  }

  /**
   * The cosine schedule's levels at u = 1, 1 − 1/n, …, 1/n as σ = b/a, and a final 0: the last step
   * lands on the clean estimate itself.
   */
  public static double[] cosine(int n) {
    checkCount(n);
    double[] sigmas = new double[n + 1];
    for (int i = 0; i < n; i++) {
      sigmas[i] = Math.exp(-0.5 * cosineLogSnr((double) (n - i) / n));
    }
    return sigmas;
  }

  /**
   * σ = min(σ_max, shift · tan(π u/2)) at u = 1, 1 − 1/n, …, 1/n, and a final 0: the cosine
   * schedule with its signal-to-noise ratio moved by −2 ln(shift), so that few steps lie where
   * images of a given size take shape.
   *
   * @paper Hoogeboom et al. 2023, simple diffusion, arXiv 2301.11093, section 3.1
   */
  public static double[] shiftedCosine(int n, double shift, double sigmaMax) {
    checkCount(n);
    double[] sigmas = new double[n + 1];
    for (int i = 0; i < n; i++) {
      sigmas[i] = Math.min(sigmaMax, shift * Math.tan(Math.PI / 2 * (n - i) / n));
    }
    return sigmas;
  }

  /**
   * {@link #shiftedCosine} with n steps all of which lead down: as many steps more as its top,
   * where σ_max cuts it off, has levels alike, of which the last is kept.
   */
  public static double[] fallingCosine(int n, double shift, double sigmaMax) {
    int cut = 0;
    double[] levels;
    do {
      levels = shiftedCosine(n + cut, shift, sigmaMax);
      cut++;
    } while (levels[levels.length - n] == sigmaMax);
    return Arrays.copyOfRange(levels, levels.length - n - 1, levels.length);
  }

  /**
   * σ_t = √((1 − ᾱ_t)/ᾱ_t) at t = 0, …, n − 1, ascending, with √β evenly spaced: the training table
   * of latent diffusion.
   *
   * @paper Rombach et al. 2022, arXiv 2112.10752, whose Stable Diffusion has n = 1000 and β from
   *     0.00085 to 0.012
   */
  public static double[] scaledLinear(int n, double betaMin, double betaMax) {
    checkCount(n);
    double[] sigmas = new double[n];
    double kept = 1;
    for (int t = 0; t < n; t++) {
      double at = n == 1 ? 0 : (double) t / (n - 1);
      double root = Math.sqrt(betaMin) + at * (Math.sqrt(betaMax) - Math.sqrt(betaMin));
      kept *= 1 - root * root;
      sigmas[t] = Math.sqrt((1 - kept) / kept);
    }
    return sigmas;
  }

  /** Karras et al.'s levels of a sampler of n steps, the smallest replaced by 0. */
  public static double[] karrasToZero(int n) {
    double[] sigmas = karras(n + 1);
    sigmas[n] = 0;
    return sigmas;
  }

  /**
   * log(a²/b²) of the cosine schedule at time u, −2 ln tan(A u + B): 20 at u = 0, −20 at u = 1.
   *
   * @paper Salimans and Ho 2022, arXiv 2202.00512, section 2 and appendix
   */
  public static double cosineLogSnr(double u) {
    double b = Math.atan(Math.exp(-LOG_SNR_MAX / 2));
    double a = Math.atan(Math.exp(LOG_SNR_MAX / 2)) - b;
    return -2 * Math.log(Math.tan(a * u + b));
  }

  /** The levels with a final 0, at which the sample is the denoiser's last answer. */
  public static double[] toZero(double[] sigmas) {
    return Arrays.copyOf(sigmas, sigmas.length + 1);
  }

  /** Every second level of a grid of an even number of intervals: the student's grid. */
  public static double[] halve(double[] sigmas) {
    int intervals = sigmas.length - 1;
    if (intervals < 2 || intervals % 2 != 0) {
      throw new IllegalArgumentException(
          "a grid of " + intervals + " intervals cannot be halved; an even number is needed");
    }
    double[] half = new double[intervals / 2 + 1];
    for (int i = 0; i < half.length; i++) {
      half[i] = sigmas[2 * i];
    }
    return half;
  }

  static void checkCount(int n) {
    if (n < 1) {
      throw new IllegalArgumentException("a grid needs at least one noise level, not " + n);
    }
  }
}
