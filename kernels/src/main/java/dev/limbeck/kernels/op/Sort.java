package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;

/**
 * Sorts each row in ascending order; NaN comes last.
 *
 * @shape x and y [rows, count]
 */
@Definition(
    formula = "y = the rows of x in ascending order",
    cost = "rows·count·log(count) comparisons")
public record Sort(Buffer x, Buffer y, int rows, int count) implements Kernel {
  public Sort {
    if (x.length() != rows * count || y.length() != rows * count) {
      throw new IllegalArgumentException("sort: sizes do not fit");
    }
  }

  @Override
  public String name() {
    return "sort";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    ranges.chunks(
        rows,
        row -> {
          int at = y.offset() + row * count;
          System.arraycopy(xs, x.offset() + row * count, ys, at, count);
          Arrays.sort(ys, at, at + count);
        });
  }
}
