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
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Reduces the middle axis: y[o, i] ← scale · Σ_k x[o, k, i], or the maximum over k.
 *
 * <p>The order of additions depends on the shape alone: blocks of rows or of 4096 elements, each
 * summed in 16 lanes along the last axis, the lanes and the blocks added in order.
 *
 * @shape x [outer, count, inner], y [outer, inner]
 */
@Definition(
    formula = "y[o,i] = s·Σ_c x[o,c,i], or max_c",
    cost = "outer·count·inner flops, 4 bytes each")
public record Reduce(Op op, float scale, Buffer x, Buffer y, int outer, int count, int inner)
    implements Kernel {
  /** The reductions; a maximum is not scaled. */
  public enum Op {
    SUM,
    MAX
  }

  /** Lanes of the sum along a contiguous axis, whatever the machine's vectors hold. */
  static final int LANES = 16;

  private static final int BLOCK = 4096;

  private static final int WARP = 32;

  /** Rows that one CUDA thread adds by itself. */
  private static final int SHORT = 16;

  /** Rows that a CUDA thread of several adds at least, if there are enough. */
  private static final int EACH = 8;

  /** CUDA threads that occupy a large device. */
  private static final int ENOUGH = 65536;

  /** Runs of rows that a second launch adds up. */
  private static final int MOST_BLOCKS = 1024;

  public Reduce {
    if (x.length() != outer * count * inner || y.length() != outer * inner) {
      throw new IllegalArgumentException("reduce: sizes do not fit");
    }
    if (op == Op.MAX && count == 0) {
      throw new IllegalArgumentException("max: over an axis of size 0");
    }
  }

  @Override
  public String name() {
    return op == Op.SUM ? "reduce_sum" : "reduce_max";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public double flops() {
    return x.length();
  }

  @Override
  public Kernel on(Operands by) {
    return new Reduce(op, scale, by.read(x), by.written(y), outer, count, inner);
  }

  @Override
  public void onCpu(Ranges ranges) {
    if (inner == 1 && (outer > 1 || count <= BLOCK)) {
      rows(ranges);
    } else if (inner == 1) {
      all(ranges);
    } else {
      columns(ranges);
    }
  }

  @Override
  public void onCuda(Launcher cuda) {
    float factor = op == Op.SUM ? scale : 1f;
    if (inner == 1) {
      Runs runs = Runs.of(outer, count);
      Buffer partial = runs.partial(cuda, y);
      runs.launch(cuda.kernel("reduce", rowsOf(op)), factor, x, null, partial);
      runs.finish(cuda, op, factor, partial, y);
    } else {
      columns(cuda, op, outer, count, inner, factor, false, x, y);
    }
  }

  /** The CUDA function that reduces along a contiguous axis. */
  static String rowsOf(Op op) {
    return op == Op.SUM ? "reduce_sum_rows_f32" : "reduce_max_rows_f32";
  }

  /** Reduces the middle axis on a CUDA device, whatever the last one is, and may add to y. */
  static void columns(
      Launcher cuda,
      Op op,
      int outer,
      int count,
      int inner,
      float scale,
      boolean accumulate,
      Buffer x,
      Buffer y) {
    int vector = inner % 4 == 0 ? 4 : 1;
    int units = inner / vector;
    long results = (long) outer * units;
    if (count <= SHORT || results >= ENOUGH && inner >= WARP) {
      String each = op == Op.SUM ? "reduce_sum_each_f32" : "reduce_max_each_f32";
      cuda.kernel("reduce", each).i32(outer).i32(count).i32(inner).i32(vector == 4 ? 1 : 0);
      cuda.f32(scale).i32(accumulate ? 1 : 0).pointer(x).pointer(y);
      cuda.launch(cuda.blocks(results, Launcher.THREADS), Launcher.THREADS);
      return;
    }
    int tiles = (units + WARP - 1) / WARP;
    int wide = (units + tiles - 1) / tiles;
    long blocks = ((long) count * outer * tiles + MOST_BLOCKS - 1) / MOST_BLOCKS;
    int run = Math.max(Launcher.THREADS / wide * EACH, (int) blocks);
    int runs = (count + run - 1) / run;
    String columns = op == Op.SUM ? "reduce_sum_columns_f32" : "reduce_max_columns_f32";
    Buffer from = x;
    int rows = count;
    if (runs > 1) {
      from = cuda.scratch(DType.F32, outer * runs * inner);
      cuda.kernel("reduce", columns).i32(count).i32(inner).i32(run).i32(runs).i32(wide).i32(tiles);
      cuda.i32(vector == 4 ? 1 : 0).f32(1f).i32(0).pointer(x).pointer(from);
      cuda.launch(outer * runs * tiles, 1, 1, Launcher.THREADS, vector * Launcher.THREADS * 4);
      rows = runs;
    }
    cuda.kernel("reduce", columns).i32(rows).i32(inner).i32(rows).i32(1).i32(wide).i32(tiles);
    cuda.i32(vector == 4 ? 1 : 0).f32(scale).i32(accumulate ? 1 : 0).pointer(from).pointer(y);
    cuda.launch(outer * tiles, 1, 1, Launcher.THREADS, vector * Launcher.THREADS * 4);
  }

  /** One result per run of neighbouring elements. */
  private void rows(Ranges ranges) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    ranges.split(
        outer,
        Math.max(1, Axpy.GRAIN / Math.max(1, count)),
        (from, to) -> {
          float[] lanes = ranges.scratch(0, LANES);
          for (int o = from; o < to; o++) {
            float r = run(ranges.simd(), xs, x.offset() + o * count, count, lanes);
            ys[y.offset() + o] = op == Op.SUM ? scale * r : r;
          }
        });
  }

  /** A single result over many elements: blocks first. */
  private void all(Ranges ranges) {
    float[] xs = x.floats();
    int blocks = (count + BLOCK - 1) / BLOCK;
    float[] partial = ranges.scratch(1, blocks);
    ranges.chunks(
        blocks,
        block -> {
          int from = block * BLOCK;
          int n = Math.min(BLOCK, count - from);
          float[] lanes = ranges.scratch(0, LANES);
          partial[block] = run(ranges.simd(), xs, x.offset() + from, n, lanes);
        });
    float r = run(ranges.simd(), partial, 0, blocks, ranges.scratch(0, LANES));
    y.floats()[y.offset()] = op == Op.SUM ? scale * r : r;
  }

  private float run(boolean simd, float[] x, int xo, int n, float[] lanes) {
    return op == Op.SUM ? sum(simd, x, xo, n, lanes) : max(simd, x, xo, n);
  }

  /** The sum of n neighbouring elements; {@code lanes} has room for {@link #LANES}. */
  static float sum(boolean simd, float[] x, int xo, int n, float[] lanes) {
    int whole = n - n % LANES;
    if (simd) {
      Simd.lanes(x, xo, whole, lanes);
    } else {
      lanes(x, xo, whole, lanes);
    }
    for (int i = whole; i < n; i++) {
      lanes[i - whole] += x[xo + i];
    }
    for (int step = LANES / 2; step > 0; step /= 2) {
      for (int i = 0; i < step; i++) {
        lanes[i] += lanes[i + step];
      }
    }
    return lanes[0];
  }

  private static void lanes(float[] x, int xo, int n, float[] lanes) {
    Arrays.fill(lanes, 0, LANES, 0f);
    for (int i = 0; i < n; i += LANES) {
      for (int lane = 0; lane < LANES; lane++) {
        lanes[lane] += x[xo + i + lane];
      }
    }
  }

  /** The largest of n ≥ 1 neighbouring elements; NaN if one is. */
  static float max(boolean simd, float[] x, int xo, int n) {
    int done = simd ? Simd.whole(n) : 0;
    float m = done > 0 ? Simd.max(x, xo, done) : Float.NEGATIVE_INFINITY;
    for (int i = done; i < n; i++) {
      m = Math.max(m, x[xo + i]);
    }
    return m;
  }

  /** Results lie side by side: whole rows are added, in blocks that threads share. */
  private void columns(Ranges ranges) {
    boolean simd = ranges.simd();
    float[] xs = x.floats();
    float[] ys = y.floats();
    int perBlock = Math.max(16, BLOCK / Math.max(1, inner));
    int blocks = Math.max(1, (count + perBlock - 1) / perBlock);
    if (blocks == 1 || outer >= 16) {
      ranges.split(
          outer,
          Math.max(1, Axpy.GRAIN / Math.max(1, count * inner)),
          (from, to) -> {
            for (int o = from; o < to; o++) {
              block(simd, xs, x.offset() + o * count * inner, count, ys, y.offset() + o * inner);
            }
          });
      scale(ys);
      return;
    }
    float[] partial = ranges.scratch(1, outer * blocks * inner);
    ranges.chunks(
        outer * blocks,
        chunk -> {
          int first = chunk % blocks * perBlock;
          int from = x.offset() + (chunk / blocks * count + first) * inner;
          block(simd, xs, from, Math.min(perBlock, count - first), partial, chunk * inner);
        });
    for (int o = 0; o < outer; o++) {
      block(simd, partial, o * blocks * inner, blocks, ys, y.offset() + o * inner);
    }
    scale(ys);
  }

  private void scale(float[] y) {
    if (op == Op.SUM && scale != 1f) {
      for (int i = 0; i < outer * inner; i++) {
        y[this.y.offset() + i] *= scale;
      }
    }
  }

  /** y ← the sum or maximum of {@code rows} rows. */
  private void block(boolean simd, float[] x, int xo, int rows, float[] y, int yo) {
    if (op == Op.SUM) {
      Rows.sum(simd, x, xo, rows, inner, y, yo);
      return;
    }
    Arrays.fill(y, yo, yo + inner, Float.NEGATIVE_INFINITY);
    for (int row = 0; row < rows; row++) {
      maxRow(x, xo + row * inner, y, yo, inner);
    }
  }

  private static void maxRow(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Math.max(y[yo + i], x[xo + i]);
    }
  }

  /** The lane sums on vectors of any width that divides 16 lanes. */
  private static final class Simd {
    private static final VectorSpecies<Float> S =
        FloatVector.SPECIES_PREFERRED.length() <= LANES
            ? FloatVector.SPECIES_PREFERRED
            : FloatVector.SPECIES_512;

    static void lanes(float[] x, int xo, int n, float[] lanes) {
      for (int lane = 0; lane < LANES; lane += S.length()) {
        FloatVector sum = FloatVector.zero(S);
        for (int i = lane; i < n; i += LANES) {
          sum = sum.add(FloatVector.fromArray(S, x, xo + i));
        }
        sum.intoArray(lanes, lane);
      }
    }

    static int whole(int n) {
      return S.loopBound(n);
    }

    /** The largest of n elements, a multiple of the vector length, at least one. */
    static float max(float[] x, int xo, int n) {
      FloatVector m = FloatVector.fromArray(S, x, xo);
      for (int i = S.length(); i < n; i += S.length()) {
        m = m.max(FloatVector.fromArray(S, x, xo + i));
      }
      return m.reduceLanes(VectorOperators.MAX);
    }

    /** Sums columns in registers, four vectors of them at a time; answers how many it did. */
  }
}
