package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Libraries;

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

  /**
   * One pass by cuBLAS if it is a plain product, else by cuDNN, which knows equal padding on
   * opposite sides; false if it was not done.
   */
  boolean byLibrary(
      Launcher cuda, Libraries.Pass pass, Buffer x, Buffer weight, Buffer y, boolean accumulate) {
    boolean even = spec.top() == spec.bottom() && spec.left() == spec.right();
    boolean floats = x.type() == DType.F32 && weight.type() == DType.F32 && y.type() == DType.F32;
    if (!even || !floats || x.length() == 0 || weight.length() == 0 || y.length() == 0) {
      return false;
    }
    if (isPointwise()) {
      return productByLibrary(cuda.libraries(), pass, x, weight, y, accumulate);
    }
    Libraries.Convolution sizes =
        new Libraries.Convolution(
            n,
            h,
            w,
            c,
            o,
            kh,
            kw,
            spec.strideY(),
            spec.strideX(),
            spec.top(),
            spec.left(),
            outH(),
            outW());
    return cuda.libraries().convolve(pass, sizes, x, weight, y, accumulate);
  }

  private boolean productByLibrary(
      Libraries by, Libraries.Pass pass, Buffer x, Buffer w, Buffer y, boolean accumulate) {
    int pixels = outPixels();
    return switch (pass) {
      case FORWARD -> by.matMul(1, pixels, o, c, x, false, w, true, y, accumulate);
      case INPUT_GRADIENT -> by.matMul(1, pixels, c, o, y, false, w, false, x, accumulate);
      case WEIGHT_GRADIENT -> by.matMul(1, o, c, pixels, y, true, x, false, w, accumulate);
    };
  }

  /** What the time of a pass depends on. */
  record Pass(
      Conv2dDims dims, boolean bias, boolean residual, boolean accumulate, DType x, DType y) {}

  void check(String op, int xLength, int wLength, int yLength) {
    if (xLength != inPixels() * c || wLength != o * taps() || yLength != outPixels() * o) {
      throw new IllegalArgumentException(
          op + ": buffers of " + xLength + ", " + wLength + ", " + yLength + " against " + this);
    }
  }
}
