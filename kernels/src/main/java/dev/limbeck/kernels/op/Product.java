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

  /** Chunks of a large product: enough for several threads. */
  private static final int MIN_CHUNKS = 8;

  /** Row blocks that use a piece of B one after another while it is in the level-2 cache. */
  private static final int GROUP = 4;

  /** Strips of columns of C that stay in the level-2 cache beside it, over the whole sum. */
  private static final int STRIPS = 4;

  /** Elements of all partial sums together: 16 MiB. */
  private static final long PARTIAL_LIMIT = 1 << 22;

  private static final int RIGHT_SLOT = 0;
  private static final int PARTIAL_SLOT = 1;
  private static final int LEFT_SLOT = 8;
  private static final int EDGE_SLOT = 9;
  private static final int LOCAL_RIGHT_SLOT = 10;
  private static final int SUMS_SLOT = 14;

  /**
   * Elements of a block of C that waits for the rest of its sum: apart from C, whose rows may lie a
   * power of two apart and then keep each other out of the cache.
   */
  private static final int SUMS = Gemm.ROWS * Gemm.STRIDE;

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
    float[] right =
        ranges.scratch(RIGHT_SLOT, Ranges.LEAD + Math.max(1, strips * k) * Gemm.STRIDE + 64);
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
                Ranges.LEAD + (strip * k + start) * Gemm.STRIDE);
          }
        });
    int rowBlocks = blocks(m, Gemm.ROWS);
    int stripsPerChunk = Math.min(strips, STRIPS);
    int across = blocks(strips, stripsPerChunk);
    long blockFlops = Math.max(1, 2L * Gemm.ROWS * stripsPerChunk * Gemm.COLUMNS * k);
    // Many small blocks make a chunk; of large ones as many as share what they read of B, but few
    // enough that every thread gets several chunks.
    int shared = Math.max(1, Math.min(GROUP, rowBlocks * across / MIN_CHUNKS));
    int perChunk = (int) Math.max(shared, Math.min(CHUNK_FLOPS / blockFlops, rowBlocks));
    ranges.chunks(
        blocks(rowBlocks, perChunk) * across,
        chunk -> {
          int first = chunk / across * perChunk;
          int end = Math.min(rowBlocks, first + perChunk);
          int strip = chunk % across * stripsPerChunk;
          for (int block = first; block < end; block += GROUP) {
            int last = Math.min(m, Math.min(end, block + GROUP) * Gemm.ROWS);
            int toStrip = Math.min(strips, strip + stripsPerChunk);
            rows(ranges, right, block * Gemm.ROWS, last, strip, toStrip);
          }
        });
  }

  /** C's rows [from, to), a few blocks of them, for some strips of columns. */
  private void rows(Ranges ranges, float[] right, int from, int to, int fromStrip, int toStrip) {
    float[] left = ranges.scratch(LEFT_SLOT, GROUP * Gemm.BLOCK);
    float[] edge = ranges.scratch(EDGE_SLOT, Gemm.EDGE);
    float[] sums =
        k <= Gemm.DEPTH ? null : ranges.scratch(SUMS_SLOT, Ranges.LEAD + GROUP * STRIPS * SUMS);
    int start = 0;
    do {
      int end = Math.min(k, start + Gemm.DEPTH);
      for (int row = from, at = 0; row < to && end > start; row += Gemm.ROWS, at += Gemm.BLOCK) {
        a.pack(row, Math.min(to, row + Gemm.ROWS), start, end, left, at);
      }
      int sum = Ranges.LEAD;
      for (int strip = fromStrip; strip < toStrip; strip++) {
        for (int row = from, at = 0; row < to; row += Gemm.ROWS, at += Gemm.BLOCK) {
          int rows = Math.min(Gemm.ROWS, to - row);
          block(ranges, left, at, right, row, rows, strip, start, end, sums, sum, edge);
          sum += SUMS;
        }
      }
      start = end;
    } while (start < k);
    addResidual(ranges, from, to, fromStrip, toStrip);
  }

  private void block(
      Ranges ranges,
      float[] left,
      int leftAt,
      float[] right,
      int row,
      int rows,
      int strip,
      int start,
      int end,
      float[] sums,
      int sum,
      float[] edge) {
    int column = strip * Gemm.COLUMNS;
    int to = co + row * n + column;
    boolean first = start == 0;
    boolean last = end == k;
    Gemm.block(
        ranges.simd(),
        byDepth,
        left,
        leftAt,
        right,
        Ranges.LEAD + (strip * k + start) * Gemm.STRIDE,
        rows,
        Math.min(Gemm.COLUMNS, n - column),
        end - start,
        first ? init : sums,
        first ? io + row * initStride + column : sum,
        first ? initStride : Gemm.STRIDE,
        last ? c : sums,
        last ? to : sum,
        last ? n : Gemm.STRIDE,
        edge);
  }

  private void addResidual(Ranges ranges, int from, int to, int fromStrip, int toStrip) {
    if (residual != null) {
      int column = fromStrip * Gemm.COLUMNS;
      int columns = Math.min(n, toStrip * Gemm.COLUMNS) - column;
      boolean whole = columns == n;
      int run = whole ? (to - from) * n : columns;
      for (int i = from; i < (whole ? from + 1 : to); i++) {
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
    float[] partial = ranges.scratch(PARTIAL_SLOT, Ranges.LEAD + parts * size);
    ranges.chunks(
        parts,
        part -> {
          int first = part * Math.max(1, perPart);
          for (int layer = first; layer < Math.min(layers, first + perPart); layer++) {
            layer(ranges, layer * Gemm.DEPTH, layer == first, partial, Ranges.LEAD + part * size);
          }
        });
    ranges.split(
        m, Math.max(1, 65536 / n), (from, to) -> addParts(ranges.simd(), partial, parts, from, to));
  }

  /** Adds one block's depth of the sum to a whole partial C. */
  private void layer(Ranges ranges, int start, boolean first, float[] partial, int at) {
    int end = Math.min(k, start + Gemm.DEPTH);
    float[] left = ranges.scratch(LEFT_SLOT, Gemm.BLOCK);
    float[] right = ranges.scratch(LOCAL_RIGHT_SLOT, Ranges.LEAD + Gemm.BLOCK);
    float[] edge = ranges.scratch(EDGE_SLOT, Gemm.EDGE);
    for (int row = 0; row < m; row += Gemm.ROWS) {
      int rows = Math.min(Gemm.ROWS, m - row);
      a.pack(row, row + rows, start, end, left, 0);
      for (int column = 0; column < n; column += Gemm.COLUMNS) {
        int columns = Math.min(Gemm.COLUMNS, n - column);
        if (row == 0 || n > Gemm.COLUMNS) {
          b.pack(start, end, column, column + columns, right, Ranges.LEAD);
        }
        int to = at + row * n + column;
        Gemm.block(
            ranges.simd(),
            byDepth,
            left,
            0,
            right,
            Ranges.LEAD,
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
        Rows.add(simd, partial, Ranges.LEAD + (part * m + row) * n, c, target, n);
      }
      if (residual != null) {
        Rows.add(simd, residual, ro + row * n, c, target, n);
      }
    }
  }
}
