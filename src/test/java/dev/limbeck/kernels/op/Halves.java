package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import java.util.Arrays;

/** A BF16 buffer between margins that nobody may write. */
record Halves(MatrixOracle.Guarded wide, Buffer whole, Buffer buffer) {
  private static final int MARGIN = Buffer.SLICE_ALIGNMENT;

  /** The unit roundoff: a number that is rounded once is off by this share of itself at most. */
  static final double ROUNDING = 0x1p-8;

  /** The nearest BF16 number, at ties the one whose last bit is 0. */
  static float rounded(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value) || Float.isInfinite(value)) {
      return value;
    }
    float low = Float.intBitsToFloat(bits & 0xFFFF0000);
    float high = Float.intBitsToFloat((bits & 0xFFFF0000) + 0x10000);
    // Beyond the largest number infinity is as far away as the next number would be.
    double next = Float.isInfinite(high) ? Math.copySign(0x1p128, low) : high;
    double below = Math.abs((double) value - low);
    double above = Math.abs(next - value);
    boolean even = (bits >>> 16 & 1) == 0;
    return below < above || below == above && even ? low : high;
  }

  /** Rounds the values themselves, so that an oracle sees what the device sees. */
  static Halves of(Device device, float[] values) {
    for (int i = 0; i < values.length; i++) {
      values[i] = rounded(values[i]);
    }
    MatrixOracle.Guarded wide = MatrixOracle.Guarded.of(device, values);
    Buffer whole = device.allocate(DType.BF16, wide.whole().length());
    device.execute(new Cast(wide.whole(), whole));
    return new Halves(wide, whole, whole.slice(MARGIN, values.length));
  }

  /** So many elements that are NaN. */
  static Halves unset(Device device, int length) {
    float[] nan = new float[length];
    Arrays.fill(nan, Float.NaN);
    return of(device, nan);
  }

  /** The values, after checking both margins. */
  float[] read() {
    wide.whole().device().execute(new Cast(whole, wide.whole()));
    return wide.read();
  }
}
