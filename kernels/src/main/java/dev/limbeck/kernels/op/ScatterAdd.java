package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Adds rows to rows of a table: table[index[i], :] += x[i, :], in the order of i.
 *
 * <p>The threads share the table by columns, not by i, so that two rows with the same index are
 * always added in the same order. On a CUDA device, which throws nothing, a number that is no row
 * makes row 0 NaN.
 *
 * @shape x [n, width], index I32 [n], table [V, width]
 */
@Definition(formula = "table[index[i],:] ← table[index[i],:] + x[i,:]", cost = "12·n·width bytes")
public record ScatterAdd(Buffer x, Buffer index, Buffer table, int width) implements Kernel {
  /** Columns per chunk: a cache line's worth, so that two threads never write to one line. */
  private static final int COLUMNS = 64;

  private static final int WARP = 32;
  private static final int MAX_BLOCKS_Y = 65535;

  public ScatterAdd {
    if (x.length() != index.length() * width) {
      throw new IllegalArgumentException("scatter-add: x has another size");
    }
  }

  @Override
  public String name() {
    return "scatter_add";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, index, table);
  }

  @Override
  public double flops() {
    return x.length();
  }

  @Override
  public double bytes() {
    return index.bytes() + x.bytes() + 2.0 * Math.min(x.bytes(), table.bytes());
  }

  @Override
  public Kernel on(Operands by) {
    return new ScatterAdd(by.read(x), index, by.updated(table), width);
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] xs = x.floats();
    int[] wanted = index.ints();
    float[] rows = table.floats();
    int count = table.length() / Math.max(1, width);
    ranges.split(
        width,
        COLUMNS,
        (from, to) -> {
          for (int i = 0; i < index.length(); i++) {
            int row = wanted[index.offset() + i];
            Gather.check(row, count, i);
            add(
                xs,
                x.offset() + i * width + from,
                rows,
                table.offset() + row * width + from,
                to - from);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int count = table.length() / Math.max(1, width);
    int unit = width % 4 == 0 ? 4 : 1;
    if (width == 0 || index.length() == 0) {
      return;
    }
    cuda.kernel("gather", unit == 4 ? "scatter_add_f32x4" : "scatter_add_f32");
    cuda.i32(index.length()).i32(width / unit).i32(count).pointer(x).pointer(index).pointer(table);
    int warps = Launcher.THREADS / WARP;
    int runs = Math.min(MAX_BLOCKS_Y, (width / unit + WARP - 1) / WARP);
    cuda.launch((count + warps - 1) / warps, runs, 1, Launcher.THREADS, 0);
  }

  private static void add(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] += x[xo + i];
    }
  }
}
