package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Reorders axes: y is contiguous with the given sizes, and moving along its axis i moves {@code
 * strides[i]} elements in x.
 */
@Definition(formula = "y[…] = x[permuted …]", cost = "8n bytes; reads are strided")
public record Transpose(Buffer x, Buffer y, int[] sizes, int[] strides) implements Kernel {
  public Transpose {
    if (x.length() != y.length() || sizes.length != strides.length || sizes.length == 0) {
      throw new IllegalArgumentException("transpose: sizes do not fit");
    }
  }

  @Override
  public String name() {
    return "transpose";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    int last = sizes.length - 1;
    int row = sizes[last];
    int rows = y.length() / Math.max(1, row);
    ranges.split(
        rows,
        Math.max(1, Axpy.GRAIN / Math.max(1, row)),
        (from, to) -> {
          for (int r = from; r < to; r++) {
            int source = x.offset();
            int rest = r;
            for (int axis = last - 1; axis >= 0; axis--) {
              source += rest % sizes[axis] * strides[axis];
              rest /= sizes[axis];
            }
            copyRow(xs, source, strides[last], ys, y.offset() + r * row, row);
          }
        });
  }

  private static void copyRow(float[] x, int xo, int stride, float[] y, int yo, int n) {
    if (stride == 1) {
      System.arraycopy(x, xo, y, yo, n);
      return;
    }
    for (int i = 0; i < n; i++) {
      y[yo + i] = x[xo + i * stride];
    }
  }
}
