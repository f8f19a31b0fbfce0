package dev.limbeck.kernels.op;

/**
 * Strides and zero padding of a two-dimensional convolution; the four sides may differ.
 *
 * @param strideY rows between output rows
 * @param strideX columns between output columns
 * @param top rows of zeros above
 * @param left columns of zeros on the left
 * @param bottom rows of zeros below
 * @param right columns of zeros on the right
 */
public record Conv2dSpec(int strideY, int strideX, int top, int left, int bottom, int right) {
  public Conv2dSpec {
    if (strideY < 1 || strideX < 1 || top < 0 || left < 0 || bottom < 0 || right < 0) {
      throw new IllegalArgumentException(
          "conv2d: strides must be positive and padding not negative, got strides "
              + strideY
              + ","
              + strideX
              + " and padding "
              + top
              + ","
              + left
              + ","
              + bottom
              + ","
              + right);
    }
  }

  /** Stride 1, and the padding under which an odd kernel keeps the image's size. */
  public static Conv2dSpec same(int kernel) {
    return of(1, kernel / 2);
  }

  /** The same stride on both axes and the same padding on all sides. */
  public static Conv2dSpec of(int stride, int pad) {
    return new Conv2dSpec(stride, stride, pad, pad, pad, pad);
  }

  /** True if the kernel moves by one pixel on both axes. */
  public boolean isUnitStride() {
    return strideY == 1 && strideX == 1;
  }

  /** True if there is no padding. */
  public boolean isUnpadded() {
    return top == 0 && left == 0 && bottom == 0 && right == 0;
  }
}
