package dev.limbeck.nn.optim;

import dev.limbeck.nn.Params;

/**
 * Clipping of the gradients' global norm: g ← g·min(1, maxNorm/|g|).
 *
 * @param maxNorm the largest norm that stays as it is; infinity for no clipping
 */
public record GradClip(float maxNorm) {
  public GradClip {
    if (!(maxNorm > 0)) {
      throw new IllegalArgumentException("gradient clipping: the norm " + maxNorm + " is not > 0");
    }
  }

  public static GradClip off() {
    return new GradClip(Float.POSITIVE_INFINITY);
  }

  /** The factor for gradients of this norm; not finite if the norm is not. */
  public float scale(float norm) {
    if (!Float.isFinite(norm)) {
      return Float.NaN;
    }
    return norm <= maxNorm ? 1f : maxNorm / norm;
  }

  /** The factor to hand to {@link Optimizer#step(float, float, Ema)}. */
  public float scale(Params params) {
    return Float.isInfinite(maxNorm) ? 1f : scale(params.globalNorm());
  }
}
