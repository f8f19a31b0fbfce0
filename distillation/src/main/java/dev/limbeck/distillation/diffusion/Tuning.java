package dev.limbeck.distillation.diffusion;

import java.util.List;
import java.util.Locale;

/**
 * A number or a choice that tunes a sampler, as in {@code euler_ancestral:eta=0.5}.
 *
 * <p>A choice is kept as the place of its word in {@link #words}.
 */
public enum Tuning {
  /** The state at the first level is σ₀ n (ve) or √(1+σ₀²) n (vp, z ~ N(0, I) exactly). */
  START("first state: σ n, or √(1+σ²) n", "ve", "vp"),
  /** The share of the reverse SDE's noise; 0 leaves an ODE. */
  ETA("noise added in a step, as a share of the reverse SDE's", 0, 10),
  /** Karras et al.'s S_churn. */
  S_CHURN("noise added before each step, over all steps", 0, Double.POSITIVE_INFINITY),
  /** Karras et al.'s S_min. */
  S_TMIN("smallest level with churn", 0, Double.POSITIVE_INFINITY),
  /** Karras et al.'s S_max. */
  S_TMAX("largest level with churn", 0, Double.POSITIVE_INFINITY),
  /** Karras et al.'s S_noise. */
  S_NOISE("factor on all noise that is added", 0, 10),
  /** The order of multistep methods. */
  ORDER("order of the method", 1, 4),
  /** Where the midpoint of a two-stage step lies. */
  R("place of the inner stage in a step", 0.01, 1),
  /** How a second-order SDE step extrapolates. */
  SOLVER("form of the second-order term", "midpoint", "heun"),
  /** The second derivative in 3M: as it follows from the integral, or half of it. */
  CURVATURE("second derivative of D: exact, or halved as in released codes", "exact", "released"),
  /** UniPC's B(h): h, or e^h − 1. */
  VARIANT("UniPC's B(h)", "bh2", "bh1"),
  /** The variable in which DEIS extrapolates and TCD counts time. */
  TIME("time variable", "vp", "cosine", "sigma", "log"),
  /** The posterior's variance, or that of the forward step, which is larger. */
  VARIANCE("variance of a step: the posterior's, or the forward step's", "small", "large"),
  /** TCD's γ: 0 is deterministic, 1 denoises fully in each step. */
  GAMMA("share of the way to clean data that is made in each step", 0, 1),
  /** The level at which a consistency function is the identity. */
  EPSILON("level at which the consistency function is the identity", 0, 1),
  /** Relative tolerance. */
  RTOL("relative tolerance of a step", 1e-6, 1),
  /** Absolute tolerance. */
  ATOL("absolute tolerance of a step", 1e-6, 1),
  /** The first step in half log SNR. */
  H_INIT("first step in −ln σ", 1e-6, 10),
  /** Proportional coefficient of the step size control. */
  PCOEFF("proportional coefficient of the step size control", 0, 2),
  /** Integral coefficient of the step size control. */
  ICOEFF("integral coefficient of the step size control", 0, 2),
  /** Derivative coefficient of the step size control. */
  DCOEFF("derivative coefficient of the step size control", 0, 2),
  /** A step is taken if the factor on its size is at least this. */
  SAFETY("smallest factor on the step size at which the step counts", 0.1, 1);

  private final String text;
  private final double least;
  private final double most;
  private final List<String> words;

  Tuning(String text, double least, double most) {
    this.text = text;
    this.least = least;
    this.most = most;
    words = List.of();
  }

  Tuning(String text, String... words) {
    this.text = text;
    least = 0;
    most = words.length - 1;
    this.words = List.of(words);
  }

  /** What it changes. */
  public String text() {
    return text;
  }

  /** The name in a sampler's text. */
  public String key() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The choices, or none if this is a number. */
  public List<String> words() {
    return words;
  }

  double least() {
    return least;
  }

  double most() {
    return most;
  }

  boolean isWhole() {
    return this == ORDER || !words.isEmpty();
  }

  /** A value as it stands in a sampler's text. */
  String write(double value) {
    if (!words.isEmpty()) {
      return words.get((int) value);
    }
    return isWhole() ? Integer.toString((int) value) : Double.toString(value);
  }

  /** Reads what {@link #write} wrote. */
  double read(String value) {
    if (!words.isEmpty()) {
      int at = words.indexOf(value);
      if (at < 0) {
        throw new IllegalArgumentException(
            key() + " is one of " + String.join(", ", words) + ", not " + value);
      }
      return at;
    }
    try {
      return Double.parseDouble(value);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(key() + " has to be a number, not " + value, e);
    }
  }
}
