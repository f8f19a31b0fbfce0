package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
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
  /** Elements per thread and per block of {@code sort.cu}. */
  private static final int PER_THREAD = 8;

  private static final int TILE = PER_THREAD * Launcher.THREADS;

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

  @Override
  public void onCuda(Launcher cuda) {
    if (x.length() == 0) {
      return;
    }
    if (count <= TILE) {
      // Whole warps, enough of them for the row: short rows leave few threads without work.
      int warps = (count + 32 * PER_THREAD - 1) / (32 * PER_THREAD);
      tiles(cuda, 1, y, 32 * Integer.highestOneBit(2 * warps - 1));
      return;
    }
    int tiles = (count + TILE - 1) / TILE;
    int merges = 32 - Integer.numberOfLeadingZeros(tiles - 1);
    Buffer spare = cuda.scratch(DType.F32, y.length());
    Buffer from = merges % 2 == 0 ? y : spare;
    tiles(cuda, tiles, from, Launcher.THREADS);
    for (int run = TILE; run < count; run *= 2) {
      Buffer to = from == y ? spare : y;
      cuda.kernel("sort", "sort_merge_f32").i32(count).i32(tiles).i32(run);
      cuda.pointer(from).pointer(to).launch(rows * tiles, Launcher.THREADS);
      from = to;
    }
  }

  /** Sorts runs of eight elements per thread. */
  private void tiles(Launcher cuda, int tiles, Buffer to, int threads) {
    cuda.kernel("sort", "sort_tiles_f32").i32(count).i32(tiles).pointer(x).pointer(to);
    cuda.launch(rows * tiles, threads);
  }
}
