package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Normalizes each row's exponentials: y ← e^(x - m) / Σ e^(x - m) with m the row's maximum, or the
 * logarithm of that.
 *
 * @shape x and y [rows, count]; y may be x unless {@code log}
 * @cost about 25 flops per element
 */
public record Softmax(boolean log, Buffer x, Buffer y, int rows, int count) implements Kernel {
  public Softmax {
    if (x.length() != rows * count || y.length() != rows * count) {
      throw new IllegalArgumentException("softmax: sizes do not fit");
    }
  }

  @Override
  public String name() {
    return log ? "log_softmax" : "softmax";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    ranges.split(
        rows,
        Math.max(1, Axpy.GRAIN / 8 / Math.max(1, count)),
        (from, to) -> {
          float[] lanes = ranges.scratch(0, Reduce.LANES);
          for (int row = from; row < to; row++) {
            int xo = x.offset() + row * count;
            row(ranges.simd(), xs, xo, ys, y.offset() + row * count, lanes);
          }
        });
  }

  private void row(boolean simd, float[] x, int xo, float[] y, int yo, float[] lanes) {
    float m = Reduce.max(x, xo, count);
    int done = simd ? Simd.exp(x, xo, m, y, yo, count) : 0;
    exp(x, xo + done, m, y, yo + done, count - done);
    float sum = Reduce.sum(simd, y, yo, count, lanes);
    if (log) {
      subtract(x, xo, m + Mathf.log(sum), y, yo, count);
    } else {
      scale(y, yo, 1f / sum, count);
    }
  }

  private static void exp(float[] x, int xo, float m, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Mathf.exp(x[xo + i] - m);
    }
  }

  private static void subtract(float[] x, int xo, float c, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = x[xo + i] - c;
    }
  }

  private static void scale(float[] y, int yo, float c, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] *= c;
    }
  }

  /** The exponentials of whole vectors; answers how many elements that were. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int exp(float[] x, int xo, float m, float[] y, int yo, int n) {
      int whole = S.loopBound(n);
      for (int i = 0; i < whole; i += S.length()) {
        Mathf.Simd.exp(FloatVector.fromArray(S, x, xo + i).sub(m)).intoArray(y, yo + i);
      }
      return whole;
    }
  }
}
