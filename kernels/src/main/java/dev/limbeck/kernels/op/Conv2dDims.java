package dev.limbeck.kernels.op;

/**
 * Every size of one convolution: input [n,h,w,c], weight [o,kh,kw,c], output [n,outH,outW,o].
 *
 * @param n images
 * @param h input rows
 * @param w input columns
 * @param c input channels
 * @param o output channels
 * @param kh kernel rows
 * @param kw kernel columns
 * @param spec strides and padding
 */
public record Conv2dDims(int n, int h, int w, int c, int o, int kh, int kw, Conv2dSpec spec) {
  /** Output rows; not positive if the kernel is larger than the padded image. */
  public int outH() {
    return Math.floorDiv(h + spec.top() + spec.bottom() - kh, spec.strideY()) + 1;
  }

  /** Output columns; not positive if the kernel is larger than the padded image. */
  public int outW() {
    return Math.floorDiv(w + spec.left() + spec.right() - kw, spec.strideX()) + 1;
  }

  /** Output pixels of all images. */
  public int outPixels() {
    return n * outH() * outW();
  }

  /** Input pixels of all images. */
  public int inPixels() {
    return n * h * w;
  }

  /** Operations of the direct algorithm, of the convolution and of each of its gradients. */
  double flops() {
    return 2.0 * outPixels() * o * taps();
  }

  /** Weights that meet in one output element. */
  public int taps() {
    return kh * kw * c;
  }

  /** True for a 1×1 kernel that visits every pixel: a plain matrix product. */
  boolean isPointwise() {
    return kh == 1 && kw == 1 && spec.isUnitStride() && spec.isUnpadded();
  }

  void check(String op, int xLength, int wLength, int yLength) {
    if (xLength != inPixels() * c || wLength != o * taps() || yLength != outPixels() * o) {
      throw new IllegalArgumentException(
          op + ": buffers of " + xLength + ", " + wLength + ", " + yLength + " against " + this);
    }
  }
}
