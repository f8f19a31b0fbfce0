package dev.limbeck.kernels.op;

import jdk.incubator.vector.FloatVector;

/**
 * The product of two packed blocks, from which matrix products and convolutions are built.
 *
 * <p>A block is a piece of a matrix copied to rows of {@link #STRIDE} elements. A left block holds
 * at most {@link #ROWS} rows of C and {@link #DEPTH} steps of the sum, either way round; a right
 * block holds at most {@link #DEPTH} steps by {@link #COLUMNS} columns. Each element of C is a
 * chain of fused multiply-adds in the order of the steps, whatever the vector width.
 */
final class Gemm {
  /** Elements between rows of a block: a constant for addressing, an odd number of cache lines. */
  static final int STRIDE = 144;

  /** Steps of the sum per block: a 128 by 32 strip of a right block fills half of a small L1. */
  static final int DEPTH = 128;

  /** Columns per right block. */
  static final int COLUMNS = 128;

  /** Rows of C per left block: a multiple of both tiles' heights. */
  static final int ROWS = 96;

  /** Elements of any block. */
  static final int BLOCK = DEPTH * STRIDE;

  /** Elements of the scratch tile for the edges of C. */
  static final int EDGE = 1024;

  private static volatile float[] zeros = new float[4096];

  private Gemm() {}

  /** What a sum without bias starts from: at least {@code n} zeros that nobody may write. */
  static float[] zeros(int n) {
    float[] known = zeros;
    if (known.length < n) {
      known = new float[Integer.highestOneBit(n) * 2];
      zeros = known;
    }
    return known;
  }

  /**
   * Copies a piece of a matrix into a block.
   *
   * @param ld elements between rows of the source
   */
  static void copy(float[] from, int at, int ld, int rows, int columns, float[] to, int target) {
    for (int i = 0; i < rows; i++) {
      System.arraycopy(from, at + i * ld, to, target + i * STRIDE, columns);
    }
  }

  /** As {@link #copy}, of the transpose: the block has {@code rows} rows. */
  static void transpose(
      float[] from, int at, int ld, int rows, int columns, float[] to, int target) {
    transpose(from, at, ld, rows, columns, to, target, STRIDE);
  }

  /** As {@link #transpose}, to rows of any stride. */
  static void transpose(
      float[] from, int at, int ld, int rows, int columns, float[] to, int target, int stride) {
    int j = 0;
    // Eight columns at a time: few cache lines live, one run of stores per row.
    for (; j + 8 <= columns; j += 8) {
      int source = at + j * ld;
      int sink = target + j;
      for (int i = 0; i < rows; i++, source++, sink += stride) {
        to[sink] = from[source];
        to[sink + 1] = from[source + ld];
        to[sink + 2] = from[source + 2 * ld];
        to[sink + 3] = from[source + 3 * ld];
        to[sink + 4] = from[source + 4 * ld];
        to[sink + 5] = from[source + 5 * ld];
        to[sink + 6] = from[source + 6 * ld];
        to[sink + 7] = from[source + 7 * ld];
      }
    }
    for (; j < columns; j++) {
      for (int i = 0; i < rows; i++) {
        to[target + i * stride + j] = from[at + j * ld + i];
      }
    }
  }

  /** Rows of the register tile; for callers on the vector path. */
  static int tileRows() {
    return Simd.ROWS;
  }

  /** Columns of the register tile; for callers on the vector path. */
  static int tileColumns() {
    return Simd.COLUMNS;
  }

  /**
   * C = init + A·B on one pair of blocks.
   *
   * @param byDepth true if the left block has one row per step of the sum
   * @param init what the sums start from: C itself, or a row repeated by {@code initStride} 0
   * @param edge scratch of {@link #EDGE} elements
   */
  static void block(
      boolean simd,
      boolean byDepth,
      float[] a,
      int ao,
      float[] b,
      int bo,
      int rows,
      int columns,
      int depth,
      float[] init,
      int io,
      int initStride,
      float[] c,
      int co,
      int stride,
      float[] edge) {
    if (!simd) {
      scalar(byDepth, a, ao, b, bo, rows, columns, depth, init, io, initStride, c, co, stride);
      return;
    }
    int high = Simd.ROWS;
    int wide = Simd.COLUMNS;
    for (int j = 0; j < columns; j += wide) {
      int width = Math.min(wide, columns - j);
      for (int i = 0; i < rows; i += high) {
        int height = Math.min(high, rows - i);
        int at = ao + i * (byDepth ? 1 : STRIDE);
        int from = io + i * initStride + j;
        int to = co + i * stride + j;
        if (width == wide && height == high) {
          Simd.tile(byDepth, a, at, b, bo + j, depth, init, from, initStride, c, to, stride);
        } else {
          // A row that all rows start from is needed once.
          int initRows = initStride == 0 ? 1 : height;
          int edgeStride = initStride == 0 ? 0 : wide;
          for (int r = 0; r < initRows; r++) {
            copyShort(init, from + r * initStride, edge, r * wide, width);
          }
          Simd.tile(byDepth, a, at, b, bo + j, depth, edge, 0, edgeStride, edge, 0, wide);
          for (int r = 0; r < height; r++) {
            copyShort(edge, r * wide, c, to + r * stride, width);
          }
        }
      }
    }
  }

  /** A loop: for so few elements it beats the call to a copy routine. */
  private static void copyShort(float[] from, int at, float[] to, int target, int count) {
    for (int i = 0; i < count; i++) {
      to[target + i] = from[at + i];
    }
  }

  private static void scalar(
      boolean byDepth,
      float[] a,
      int ao,
      float[] b,
      int bo,
      int rows,
      int columns,
      int depth,
      float[] init,
      int io,
      int initStride,
      float[] c,
      int co,
      int stride) {
    for (int i = 0; i < rows; i++) {
      int to = co + i * stride;
      if (init != c || io != co) {
        System.arraycopy(init, io + i * initStride, c, to, columns);
      }
      for (int p = 0; p < depth; p++) {
        float left = byDepth ? a[ao + p * STRIDE + i] : a[ao + i * STRIDE + p];
        int right = bo + p * STRIDE;
        for (int j = 0; j < columns; j++) {
          c[to + j] = Math.fma(left, b[right + j], c[to + j]);
        }
      }
    }
  }

  /** The register tile that fits the machine. */
  private static final class Simd {
    /** Vectors of 512 bits come with 32 registers. */
    private static final boolean WIDE = FloatVector.SPECIES_PREFERRED.length() >= 16;

    static final int ROWS = WIDE ? WideTile.Simd.ROWS : NarrowTile.Simd.ROWS;
    static final int COLUMNS = WIDE ? WideTile.Simd.COLUMNS : NarrowTile.Simd.COLUMNS;

    static void tile(
        boolean byDepth,
        float[] a,
        int ao,
        float[] b,
        int bo,
        int depth,
        float[] init,
        int io,
        int initStride,
        float[] c,
        int co,
        int stride) {
      if (WIDE) {
        if (byDepth) {
          WideTile.Simd.depthMajor(a, ao, b, bo, depth, init, io, initStride, c, co, stride);
        } else {
          WideTile.Simd.rowMajor(a, ao, b, bo, depth, init, io, initStride, c, co, stride);
        }
      } else if (byDepth) {
        NarrowTile.Simd.depthMajor(a, ao, b, bo, depth, init, io, initStride, c, co, stride);
      } else {
        NarrowTile.Simd.rowMajor(a, ao, b, bo, depth, init, io, initStride, c, co, stride);
      }
    }
  }
}
