package dev.limbeck.distillation.diffusion;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/**
 * Rules that keep estimates of clean data within the data's range, as denoisers around a denoiser.
 *
 * <p>In the form D(x, σ) the noise estimate (x − D)/σ follows the changed D by itself, so that a
 * sampler's steps stay consistent with it.
 */
public final class Thresholding {
  /** The quantile of dynamic thresholding in Imagen. */
  public static final double QUANTILE = 0.995;

  /** Folds of {@link #reflected} beyond the first: estimates up to 2^7 ranges away come back. */
  private static final int FOLDS = 6;

  private Thresholding() {}

  /**
   * D clipped to [low, high], the same range for every number.
   *
   * @paper Saharia et al. 2022, arXiv 2205.11487, section 2.3
   */
  public static Denoiser clipped(Denoiser denoiser, double low, double high) {
    checkRange(low, high);
    return (x, sigma, labels) -> {
      try (Scope scope = Scope.open()) {
        Tensor clean = denoiser.denoise(x, sigma, labels);
        return scope.keep(clean.clamp((float) low, (float) high));
      }
    };
  }

  /** The rules as a choice, for the range [−1, 1], which is where images lie. */
  public enum Rule {
    /** Estimates as they are. */
    NONE,
    /** {@link #clipped(Denoiser, double, double)}. */
    STATIC,
    /** {@link #dynamic} with {@link #QUANTILE}, however large the threshold. */
    DYNAMIC,
    /** {@link #reflected(Denoiser, double, double)}. */
    REFLECTING;

    /** The denoiser under this rule. */
    public Denoiser around(Denoiser denoiser) {
      return this == NONE ? denoiser : new Ruled(denoiser, this);
    }

    private Denoiser applied(Denoiser denoiser) {
      return switch (this) {
        case NONE -> denoiser;
        case STATIC -> clipped(denoiser, -1, 1);
        case DYNAMIC -> dynamic(denoiser, QUANTILE, 1, Double.POSITIVE_INFINITY);
        case REFLECTING -> reflected(denoiser, -1, 1);
      };
    }
  }

  /**
   * A denoiser under a rule, which can be told from the denoiser itself.
   *
   * @param whole its estimates as they are
   */
  public record Ruled(Denoiser whole, Rule rule) implements Denoiser {
    @Override
    public Tensor denoise(Tensor x, Tensor sigma, Tensor labels) {
      return rule.applied(whole).denoise(x, sigma, labels);
    }
  }

  /**
   * D clipped to each channel's own range: for latents, which are not made for [−1, 1].
   *
   * @param low one for each channel, the last axis
   */
  public static Denoiser clipped(Denoiser denoiser, double[] low, double[] high) {
    checkRanges(low, high);
    return (x, sigma, labels) -> {
      try (Scope scope = Scope.open()) {
        Tensor clean = denoiser.denoise(x, sigma, labels);
        checkChannels(clean, low);
        return scope.keep(bound(clean, low, high));
      }
    };
  }

  /**
   * D divided by how much its sample exceeds the range [−bound, bound]: with q the p-quantile of
   * |D| over the sample, but no less than the bound, clip(D, −q, q)·bound/q.
   *
   * @param quantile p, usually {@link #QUANTILE}
   * @param most the largest q, above which clipping is harder; infinite for none
   * @paper Saharia et al. 2022, arXiv 2205.11487, section 2.3
   * @cost sorts every sample
   */
  public static Denoiser dynamic(Denoiser denoiser, double quantile, double bound, double most) {
    checkRange(0, bound);
    if (!(quantile > 0 && quantile <= 1)) {
      throw new IllegalArgumentException(
          "dynamic thresholding takes a quantile between 0 and 1, not " + quantile);
    }
    if (!(most >= bound)) {
      throw new IllegalArgumentException(
          "the largest threshold " + most + " is below the bound " + bound);
    }
    float limit = (float) Math.min(most, Float.MAX_VALUE);
    return (x, sigma, labels) -> {
      try (Scope scope = Scope.open()) {
        Tensor clean = denoiser.denoise(x, sigma, labels);
        int rows = clean.dim(0);
        Tensor flat = clean.reshape(rows, clean.size() / rows);
        Tensor q = flat.abs().quantile((float) quantile).clamp((float) bound, limit);
        Tensor column = q.reshape(rows, 1);
        Tensor inside = flat.minimum(column).maximum(column.neg());
        Tensor made = inside.div(column).mul((float) bound);
        return scope.keep(made).reshape(clean.shape().toArray());
      }
    };
  }

  /**
   * D reflected at the ends of [low, high] until it is inside: with y = (D − low)/(high − low), y
   * mod 2, or 2 minus that where it exceeds 1.
   */
  public static Denoiser reflected(Denoiser denoiser, double low, double high) {
    checkRange(low, high);
    return (x, sigma, labels) -> {
      try (Scope scope = Scope.open()) {
        Tensor clean = denoiser.denoise(x, sigma, labels);
        Tensor y = clean.add((float) -low).mul((float) (1 / (high - low)));
        Tensor made = fold(y).mul((float) (high - low)).add((float) low);
        // Rounding may leave a number outside by its last place.
        return scope.keep(made.clamp((float) low, (float) high));
      }
    };
  }

  /** {@link #reflected(Denoiser, double, double)} into each channel's own range. */
  public static Denoiser reflected(Denoiser denoiser, double[] low, double[] high) {
    checkRanges(low, high);
    double[] negative = new double[low.length];
    double[] width = new double[low.length];
    double[] inverse = new double[low.length];
    for (int c = 0; c < low.length; c++) {
      negative[c] = -low[c];
      width[c] = high[c] - low[c];
      inverse[c] = 1 / width[c];
    }
    return (x, sigma, labels) -> {
      try (Scope scope = Scope.open()) {
        Tensor clean = denoiser.denoise(x, sigma, labels);
        checkChannels(clean, low);
        Device device = clean.device();
        Tensor y = clean.add(perChannel(device, negative)).mul(perChannel(device, inverse));
        Tensor made = fold(y).mul(perChannel(device, width)).add(perChannel(device, low));
        return scope.keep(bound(made, low, high));
      }
    };
  }

  /**
   * The triangle wave of period 2 that is y on [0, 1].
   *
   * <p>Reflections at 0 and 1 generate those at every whole number: |y| − 2 max(0, |y| − L) brings
   * [−2L, 2L] to [0, L], and L is halved until it is 1. What is inside is left as it is.
   */
  static Tensor fold(Tensor y) {
    Tensor folded = y.clamp(-(1 << (FOLDS + 1)), 1 << (FOLDS + 1));
    for (int k = FOLDS; k >= 0; k--) {
      float period = 1 << k;
      folded = folded.abs();
      folded.addInPlace(-2, folded.add(-period).relu());
    }
    return folded;
  }

  private static Tensor bound(Tensor x, double[] low, double[] high) {
    return x.maximum(perChannel(x.device(), low)).minimum(perChannel(x.device(), high));
  }

  private static Tensor perChannel(Device device, double[] values) {
    float[] floats = new float[values.length];
    for (int c = 0; c < floats.length; c++) {
      floats[c] = (float) values[c];
    }
    return Tensor.constant(device, Shape.of(floats.length), floats);
  }

  private static void checkChannels(Tensor x, double[] bounds) {
    if (x.dim(-1) != bounds.length) {
      throw new IllegalArgumentException(
          "thresholding has bounds for " + bounds.length + " channels, x has shape " + x.shape());
    }
  }

  private static void checkRanges(double[] low, double[] high) {
    if (low.length != high.length) {
      throw new IllegalArgumentException(
          low.length + " lower bounds are given, and " + high.length + " upper ones");
    }
    for (int c = 0; c < low.length; c++) {
      checkRange(low[c], high[c]);
    }
  }

  private static void checkRange(double low, double high) {
    if (!(low < high && Double.isFinite(high - low))) {
      throw new IllegalArgumentException(
          "a range needs a lower end below its upper one, not " + low + " and " + high);
    }
  }
}
