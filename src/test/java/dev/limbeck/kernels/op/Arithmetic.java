package dev.limbeck.kernels.op;

import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.LibraryUse;

/** Every PTX of matrix products and convolutions, with exact products and on tensor cores. */
enum Arithmetic {
  F32_75(75, false),
  F32_80(80, false),
  TF32_80(80, true),
  TF32_90(90, true);

  /**
   * Each operand is rounded to 11 bits: 2⁻¹¹ of a term's size at most, twice, where the largest sum
   * may be a fraction of its terms.
   */
  private static final double TF32_TOLERANCE = 4e-3;

  private final int ptx;
  private final boolean tf32;

  Arithmetic(int ptx, boolean tf32) {
    this.ptx = ptx;
    this.tf32 = tf32;
  }

  /** A device that computes like this, without the vendor's libraries. */
  CudaDevice open() {
    CudaDevice.Options options = CudaDevice.Options.ofProperties();
    return CudaDevice.open(0, options.withPtx(ptx).withTf32(tf32).withLibraries(LibraryUse.OFF));
  }

  /** What to allow where exact products would be allowed this. */
  double tolerance(double exact) {
    return tf32 ? TF32_TOLERANCE : exact;
  }
}
