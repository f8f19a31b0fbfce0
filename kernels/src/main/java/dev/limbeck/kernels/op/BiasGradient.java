package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
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
    Reduce.columns(cuda, Reduce.Op.SUM, 1, rows, columns, 1f, accumulate, g, db);
  }
}
