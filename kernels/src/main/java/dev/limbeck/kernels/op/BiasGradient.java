package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;

/**
 * Sums the rows of a matrix, db[j] = Σᵢ g[i,j], written or added: the gradient of a bias.
 *
 * <p>Runs of rows are summed one by one and the partial sums are added in order, so that the result
 * does not depend on the number of threads.
 *
 * @shape g [rows,columns], db [columns]
 * @param accumulate true to add to what db holds
 */
@Definition(formula = "db[c] = Σ_r g[r,c]", cost = "rows·columns flops, 4·rows·columns bytes")
public record BiasGradient(int rows, int columns, Buffer g, Buffer db, boolean accumulate)
    implements Kernel {
  /** Elements per run of rows: 64 KiB. */
  private static final int GRAIN = 16384;

  /** Columns of a block of {@code column_sums_bf16}, 256 bytes of each row. */
  private static final int TILE = 128;

  /** Rows that a thread of it adds at least, and blocks beyond which it adds more. */
  private static final int EACH = 8;

  private static final int BLOCKS = 1024;

  public BiasGradient {
    if (g.length() != rows * columns || db.length() != columns) {
      throw new IllegalArgumentException(
          "bias gradient: buffers of "
              + g.length()
              + " and "
              + db.length()
              + " against "
              + rows
              + " rows of "
              + columns);
    }
  }

  @Override
  public String name() {
    return "bias-gradient";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(g, db);
  }

  @Override
  public double flops() {
    return (double) rows * columns;
  }

  @Override
  public String path(boolean simd) {
    return simd ? "vectors" : "loop";
  }

  @Override
  public boolean takesHalves(int ptx) {
    return ptx > 0 && columns % 4 == 0 && db.type() == DType.F32;
  }

  @Override
  public Kernel on(Operands by) {
    Buffer to = accumulate ? by.updated(db) : by.written(db);
    return new BiasGradient(rows, columns, by.read(g), to, accumulate);
  }

  @Override
  public void onCpu(Ranges ranges) {
    int run = Math.max(1, GRAIN / Math.max(1, columns));
    int runs = (rows + run - 1) / run;
    float[] partial = ranges.scratch(0, runs * columns);
    float[] gs = g.floats();
    ranges.chunks(
        runs,
        chunk -> {
          int first = chunk * run;
          int from = g.offset() + first * columns;
          int count = Math.min(rows - first, run);
          Rows.sum(ranges.simd(), gs, from, count, columns, partial, chunk * columns);
        });
    float[] ds = db.floats();
    if (!accumulate) {
      Arrays.fill(ds, db.offset(), db.offset() + columns, 0f);
    }
    for (int chunk = 0; chunk < runs; chunk++) {
      Rows.add(ranges.simd(), partial, chunk * columns, ds, db.offset(), columns);
    }
  }

  @Override
  public void onCuda(Launcher cuda) {
    Buffer from = g;
    int count = rows;
    if (g.type() == DType.BF16) {
      int tiles = (columns + TILE - 1) / TILE;
      int units = (columns / 4 + tiles - 1) / tiles;
      int lanes = Launcher.THREADS / units;
      int run = Math.max(EACH * lanes, (int) (((long) rows * tiles + BLOCKS - 1) / BLOCKS));
      count = Math.max(1, (rows + run - 1) / run);
      from = cuda.scratch(DType.F32, count * columns);
      cuda.kernel("halves", "column_sums_bf16").i32(rows).i32(columns).i32(run).i32(units);
      cuda.i32(tiles).pointer(g).pointer(from);
      cuda.launch(count * tiles, 1, 1, Launcher.THREADS, 4 * Launcher.THREADS * Float.BYTES);
    }
    Reduce.columns(cuda, Reduce.Op.SUM, 1, count, columns, 1f, accumulate, from, db);
  }
}
