package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Normalizes each row's exponentials: y ← e^(x - m) / Σ e^(x - m) with m the row's maximum, or the
 * logarithm of that.
 *
 * @shape x and y [rows, count]; y may be x
 */
@Definition(
    formula = "y = e^(x−max)/Σ e^(x−max) along rows, or its logarithm",
    cost = "about 25 flops per element")
public record Softmax(boolean log, Buffer x, Buffer y, int rows, int count) implements Kernel {
  /** Elements per chunk: x, y and scratch stay in the first-level cache. */
  private static final int CHUNK = 2048;

  /** The largest block of {@code softmax.cu}: more threads have too few registers for a row. */
  static final int CUDA_THREADS = 512;

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
  public double flops() {
    return 25.0 * x.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    ranges.split(
        rows, Math.max(1, CHUNK / Math.max(1, count)), (from, to) -> rows(ranges, from, to));
  }

  @Override
  public void onCuda(Launcher cuda) {
    Team team = Team.of(count, CUDA_THREADS);
    cuda.kernel("softmax", "softmax_f32").i32(rows).i32(count).i32(team.size()).i32(log ? 1 : 0);
    cuda.pointer(x).pointer(y).launch(team.blocks(rows), team.threads());
  }

  /** The exponentials of all rows at once, because single rows may be shorter than a vector. */
  private void rows(Ranges ranges, int from, int to) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    int n = (to - from) * count;
    int yo = y.offset() + from * count;
    for (int row = from; row < to; row++) {
      int xo = x.offset() + row * count;
      float m = Reduce.max(ranges.simd(), xs, xo, count);
      subtract(xs, xo, m, ys, y.offset() + row * count, count);
    }
    float[] lanes = ranges.scratch(0, Reduce.LANES);
    float[] e = log ? ranges.scratch(1, n) : ys;
    int eo = log ? 0 : yo;
    int done = ranges.simd() ? Simd.exp(ys, yo, e, eo, n) : 0;
    exp(ys, yo + done, e, eo + done, n - done);
    for (int row = 0; row < to - from; row++) {
      float sum = Reduce.sum(ranges.simd(), e, eo + row * count, count, lanes);
      int at = yo + row * count;
      if (log) {
        subtract(ys, at, Mathf.log(sum), ys, at, count);
      } else {
        scale(ys, at, 1f / sum, count);
      }
    }
  }

  private static void exp(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Mathf.exp(x[xo + i]);
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

    static int exp(float[] x, int xo, float[] y, int yo, int n) {
      int whole = S.loopBound(n);
      for (int i = 0; i < whole; i += S.length()) {
        Mathf.Simd.exp(FloatVector.fromArray(S, x, xo + i)).intoArray(y, yo + i);
      }
      return whole;
    }
  }
}
