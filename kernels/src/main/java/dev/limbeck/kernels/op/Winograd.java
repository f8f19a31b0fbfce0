package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;

/**
 * 3×3 convolution at stride 1 through 36 matrix products on transformed tiles, which takes a
 * quarter of the multiplications: F(4×4, 3×3).
 *
 * <p>A chunk of {@link #TILES} tiles is transformed, multiplied and transformed back while it stays
 * in the L2 cache. Relative error against exact arithmetic is near 1e-6 to 1e-5.
 *
 * @param n images
 * @param h input rows
 * @param w input columns
 * @param c input channels
 * @param outH output rows
 * @param outW output columns
 * @param o output channels
 * @param top rows between the first output tile's patch and the image; negative if it lies inside
 * @param left the same in columns
 * @paper Lavin and Gray 2015, arXiv 1509.09308
 */
record Winograd(int n, int h, int w, int c, int outH, int outW, int o, int top, int left) {
  /** Tiles per chunk; a multiple of both register tiles' heights. */
  private static final int TILES = 24;

  private static final int POINTS = WinogradTransforms.POINTS;
  private static final int OUT = WinogradTransforms.OUT;
  private static final int TILE = WinogradTransforms.TILE;
  private static final int STRIDE = Gemm.STRIDE;

  static final int WEIGHT_SLOT = 0;
  private static final int ARRANGED_SLOT = 1;
  private static final int BIAS_SLOT = 3;
  static final int INPUT_SLOT = 8;
  static final int EDGE_SLOT = 9;
  static final int PRODUCT_SLOT = 10;
  static final int PATCH_SLOT = 11;
  static final int HALF_SLOT = 12;

  /** What is kept of a frozen weight. */
  private enum Form {
    PLAIN,
    TURNED
  }

  /** Fewer channels on either side leave the register tiles empty. */
  private static final int MIN_CHANNELS = 16;

  /** True if this convolution can be computed here at all. */
  static boolean applies(Conv2dDims d) {
    return d.kh() == 3 && d.kw() == 3 && d.spec().isUnitStride();
  }

  /** True if it is the faster way: enough channels, and few tiles that stick out. */
  static boolean pays(Conv2dDims d) {
    Winograd plan = of(d);
    long used = (long) d.outH() * d.outW();
    long computed = (long) plan.tilesDown() * plan.tilesAcross() * OUT * OUT;
    return d.c() >= MIN_CHANNELS && d.o() >= MIN_CHANNELS && 2 * used >= computed;
  }

  static Winograd of(Conv2dDims d) {
    return new Winograd(
        d.n(), d.h(), d.w(), d.c(), d.outH(), d.outW(), d.o(), d.spec().top(), d.spec().left());
  }

  /** The plan for the input gradient: a convolution of g with the turned kernel. */
  static Winograd ofInputGradient(Conv2dDims d) {
    return new Winograd(
        d.n(),
        d.outH(),
        d.outW(),
        d.o(),
        d.h(),
        d.w(),
        d.c(),
        2 - d.spec().top(),
        2 - d.spec().left());
  }

  private int tilesDown() {
    return (outH + OUT - 1) / OUT;
  }

  private int tilesAcross() {
    return (outW + OUT - 1) / OUT;
  }

  int tiles() {
    return n * tilesDown() * tilesAcross();
  }

  static int roundUp(int count, int multiple) {
    return (count + multiple - 1) / multiple * multiple;
  }

  static int blocks(int channels) {
    return (channels + Gemm.COLUMNS - 1) / Gemm.COLUMNS;
  }

  private static int padded(int channels) {
    return roundUp(channels, WinogradTransforms.Simd.LANES);
  }

  /** Channels of block {@code block}, rounded up to whole vectors. */
  static int inBlock(int channels, int block) {
    return padded(Math.min(Gemm.COLUMNS, channels - block * Gemm.COLUMNS));
  }

  /**
   * Computes y = x∗w + bias + residual.
   *
   * @param turned true if {@code weight} is [c,3,3,o] and to be turned by 180 degrees, as the input
   *     gradient needs it
   * @param bias or null
   * @param residual or null
   */
  void convolve(
      Ranges ranges,
      float[] x,
      int xo,
      Buffer weight,
      boolean turned,
      float[] bias,
      int bo,
      float[] residual,
      int ro,
      float[] y,
      int yo) {
    float[] u =
        weight.derive(turned ? Form.TURNED : Form.PLAIN, () -> transform(ranges, weight, turned));
    float[] paddedBias = ranges.scratch(BIAS_SLOT, padded(o));
    Arrays.fill(paddedBias, 0, padded(o), 0f);
    if (bias != null) {
      System.arraycopy(bias, bo, paddedBias, 0, o);
    }
    ranges.split(
        tiles(),
        TILES,
        (from, to) -> convolve(ranges, x, xo, u, paddedBias, residual, ro, y, yo, from, to));
  }

  private void convolve(
      Ranges ranges,
      float[] x,
      int xo,
      float[] u,
      float[] bias,
      float[] residual,
      int ro,
      float[] y,
      int yo,
      int from,
      int to) {
    int layers = blocks(c);
    int count = to - from;
    int plane = TILES * STRIDE;
    float[] v = ranges.scratch(INPUT_SLOT, Ranges.LEAD + layers * POINTS * plane);
    float[] m = ranges.scratch(PRODUCT_SLOT, Ranges.LEAD + POINTS * plane);
    float[] edge = ranges.scratch(EDGE_SLOT, Gemm.EDGE);
    for (int tile = from; tile < to; tile++) {
      transformInput(ranges, x, xo, tile, v, Ranges.LEAD + (tile - from) * STRIDE, plane);
    }
    for (int strip = 0; strip < blocks(o); strip++) {
      int columns = roundUp(inBlock(o, strip), Gemm.tileColumns());
      for (int point = 0; point < POINTS; point++) {
        for (int layer = 0; layer < layers; layer++) {
          Gemm.block(
              true,
              false,
              v,
              Ranges.LEAD + (layer * POINTS + point) * plane,
              u,
              Ranges.LEAD + ((point * blocks(o) + strip) * c + layer * Gemm.DEPTH) * STRIDE,
              roundUp(count, Gemm.tileRows()),
              columns,
              Math.min(Gemm.DEPTH, c - layer * Gemm.DEPTH),
              layer == 0 ? Gemm.zeros(STRIDE) : m,
              layer == 0 ? 0 : Ranges.LEAD + point * plane,
              layer == 0 ? 0 : STRIDE,
              m,
              Ranges.LEAD + point * plane,
              STRIDE,
              edge);
        }
      }
      for (int tile = from; tile < to; tile++) {
        transformOutput(
            ranges,
            m,
            Ranges.LEAD + (tile - from) * STRIDE,
            plane,
            strip,
            bias,
            residual,
            ro,
            y,
            yo,
            tile);
      }
    }
  }

  /** Transforms one tile of the input; the points of channel block i start at i·36·plane. */
  void transformInput(Ranges ranges, float[] x, int xo, int tile, float[] v, int at, int plane) {
    int y0 = tile / tilesAcross() % tilesDown() * OUT - top;
    int x0 = tile % tilesAcross() * OUT - left;
    int image = tile / (tilesDown() * tilesAcross());
    float[] half = ranges.scratch(HALF_SLOT, WinogradTransforms.SCRATCH);
    float[] source = x;
    int from = xo + ((image * h + y0) * w + x0) * c;
    int column = c;
    int row = w * c;
    boolean whole = c == padded(c);
    if (!whole || y0 < 0 || x0 < 0 || y0 + TILE > h || x0 + TILE > w) {
      column = padded(c);
      row = TILE * column;
      source = ranges.scratch(PATCH_SLOT, Ranges.LEAD + TILE * row);
      from = Ranges.LEAD;
      copyPatch(x, xo + image * h * w * c, h, w, c, y0, x0, TILE, source);
    }
    for (int block = 0; block < blocks(c); block++) {
      WinogradTransforms.Simd.input(
          source,
          from + block * Gemm.DEPTH,
          column,
          row,
          inBlock(c, block),
          half,
          v,
          at + block * POINTS * plane,
          plane);
    }
  }

  /**
   * Copies side×side pixels of an image whose outside is zero to {@link Ranges#LEAD}, padding each
   * to whole vectors.
   */
  private static void copyPatch(
      float[] x, int xo, int h, int w, int c, int y0, int x0, int side, float[] patch) {
    int column = padded(c);
    int row = side * column;
    int first = Math.max(0, -x0);
    int last = Math.min(side, w - x0);
    for (int i = 0; i < side; i++) {
      int to = Ranges.LEAD + i * row;
      int y = y0 + i;
      if (y < 0 || y >= h || last <= first) {
        Arrays.fill(patch, to, to + row, 0f);
        continue;
      }
      Arrays.fill(patch, to, to + first * column, 0f);
      Arrays.fill(patch, to + last * column, to + row, 0f);
      int from = xo + (y * w + x0 + first) * c;
      if (c == column) {
        System.arraycopy(x, from, patch, to + first * column, (last - first) * c);
      } else {
        for (int j = first; j < last; j++, from += c) {
          System.arraycopy(x, from, patch, to + j * column, c);
          Arrays.fill(patch, to + j * column + c, to + (j + 1) * column, 0f);
        }
      }
    }
  }

  private void transformOutput(
      Ranges ranges,
      float[] m,
      int at,
      int plane,
      int strip,
      float[] bias,
      float[] residual,
      int ro,
      float[] y,
      int yo,
      int tile) {
    int channel = strip * Gemm.COLUMNS;
    int channels = inBlock(o, strip);
    int used = Math.min(channels, o - channel);
    int y0 = tile / tilesAcross() % tilesDown() * OUT;
    int x0 = tile % tilesAcross() * OUT;
    int image = tile / (tilesDown() * tilesAcross());
    int at0 = ((image * outH + y0) * outW + x0) * o + channel;
    int to = yo + at0;
    float[] half = ranges.scratch(HALF_SLOT, WinogradTransforms.SCRATCH);
    if (used == channels && y0 + OUT <= outH && x0 + OUT <= outW) {
      WinogradTransforms.Simd.output(
          m, at, plane, channels, half, bias, channel, y, to, o, outW * o);
      if (residual != null) {
        addTile(residual, ro + at0, y, to, OUT, OUT, channels);
      }
      return;
    }
    float[] patch = ranges.scratch(PATCH_SLOT, OUT * OUT * channels);
    WinogradTransforms.Simd.output(
        m, at, plane, channels, half, bias, channel, patch, 0, channels, OUT * channels);
    for (int i = 0; i < Math.min(OUT, outH - y0); i++) {
      for (int j = 0; j < Math.min(OUT, outW - x0); j++) {
        System.arraycopy(patch, (i * OUT + j) * channels, y, to + (i * outW + j) * o, used);
      }
    }
    if (residual != null) {
      int rows = Math.min(OUT, outH - y0);
      addTile(residual, ro + at0, y, to, rows, Math.min(OUT, outW - x0), used);
    }
  }

  private void addTile(
      float[] residual, int from, float[] y, int to, int rows, int columns, int channels) {
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        int at = (i * outW + j) * o;
        Rows.add(true, residual, from + at, y, to + at, channels);
      }
    }
  }

  /**
   * U[point][strip][c][o in strip], from a weight first arranged as [tap][c][o]; in scratch unless
   * the weight is frozen.
   */
  private float[] transform(Ranges ranges, Buffer buffer, boolean turned) {
    float[] weight = buffer.floats();
    int wo = buffer.offset();
    int wide = padded(o);
    int strips = blocks(o);
    float[] arranged = ranges.scratch(ARRANGED_SLOT, 9 * c * wide);
    int size = Ranges.LEAD + (POINTS * strips * c + 1) * STRIDE;
    float[] u = buffer.isFrozen() ? new float[size] : ranges.scratch(WEIGHT_SLOT, size);
    int grain = Math.max(8, 32768 / (9 * wide));
    ranges.split(
        c,
        grain,
        (from, to) -> {
          arrange(weight, wo, turned, from, to, wide, arranged);
          float[] half = ranges.scratch(HALF_SLOT, WinogradTransforms.SCRATCH);
          for (int i = from; i < to; i++) {
            for (int strip = 0; strip < strips; strip++) {
              WinogradTransforms.Simd.weight(
                  arranged,
                  i * wide + strip * Gemm.COLUMNS,
                  c * wide,
                  inBlock(o, strip),
                  half,
                  u,
                  Ranges.LEAD + (strip * c + i) * STRIDE,
                  strips * c * STRIDE);
            }
          }
        });
    return u;
  }

  private void arrange(
      float[] weight, int wo, boolean turned, int from, int to, int wide, float[] arranged) {
    for (int tap = 0; tap < 9; tap++) {
      int target = (tap * c + from) * wide;
      if (turned) {
        for (int i = from; i < to; i++, target += wide) {
          System.arraycopy(weight, wo + (i * 9 + 8 - tap) * o, arranged, target, o);
        }
      } else {
        Gemm.transpose(weight, wo + tap * c + from, 9 * c, to - from, o, arranged, target, wide);
      }
    }
  }

  /** Transforms one tile of the output's gradient, laid out as {@link #transformInput} does. */
  void transformGradient(Ranges ranges, float[] g, int go, int tile, float[] t, int at, int plane) {
    int y0 = tile / tilesAcross() % tilesDown() * OUT;
    int x0 = tile % tilesAcross() * OUT;
    int image = tile / (tilesDown() * tilesAcross());
    float[] half = ranges.scratch(HALF_SLOT, WinogradTransforms.SCRATCH);
    float[] source = g;
    int from = go + ((image * outH + y0) * outW + x0) * o;
    int column = o;
    int row = outW * o;
    if (o != padded(o) || y0 + OUT > outH || x0 + OUT > outW) {
      column = padded(o);
      row = OUT * column;
      source = ranges.scratch(PATCH_SLOT, Ranges.LEAD + OUT * row);
      from = Ranges.LEAD;
      copyPatch(g, go + image * outH * outW * o, outH, outW, o, y0, x0, OUT, source);
    }
    for (int block = 0; block < blocks(o); block++) {
      WinogradTransforms.Simd.gradient(
          source,
          from + block * Gemm.DEPTH,
          column,
          row,
          inBlock(o, block),
          half,
          t,
          at + block * POINTS * plane,
          plane);
    }
  }
}
