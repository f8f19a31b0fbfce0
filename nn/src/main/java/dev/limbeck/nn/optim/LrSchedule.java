package dev.limbeck.nn.optim;

/** The factor on the learning rate at each step. */
@FunctionalInterface
public interface LrSchedule {
  /** The factor at a step, counted from 0. */
  float scale(long step);

  /** 1 throughout. */
  static LrSchedule constant() {
    return step -> 1f;
  }

  /** (step + 1)/steps up to 1, and 1 from then on. */
  static LrSchedule warmUp(long steps) {
    return step -> steps <= 0 ? 1f : (float) Math.min(1.0, (step + 1.0) / steps);
  }

  /** 1 − step/total, and 0 after the end. */
  static LrSchedule linearToZero(long total) {
    return step -> (float) Math.max(0.0, 1 - (double) step / total);
  }

  /**
   * 1/√max(step/reference, 1).
   *
   * @paper Karras et al. 2024, 2312.02696
   */
  static LrSchedule inverseSqrt(double reference) {
    return step -> (float) (1 / Math.sqrt(Math.max(step / reference, 1)));
  }

  /** Half a cosine from 1 at step 0 to 0 at the end. */
  static LrSchedule cosineToZero(long total) {
    return step ->
        (float) (0.5 * (1 + StrictMath.cos(Math.PI * Math.min(1.0, (double) step / total))));
  }

  /** The product of this and another schedule: a decay with a warm-up. */
  default LrSchedule times(LrSchedule other) {
    return step -> scale(step) * other.scale(step);
  }
}
