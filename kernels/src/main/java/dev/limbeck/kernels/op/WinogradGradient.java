package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Ranges;

/**
 * The weight gradient of a 3×3 convolution at stride 1 through Winograd's transforms: one product
 * of the transformed input and the transformed output gradient per point, summed over tiles.
 *
 * @param plan the convolution
 */
record WinogradGradient(Winograd plan) {
  /** Tiles per step of the weight gradient's sums. */
  private static final int GRADIENT_TILES = 48;

  /** Partial sums of a weight gradient: at least, at most, and elements of all together. */
  private static final int MIN_PARTS = 4;

  private static final int MAX_PARTS = 16;
  private static final long PARTIAL_LIMIT = 1 << 22;

  private static final int POINTS = WinogradTransforms.POINTS;
  private static final int STRIDE = Gemm.STRIDE;

  /** Computes dw (+)= the weight gradient, where g is the gradient of {@link #convolve}'s y. */
  void run(
      Ranges ranges, float[] x, int xo, float[] g, int go, float[] dw, int wo, boolean accumulate) {
    int rows = paddedRows();
    int size = POINTS * rows * Winograd.blocks(plan.c()) * STRIDE;
    int steps = (plan.tiles() + GRADIENT_TILES - 1) / GRADIENT_TILES;
    int wanted = (int) Math.max(MIN_PARTS, Math.min(MAX_PARTS, PARTIAL_LIMIT / size));
    int perPart = (steps + wanted - 1) / wanted;
    int parts = (steps + perPart - 1) / perPart;
    float[] partial = ranges.scratch(Winograd.WEIGHT_SLOT, Ranges.LEAD + parts * size);
    ranges.chunks(
        parts,
        part -> {
          for (int step = part * perPart; step < Math.min(steps, (part + 1) * perPart); step++) {
            int from = step * GRADIENT_TILES;
            int to = Math.min(plan.tiles(), from + GRADIENT_TILES);
            gradientStep(
                ranges,
                x,
                xo,
                g,
                go,
                from,
                to,
                step == part * perPart,
                partial,
                Ranges.LEAD + part * size);
          }
        });
    ranges.split(
        plan.o(),
        Math.max(1, 4096 / plan.c()),
        (from, to) -> {
          for (int channel = from; channel < to; channel++) {
            finishGradient(ranges, partial, parts, size, channel, dw, wo, accumulate);
          }
        });
  }

  /** Rows of one partial sum: output channels, each block of them padded to whole tiles. */
  private int paddedRows() {
    int last = plan.o() - (Winograd.blocks(plan.o()) - 1) * Gemm.COLUMNS;
    return (Winograd.blocks(plan.o()) - 1) * Winograd.roundUp(Gemm.COLUMNS, Gemm.tileRows())
        + Winograd.roundUp(last, Gemm.tileRows());
  }

  private void gradientStep(
      Ranges ranges,
      float[] x,
      int xo,
      float[] g,
      int go,
      int from,
      int to,
      boolean first,
      float[] partial,
      int at) {
    int plane = GRADIENT_TILES * STRIDE;
    float[] v =
        ranges.scratch(
            Winograd.INPUT_SLOT, Ranges.LEAD + Winograd.blocks(plan.c()) * POINTS * plane);
    float[] t =
        ranges.scratch(
            Winograd.PRODUCT_SLOT, Ranges.LEAD + Winograd.blocks(plan.o()) * POINTS * plane);
    float[] edge = ranges.scratch(Winograd.EDGE_SLOT, Gemm.EDGE);
    for (int tile = from; tile < to; tile++) {
      plan.transformInput(ranges, x, xo, tile, v, Ranges.LEAD + (tile - from) * STRIDE, plane);
      plan.transformGradient(ranges, g, go, tile, t, Ranges.LEAD + (tile - from) * STRIDE, plane);
    }
    int high = Winograd.roundUp(Gemm.COLUMNS, Gemm.tileRows());
    for (int point = 0; point < POINTS; point++) {
      for (int down = 0; down < Winograd.blocks(plan.o()); down++) {
        int rows = Math.min(Gemm.COLUMNS, plan.o() - down * Gemm.COLUMNS);
        for (int across = 0; across < Winograd.blocks(plan.c()); across++) {
          int target =
              at
                  + ((point * paddedRows() + down * high) * Winograd.blocks(plan.c())
                          + across * rowsUp(rows))
                      * STRIDE;
          Gemm.block(
              true,
              true,
              t,
              Ranges.LEAD + (down * POINTS + point) * plane,
              v,
              Ranges.LEAD + (across * POINTS + point) * plane,
              rowsUp(rows),
              Winograd.roundUp(Winograd.inBlock(plan.c(), across), Gemm.tileColumns()),
              to - from,
              first ? Gemm.zeros(STRIDE) : partial,
              first ? 0 : target,
              first ? 0 : STRIDE,
              partial,
              target,
              STRIDE,
              edge);
        }
      }
    }
  }

  private static int rowsUp(int rows) {
    return Winograd.roundUp(rows, Gemm.tileRows());
  }

  /** Adds up the parts of one output channel's weights and transforms them back. */
  private void finishGradient(
      Ranges ranges,
      float[] partial,
      int parts,
      int size,
      int channel,
      float[] dw,
      int wo,
      boolean accumulate) {
    float[] half = ranges.scratch(Winograd.HALF_SLOT, WinogradTransforms.SCRATCH);
    float[] taps = ranges.scratch(Winograd.PATCH_SLOT, 9 * Gemm.COLUMNS);
    int down = channel / Gemm.COLUMNS;
    int high = Winograd.roundUp(Gemm.COLUMNS, Gemm.tileRows());
    int rows = rowsUp(Math.min(Gemm.COLUMNS, plan.o() - down * Gemm.COLUMNS));
    for (int across = 0; across < Winograd.blocks(plan.c()); across++) {
      int from =
          (down * high * Winograd.blocks(plan.c()) + across * rows + channel % Gemm.COLUMNS)
              * STRIDE;
      int channels = Winograd.inBlock(plan.c(), across);
      int used = Math.min(channels, plan.c() - across * Gemm.COLUMNS);
      WinogradTransforms.Simd.weightGradient(
          partial,
          Ranges.LEAD + from,
          paddedRows() * Winograd.blocks(plan.c()) * STRIDE,
          parts,
          size,
          channels,
          half,
          taps,
          0,
          Gemm.COLUMNS);
      for (int tap = 0; tap < 9; tap++) {
        int to = wo + (channel * 9 + tap) * plan.c() + across * Gemm.COLUMNS;
        if (accumulate) {
          Rows.add(true, taps, tap * Gemm.COLUMNS, dw, to, used);
        } else {
          System.arraycopy(taps, tap * Gemm.COLUMNS, dw, to, used);
        }
      }
    }
  }
}
