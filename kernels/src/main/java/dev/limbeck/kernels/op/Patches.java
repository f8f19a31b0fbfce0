package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Launcher;
import java.util.Arrays;

/**
 * The patches of channels-last images as rows of a matrix, written block by block and never as a
 * whole: row = (image, position), column = (kernel row, kernel column, channel).
 *
 * <p>Unlike a {@link Conv2dSpec}, top and left may be negative: then patches start inside.
 *
 * @param rows positions per image along y
 * @param columns positions per image along x
 */
record Patches(
    int h, int w, int c, int kh, int kw, int sy, int sx, int top, int left, int rows, int columns) {
  /** Runs up to here are copied by a loop: a call to copy three numbers costs more than they. */
  private static final int SHORT_RUN = 12;

  static Patches of(Conv2dDims d) {
    Conv2dSpec s = d.spec();
    return new Patches(
        d.h(),
        d.w(),
        d.c(),
        d.kh(),
        d.kw(),
        s.strideY(),
        s.strideX(),
        s.top(),
        s.left(),
        d.outH(),
        d.outW());
  }

  /** Elements per patch. */
  int taps() {
    return kh * kw * c;
  }

  /** Passes the sizes to a function of conv2d.cu. */
  void arguments(Launcher cuda) {
    cuda.i32(h).i32(w).i32(c).i32(kw).i32(sy).i32(sx).i32(top).i32(left).i32(rows).i32(columns);
    for (int divisor : new int[] {c, kw, rows, columns}) {
      cuda.i32(Divisor.of(Math.max(1, divisor)).multiplier());
    }
  }

  /** Reads the patches of an array of images for a {@link Product}. */
  Product.Packer packer(float[] x, int xo) {
    return (from, to, start, end, block, at) -> pack(x, xo, from, to, start, end, block, at);
  }

  /**
   * Packs rows [from, to) × columns [start, end) of the patch matrix.
   *
   * <p>Channels of neighbouring kernel columns are neighbours in memory too, so that a kernel row
   * is one run, cut at the image's borders.
   */
  private void pack(
      float[] x, int xo, int from, int to, int start, int end, float[] block, int at) {
    int run = kw * c;
    int image = from / (rows * columns);
    int line = from / columns % rows;
    int position = from % columns;
    for (int row = from; row < to; row++) {
      int y = line * sy - top;
      int x0 = (position * sx - left) * c;
      int target = at + (row - from) * Gemm.STRIDE;
      int column = start;
      int i = start / run;
      while (column < end) {
        int stop = Math.min(end, (i + 1) * run);
        int length = stop - column;
        if (y + i < 0 || y + i >= h) {
          Arrays.fill(block, target, target + length, 0f);
        } else {
          int origin = xo + (image * h + y + i) * w * c;
          copyRun(x, origin, x0 + column - i * run, length, block, target);
        }
        target += length;
        column = stop;
        i++;
      }
      position++;
      if (position == columns) {
        position = 0;
        line++;
        if (line == rows) {
          line = 0;
          image++;
        }
      }
    }
  }

  /** Copies elements [from, from + length) of an image row, which may stick out at both ends. */
  private void copyRun(float[] x, int line, int from, int length, float[] block, int target) {
    if (length <= SHORT_RUN) {
      int width = w * c;
      for (int q = 0; q < length; q++) {
        int element = from + q;
        block[target + q] = element >= 0 && element < width ? x[line + element] : 0f;
      }
      return;
    }
    int before = Math.min(length, Math.max(0, -from));
    int after = Math.min(length - before, Math.max(0, from + length - w * c));
    if (before > 0) {
      Arrays.fill(block, target, target + before, 0f);
    }
    int inside = length - before - after;
    if (inside > 0) {
      System.arraycopy(x, line + from + before, block, target + before, inside);
    }
    if (after > 0) {
      Arrays.fill(block, target + length - after, target + length, 0f);
    }
  }
}
