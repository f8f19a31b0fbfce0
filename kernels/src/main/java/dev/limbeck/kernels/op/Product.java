package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Ranges;

/**
 * One blocked matrix product C = init + A·B, whose operands are read through packers: a stored
 * matrix, its transpose, or the patches of an image.
 *
 * <p>How the work is cut depends on m, n and k alone. Where C is small and the sum is long (weight
 * gradients), the sum is cut into parts that are added in order.
 *
 * @param a packs rows [from, to) × steps [start, end) of A, as rows or as steps, see {@code
 *     byDepth}
 * @param byDepth true if {@code a} packs one row per step of the sum
 * @param b packs steps [from, to) × columns [start, end) of B, one row per step
 * @param init what C starts from: a row with {@code initStride} 0, or (accumulate) C itself with n
 * @param residual added to C at the end, laid out as C; or null
 */
record Product(
    int m,
    int n,
    int k,
    Packer a,
    boolean byDepth,
    Packer b,
    float[] init,
    int io,
    int initStride,
    float[] c,
    int co,
    float[] residual,
    int ro) {
  /** Copies a piece of an operand into a block. */
  @FunctionalInterface
  interface Packer {
    void pack(int from, int to, int start, int end, float[] block, int at);
  }

  /** A product without residual. */
  Product(
      int m,
      int n,
      int k,
      Packer a,
      boolean byDepth,
      Packer b,
      float[] init,
      int io,
      int initStride,
      float[] c,
      int co) {
    this(m, n, k, a, byDepth, b, init, io, initStride, c, co, null, 0);
  }

  /** Flops per chunk worth handing to another thread: some tens of microseconds. */
  private static final long CHUNK_FLOPS = 4_000_000;

  /** Elements of all partial sums together: 16 MiB. */
  private static final long PARTIAL_LIMIT = 1 << 22;

  private static final int RIGHT_SLOT = 0;
  private static final int PARTIAL_SLOT = 1;
  private static final int LEFT_SLOT = 8;
  private static final int EDGE_SLOT = 9;
  private static final int LOCAL_RIGHT_SLOT = 10;

  /** True if C is so small and the sum so long that threads share the sum, not C. */
  private boolean cutsSum() {
    return k >= 512 && k >= 2L * m && (long) m * n <= PARTIAL_LIMIT / 2;
  }

  void run(Ranges ranges) {
    if (m == 0 || n == 0) {
      return;
    }
    if (cutsSum()) {
      runInParts(ranges);
    } else {
      runInRows(ranges);
    }
  }

  private static int blocks(int count, int size) {
    return (count + size - 1) / size;
  }

  private void runInRows(Ranges ranges) {
    int strips = blocks(n, Gemm.COLUMNS);
    float[] right = ranges.scratch(RIGHT_SLOT, Math.max(1, strips * k) * Gemm.STRIDE + 64);
    int layers = Math.max(1, blocks(k, Gemm.DEPTH));
    ranges.split(
        strips * layers,
        8,
        (from, to) -> {
          for (int i = from; i < to; i++) {
            int strip = i / layers;
            int start = i % layers * Gemm.DEPTH;
            int column = strip * Gemm.COLUMNS;
            b.pack(
                start,
                Math.min(k, start + Gemm.DEPTH),
                column,
                Math.min(n, column + Gemm.COLUMNS),
                right,
                (strip * k + start) * Gemm.STRIDE);
          }
        });
    int rowBlocks = blocks(m, Gemm.ROWS);
    long blockFlops = Math.max(1, 2L * Gemm.ROWS * n * k);
    // Small products are cut in few chunks; large ones so that each thread gets several.
    int perChunk = (int) Math.max(1, Math.min(CHUNK_FLOPS / blockFlops, rowBlocks));
    int rowChunks = blocks(rowBlocks, perChunk);
    int columnChunks = 1;
    if (rowChunks < 8 && blockFlops >= CHUNK_FLOPS) {
      columnChunks = Math.min(strips, blocks(8, rowChunks));
    }
    int stripsPerChunk = blocks(strips, columnChunks);
    int across = blocks(strips, stripsPerChunk);
    ranges.chunks(
        rowChunks * across,
        chunk -> {
          int first = chunk / across * perChunk;
          int strip = chunk % across * stripsPerChunk;
          for (int block = first; block < Math.min(rowBlocks, first + perChunk); block++) {
            rows(ranges, right, block * Gemm.ROWS, strip, Math.min(strips, strip + stripsPerChunk));
          }
        });
  }

  /** C's rows from {@code row} on, in one block's height, for some strips of columns. */
  private void rows(Ranges ranges, float[] right, int row, int fromStrip, int toStrip) {
    int rows = Math.min(Gemm.ROWS, m - row);
    float[] left = ranges.scratch(LEFT_SLOT, Gemm.BLOCK);
    float[] edge = ranges.scratch(EDGE_SLOT, Gemm.EDGE);
    int start = 0;
    do {
      int end = Math.min(k, start + Gemm.DEPTH);
      if (end > start) {
        a.pack(row, row + rows, start, end, left, 0);
      }
      boolean first = start == 0;
      for (int strip = fromStrip; strip < toStrip; strip++) {
        int column = strip * Gemm.COLUMNS;
        int to = co + row * n + column;
        Gemm.block(
            ranges.simd(),
            byDepth,
            left,
            0,
            right,
            (strip * k + start) * Gemm.STRIDE,
            rows,
            Math.min(Gemm.COLUMNS, n - column),
            end - start,
            first ? init : c,
            first ? io + row * initStride + column : to,
            first ? initStride : n,
            c,
            to,
            n,
            edge);
      }
      start = end;
    } while (start < k);
    if (residual != null) {
      int column = fromStrip * Gemm.COLUMNS;
      int columns = Math.min(n, toStrip * Gemm.COLUMNS) - column;
      boolean whole = columns == n;
      int run = whole ? rows * n : columns;
      for (int i = row; i < (whole ? row + 1 : row + rows); i++) {
        int at = i * n + column;
        Rows.add(ranges.simd(), residual, ro + at, c, co + at, run);
      }
    }
  }

  private void runInParts(Ranges ranges) {
    int layers = blocks(k, Gemm.DEPTH);
    long layerFlops = Math.max(1, 2L * Gemm.DEPTH * m * n);
    long wanted = Math.min(16, PARTIAL_LIMIT / ((long) m * n));
    int perPart = (int) Math.max(blocks(layers, (int) wanted), CHUNK_FLOPS / 2 / layerFlops);
    int parts = blocks(layers, Math.max(1, perPart));
    int size = m * n;
    float[] partial = ranges.scratch(PARTIAL_SLOT, parts * size);
    ranges.chunks(
        parts,
        part -> {
          int first = part * Math.max(1, perPart);
          for (int layer = first; layer < Math.min(layers, first + perPart); layer++) {
            layer(ranges, layer * Gemm.DEPTH, layer == first, partial, part * size);
          }
        });
    ranges.split(
        m, Math.max(1, 65536 / n), (from, to) -> addParts(ranges.simd(), partial, parts, from, to));
  }

  /** Adds one block's depth of the sum to a whole partial C. */
  private void layer(Ranges ranges, int start, boolean first, float[] partial, int at) {
    int end = Math.min(k, start + Gemm.DEPTH);
    float[] left = ranges.scratch(LEFT_SLOT, Gemm.BLOCK);
    float[] right = ranges.scratch(LOCAL_RIGHT_SLOT, Gemm.BLOCK);
    float[] edge = ranges.scratch(EDGE_SLOT, Gemm.EDGE);
    for (int row = 0; row < m; row += Gemm.ROWS) {
      int rows = Math.min(Gemm.ROWS, m - row);
      a.pack(row, row + rows, start, end, left, 0);
      for (int column = 0; column < n; column += Gemm.COLUMNS) {
        int columns = Math.min(Gemm.COLUMNS, n - column);
        if (row == 0 || n > Gemm.COLUMNS) {
          b.pack(start, end, column, column + columns, right, 0);
        }
        int to = at + row * n + column;
        Gemm.block(
            ranges.simd(),
            byDepth,
            left,
            0,
            right,
            0,
            rows,
            columns,
            end - start,
            first ? Gemm.zeros(Gemm.COLUMNS) : partial,
            first ? 0 : to,
            first ? 0 : n,
            partial,
            to,
            n,
            edge);
      }
    }
  }

  private void addParts(boolean simd, float[] partial, int parts, int from, int to) {
    for (int row = from; row < to; row++) {
      int target = co + row * n;
      if (initStride == 0) {
        System.arraycopy(init, io, c, target, n);
      }
      for (int part = 0; part < parts; part++) {
        Rows.add(simd, partial, (part * m + row) * n, c, target, n);
      }
      if (residual != null) {
        Rows.add(simd, residual, ro + row * n, c, target, n);
      }
    }
  }
}
