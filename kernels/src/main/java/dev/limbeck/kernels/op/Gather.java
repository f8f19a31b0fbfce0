package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Copies rows of a table by number: y[i, :] ← table[index[i], :]. On a CUDA device, which throws
 * nothing, a number that is no row gives a row of NaN.
 *
 * @shape table [V, width], index I32 [n], y [n, width]
 */
@Definition(formula = "y[i,:] = table[index[i],:]", cost = "8·n·width bytes")
public record Gather(Buffer table, Buffer index, Buffer y, int width) implements Kernel {
  public Gather {
    if (y.length() != index.length() * width) {
      throw new IllegalArgumentException("gather: the result has another size");
    }
  }

  @Override
  public String name() {
    return "gather";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(table, index, y);
  }

  @Override
  public double bytes() {
    return index.bytes() + 2.0 * y.bytes();
  }

  @Override
  public Kernel on(Operands by) {
    return new Gather(by.read(table), index, by.written(y), width);
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] rows = table.floats();
    int[] wanted = index.ints();
    float[] ys = y.floats();
    int count = table.length() / Math.max(1, width);
    ranges.split(
        index.length(),
        Math.max(1, Axpy.GRAIN / Math.max(1, width)),
        (from, to) -> {
          for (int i = from; i < to; i++) {
            int row = wanted[index.offset() + i];
            check(row, count, i);
            System.arraycopy(rows, table.offset() + row * width, ys, y.offset() + i * width, width);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int unit = width % 4 == 0 ? 4 : 1;
    int n = y.length() / unit;
    cuda.kernel("gather", unit == 4 ? "gather_f32x4" : "gather_f32").i32(n);
    Divisor.of(Math.max(1, width / unit)).to(cuda).i32(table.length() / Math.max(1, width));
    cuda.pointer(table).pointer(index).pointer(y);
    cuda.launch(cuda.blocks(n, Launcher.THREADS), Launcher.THREADS);
  }

  static void check(int row, int count, int i) {
    if (row < 0 || row >= count) {
      throw new IndexOutOfBoundsException(
          "gather: index " + row + " at position " + i + " is not in [0, " + count + ")");
    }
  }
}
