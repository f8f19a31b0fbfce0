package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Ranges;
import java.util.Arrays;

/**
 * Pieces of one attention head in the layouts that {@link Gemm#block} multiplies.
 *
 * <p>A block is up to {@link #ROWS} rows (queries or keys) of a head with d features, in one of two
 * layouts: <em>turned</em>, one row of {@link Gemm#STRIDE} elements per feature; or in
 * <em>strips</em>, each {@link #ROWS} rows of up to {@link Gemm#COLUMNS} features. A block of
 * scores has one row per key. What a block does not fill up to whole register tiles is 0 or unused.
 *
 * @param ranges the kernel's
 * @param features d
 */
record HeadBlock(Ranges ranges, int features) {
  /** Rows per block: a multiple of every register tile's height and width. */
  static final int ROWS = 96;

  /** Elements of a block of scores. */
  static final int SCORES = ROWS * Gemm.STRIDE;

  private static final int EDGE_SLOT = 15;

  /** A number of rows, rounded up so that vectors of any width divide it. */
  static int lanes(int rows) {
    return Winograd.roundUp(rows, 16);
  }

  /** Elements of a turned block. */
  int turnedSize() {
    return features * Gemm.STRIDE;
  }

  private int strips() {
    return (features + Gemm.COLUMNS - 1) / Gemm.COLUMNS;
  }

  /** Elements of a block in strips. */
  int stripsSize() {
    return strips() * ROWS * Gemm.STRIDE;
  }

  private int columnsOf(int strip) {
    return Math.min(Gemm.COLUMNS, features - strip * Gemm.COLUMNS);
  }

  /** Copies rows of a matrix into a turned block; columns past the last row become 0. */
  void turn(float[] from, int at, int stride, int rows, float[] to, int target) {
    Gemm.transpose(from, at, stride, features, rows, to, target);
    for (int i = 0; i < features && rows < ROWS; i++) {
      Arrays.fill(to, target + i * Gemm.STRIDE + rows, target + i * Gemm.STRIDE + ROWS, 0f);
    }
  }

  /** Copies rows of a matrix into strips; columns past the last feature become 0. */
  void strips(float[] from, int at, int stride, int rows, float[] to, int target) {
    for (int strip = 0; strip < strips(); strip++) {
      int columns = columnsOf(strip);
      int first = target + strip * ROWS * Gemm.STRIDE;
      Gemm.copy(from, at + strip * Gemm.COLUMNS, stride, rows, columns, to, first);
      for (int i = 0; i < rows && columns < Gemm.COLUMNS; i++) {
        int row = first + i * Gemm.STRIDE;
        Arrays.fill(to, row + columns, row + Gemm.COLUMNS, 0f);
      }
    }
  }

  /** Copies strips into rows of a matrix. */
  void unstrip(float[] from, int at, int rows, float[] to, int target, int stride) {
    for (int strip = 0; strip < strips(); strip++) {
      for (int i = 0; i < rows; i++) {
        int source = at + (strip * ROWS + i) * Gemm.STRIDE;
        int sink = target + i * stride + strip * Gemm.COLUMNS;
        System.arraycopy(from, source, to, sink, columnsOf(strip));
      }
    }
  }

  /** Scores [keys, queries] = strips [keys, d] · turned block [d, queries]. */
  void scores(
      float[] keys, int keysAt, float[] queries, int queriesAt, int m, int n, float[] s, int at) {
    for (int strip = 0; strip < strips(); strip++) {
      int a = keysAt + strip * ROWS * Gemm.STRIDE;
      int b = queriesAt + strip * Gemm.COLUMNS * Gemm.STRIDE;
      block(false, keys, a, queries, b, m, n, columnsOf(strip), strip > 0, s, at);
    }
  }

  /** Strips [keys, d], added to or not, = scores [keys, queries] · strips [queries, d]. */
  void overQueries(
      float[] scores, int at, float[] b, int from, int keys, int queries, boolean add, Sum sum) {
    product(false, scores, at, b, from, keys, queries, add, sum);
  }

  /** Strips [queries, d], added to or not, = scoresᵀ [queries, keys] · strips [keys, d]. */
  void overKeys(
      float[] scores, int at, float[] b, int from, int queries, int keys, boolean add, Sum sum) {
    product(true, scores, at, b, from, queries, keys, add, sum);
  }

  /** Where a product's strips start. */
  record Sum(float[] data, int at) {}

  private void product(
      boolean byDepth,
      float[] scores,
      int at,
      float[] b,
      int from,
      int rows,
      int depth,
      boolean add,
      Sum sum) {
    for (int strip = 0; strip < strips(); strip++) {
      int apart = strip * ROWS * Gemm.STRIDE;
      int columns = columnsOf(strip);
      block(
          byDepth,
          scores,
          at,
          b,
          from + apart,
          rows,
          columns,
          depth,
          add,
          sum.data,
          sum.at + apart);
    }
  }

  private void block(
      boolean byDepth,
      float[] a,
      int ao,
      float[] b,
      int bo,
      int rows,
      int columns,
      int depth,
      boolean add,
      float[] c,
      int co) {
    boolean simd = ranges.simd();
    Gemm.block(
        simd,
        byDepth,
        a,
        ao,
        b,
        bo,
        simd ? Winograd.roundUp(rows, Gemm.tileRows()) : rows,
        simd ? Winograd.roundUp(columns, Gemm.tileColumns()) : columns,
        depth,
        add ? c : Gemm.zeros(Gemm.STRIDE),
        add ? co : 0,
        add ? Gemm.STRIDE : 0,
        c,
        co,
        Gemm.STRIDE,
        ranges.scratch(EDGE_SLOT, Gemm.EDGE));
  }
}
