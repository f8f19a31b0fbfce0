package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Ranges;

/**
 * Convolution at stride 1 onto few channels, such as a network's last one, and its relatives.
 *
 * <p>A register tile has tens of columns; with one output channel nearly all would be idle. Here
 * the kernel's elements take their place: one product with kh·kw·o columns over all input pixels,
 * after which each output pixel adds up what its patch left for it.
 */
record NarrowConv(Conv2dDims d) {
  /** The most columns that are worth the detour. */
  private static final int MAX_COLUMNS = 96;

  /** Channels on the summed side below which there is nothing to save. */
  private static final int MIN_DEPTH = 8;

  private static final int WIDE_SLOT = 2;

  /** True if forward and weight gradient are best computed here. */
  static boolean paysForward(Conv2dDims d) {
    return pays(d, d.o(), d.c());
  }

  /** True if the input gradient is best computed here. */
  static boolean paysInputGradient(Conv2dDims d) {
    return pays(d, d.c(), d.o());
  }

  private static boolean pays(Conv2dDims d, int narrow, int deep) {
    int kernel = d.kh() * d.kw();
    return d.spec().isUnitStride()
        && kernel > 1
        && kernel * narrow <= MAX_COLUMNS
        && 2 * narrow <= deep
        && deep >= MIN_DEPTH;
  }

  /** y = x∗w + bias + residual; {@code bias} and {@code residual} may be null. */
  void forward(
      Ranges ranges,
      float[] x,
      int xo,
      float[] w,
      int wo,
      float[] bias,
      int bo,
      float[] residual,
      int ro,
      float[] y,
      int yo) {
    int c = d.c();
    int kernel = d.kh() * d.kw();
    int n = kernel * d.o();
    float[] z = ranges.scratch(WIDE_SLOT, d.inPixels() * n);
    Product.Packer images =
        (from, to, start, end, block, at) ->
            Gemm.copy(x, xo + from * c + start, c, to - from, end - start, block, at);
    // Stored as [o,kh,kw,c], the weight is the transposed right operand as it is.
    Product.Packer weights =
        (from, to, start, end, block, at) ->
            Gemm.transpose(w, wo + start * c + from, c, to - from, end - start, block, at);
    new Product(d.inPixels(), n, c, images, false, weights, Gemm.zeros(n), 0, 0, z, 0).run(ranges);
    ranges.split(
        d.n() * d.outH(),
        lines(d.outW() * n),
        (from, to) -> {
          for (int line = from; line < to; line++) {
            for (int channel = 0; channel < d.o(); channel++) {
              float start = bias == null ? 0f : bias[bo + channel];
              gather(z, line, channel, start, y, yo + line * d.outW() * d.o() + channel);
            }
            if (residual != null) {
              int at = line * d.outW() * d.o();
              Rows.add(ranges.simd(), residual, ro + at, y, yo + at, d.outW() * d.o());
            }
          }
        });
  }

  /** One channel of one output row: adds, kernel element by element, what each pixel left. */
  private void gather(float[] z, int line, int channel, float start, float[] y, int to) {
    int kernel = d.kh() * d.kw();
    int o = d.o();
    for (int x = 0; x < d.outW(); x++) {
      y[to + x * o] = start;
    }
    for (int i = 0; i < d.kh(); i++) {
      int iy = line % d.outH() - d.spec().top() + i;
      if (iy < 0 || iy >= d.h()) {
        continue;
      }
      int row = (line / d.outH() * d.h() + iy) * d.w();
      for (int j = 0; j < d.kw(); j++) {
        int shift = j - d.spec().left();
        int first = Math.max(0, -shift);
        int count = Math.min(d.outW(), d.w() - shift) - first;
        int from = (row + first + shift) * kernel * o + channel * kernel + i * d.kw() + j;
        addStrided(z, from, kernel * o, y, to + first * o, o, count);
      }
    }
  }

  private static void addStrided(
      float[] z, int from, int apart, float[] y, int to, int step, int count) {
    for (int x = 0; x < count; x++) {
      y[to + x * step] += z[from + x * apart];
    }
  }

  /** dx = Wᵀ·g. */
  void inputGradient(Ranges ranges, float[] g, int go, float[] w, int wo, float[] dx, int xo) {
    int o = d.o();
    int n = d.taps();
    float[] z = ranges.scratch(WIDE_SLOT, d.outPixels() * n);
    Product.Packer gradients =
        (from, to, start, end, block, at) ->
            Gemm.copy(g, go + from * o + start, o, to - from, end - start, block, at);
    Product.Packer weights =
        (from, to, start, end, block, at) ->
            Gemm.copy(w, wo + from * n + start, n, to - from, end - start, block, at);
    new Product(d.outPixels(), n, o, gradients, false, weights, Gemm.zeros(n), 0, 0, z, 0)
        .run(ranges);
    ranges.split(
        d.n() * d.h(),
        lines(d.w() * n),
        (from, to) -> {
          for (int line = from; line < to; line++) {
            for (int channel = 0; channel < d.c(); channel++) {
              collect(z, line, channel, dx, xo + line * d.w() * d.c() + channel);
            }
          }
        });
  }

  /** One channel of one input row: as {@link #gather}, with the kernel turned. */
  private void collect(float[] z, int line, int channel, float[] dx, int to) {
    int c = d.c();
    for (int x = 0; x < d.w(); x++) {
      dx[to + x * c] = 0f;
    }
    for (int i = 0; i < d.kh(); i++) {
      int oy = line % d.h() + d.spec().top() - i;
      if (oy < 0 || oy >= d.outH()) {
        continue;
      }
      int row = (line / d.h() * d.outH() + oy) * d.outW();
      for (int j = 0; j < d.kw(); j++) {
        int shift = d.spec().left() - j;
        int first = Math.max(0, -shift);
        int count = Math.min(d.w(), d.outW() - shift) - first;
        int from = (row + first + shift) * d.taps() + (i * d.kw() + j) * c + channel;
        addStrided(z, from, d.taps(), dx, to + first * c, c, count);
      }
    }
  }

  /** dw (+)= the weight gradient: the patches of g, over input pixels, times the input. */
  void weightGradient(
      Ranges ranges, float[] x, int xo, float[] g, int go, float[] dw, int wo, boolean accumulate) {
    int c = d.c();
    int o = d.o();
    int kernel = d.kh() * d.kw();
    int m = kernel * o;
    int top = d.kh() - 1 - d.spec().top();
    int left = d.kw() - 1 - d.spec().left();
    Patches patches =
        new Patches(d.outH(), d.outW(), o, d.kh(), d.kw(), 1, 1, top, left, d.h(), d.w());
    Product.Packer byPatch = patches.packer(g, go);
    // One row per input pixel, so the sum's steps are the packer's rows.
    Product.Packer gradients =
        (from, to, start, end, block, at) -> byPatch.pack(start, end, from, to, block, at);
    Product.Packer images =
        (from, to, start, end, block, at) ->
            Gemm.copy(x, xo + from * c + start, c, to - from, end - start, block, at);
    float[] turned = ranges.scratch(WIDE_SLOT, m * c);
    new Product(m, c, d.inPixels(), gradients, true, images, Gemm.zeros(c), 0, 0, turned, 0)
        .run(ranges);
    for (int channel = 0; channel < o; channel++) {
      for (int tap = 0; tap < kernel; tap++) {
        int from = ((kernel - 1 - tap) * o + channel) * c;
        int to = wo + (channel * kernel + tap) * c;
        if (accumulate) {
          Rows.add(ranges.simd(), turned, from, dw, to, c);
        } else {
          System.arraycopy(turned, from, dw, to, c);
        }
      }
    }
  }

  private static int lines(int work) {
    return Math.max(1, 16384 / work);
  }
}
