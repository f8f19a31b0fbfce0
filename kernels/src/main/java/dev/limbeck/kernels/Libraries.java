package dev.limbeck.kernels;

/**
 * Matrix products and convolutions by the vendor's libraries (cuBLAS, cuDNN), where they are found.
 *
 * <p>Every method queues the work and answers true, or does nothing and answers false: because the
 * library is absent or switched off ({@code -Dlimbeck.cuda.libraries=off}), does not take such
 * arguments, or needs longer for such sizes. Then the caller launches its own kernel. The answer
 * depends on shapes, device and libraries alone.
 */
public interface Libraries {
  /**
   * Cᵢ = op(Aᵢ)·op(Bᵢ), or Cᵢ += that, on F32.
   *
   * @shape op(A) [batch,m,k], op(B) [batch,k,n], C [batch,m,n], row by row; a transposed operand is
   *     stored with its last two axes exchanged
   */
  default boolean matMul(
      int batch,
      int m,
      int n,
      int k,
      Buffer a,
      boolean transposeA,
      Buffer b,
      boolean transposeB,
      Buffer c,
      boolean accumulate) {
    return false;
  }

  /** What a convolution computes from the other two of x, w and y. */
  enum Pass {
    /** y from x and w. */
    FORWARD,
    /** x's gradient from w and y's. */
    INPUT_GRADIENT,
    /** w's gradient from x and y's. */
    WEIGHT_GRADIENT
  }

  /**
   * The sizes of a convolution: x [n,h,w,c], weight [o,kh,kw,c], y [n,outH,outW,o], with the same
   * padding on opposite sides.
   */
  record Convolution(
      int n,
      int h,
      int w,
      int c,
      int o,
      int kh,
      int kw,
      int strideY,
      int strideX,
      int padY,
      int padX,
      int outH,
      int outW) {}

  /**
   * One pass of a cross-correlation on F32, written to its result or added to it.
   *
   * @param x [n,h,w,c], or its gradient
   * @param weight [o,kh,kw,c], or its gradient
   * @param y [n,outH,outW,o], or its gradient
   */
  default boolean convolve(
      Pass pass, Convolution sizes, Buffer x, Buffer weight, Buffer y, boolean accumulate) {
    return false;
  }
}
