package dev.limbeck.kernels.op;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The tile of a matrix product for 16 vector registers: 4 rows by two vectors. Its 8 accumulators
 * just cover the latency of multiply-add; 12 are a tenth faster where the compiler keeps them in
 * registers, but JDK 25 spills them and halves the speed.
 *
 * <p>Every accumulator is a local variable, so that the compiler keeps it in a register; the block
 * stride is a constant, so that every operand is addressed by one index and a displacement.
 */
final class NarrowTile {
  private NarrowTile() {}

  /** C = init + A·B on one tile; see {@link Gemm#block}. */
  static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;
    private static final int L = S.length();
    private static final int STRIDE = Gemm.STRIDE;

    static final int ROWS = 4;
    static final int COLUMNS = 2 * L;

    private Simd() {}

    /** A has one row per row of C. */
    static void rowMajor(
        float[] a,
        int ao,
        float[] b,
        int bo,
        int depth,
        float[] init,
        int io,
        int initStride,
        float[] c,
        int co,
        int stride) {
      FloatVector c00 = FloatVector.fromArray(S, init, io);
      FloatVector c01 = FloatVector.fromArray(S, init, io + L);
      FloatVector c10 = FloatVector.fromArray(S, init, io + initStride);
      FloatVector c11 = FloatVector.fromArray(S, init, io + initStride + L);
      FloatVector c20 = FloatVector.fromArray(S, init, io + 2 * initStride);
      FloatVector c21 = FloatVector.fromArray(S, init, io + 2 * initStride + L);
      FloatVector c30 = FloatVector.fromArray(S, init, io + 3 * initStride);
      FloatVector c31 = FloatVector.fromArray(S, init, io + 3 * initStride + L);
      for (int p = 0; p < depth; p++) {
        FloatVector b0 = FloatVector.fromArray(S, b, bo + p * STRIDE);
        FloatVector b1 = FloatVector.fromArray(S, b, bo + p * STRIDE + L);
        FloatVector a0 = FloatVector.broadcast(S, a[ao + p]);
        c00 = a0.fma(b0, c00);
        c01 = a0.fma(b1, c01);
        FloatVector a1 = FloatVector.broadcast(S, a[ao + p + STRIDE]);
        c10 = a1.fma(b0, c10);
        c11 = a1.fma(b1, c11);
        FloatVector a2 = FloatVector.broadcast(S, a[ao + p + 2 * STRIDE]);
        c20 = a2.fma(b0, c20);
        c21 = a2.fma(b1, c21);
        FloatVector a3 = FloatVector.broadcast(S, a[ao + p + 3 * STRIDE]);
        c30 = a3.fma(b0, c30);
        c31 = a3.fma(b1, c31);
      }
      c00.intoArray(c, co);
      c01.intoArray(c, co + L);
      c10.intoArray(c, co + stride);
      c11.intoArray(c, co + stride + L);
      c20.intoArray(c, co + 2 * stride);
      c21.intoArray(c, co + 2 * stride + L);
      c30.intoArray(c, co + 3 * stride);
      c31.intoArray(c, co + 3 * stride + L);
    }

    /** A has one row per step of the sum: the transposed layout. */
    static void depthMajor(
        float[] a,
        int ao,
        float[] b,
        int bo,
        int depth,
        float[] init,
        int io,
        int initStride,
        float[] c,
        int co,
        int stride) {
      FloatVector c00 = FloatVector.fromArray(S, init, io);
      FloatVector c01 = FloatVector.fromArray(S, init, io + L);
      FloatVector c10 = FloatVector.fromArray(S, init, io + initStride);
      FloatVector c11 = FloatVector.fromArray(S, init, io + initStride + L);
      FloatVector c20 = FloatVector.fromArray(S, init, io + 2 * initStride);
      FloatVector c21 = FloatVector.fromArray(S, init, io + 2 * initStride + L);
      FloatVector c30 = FloatVector.fromArray(S, init, io + 3 * initStride);
      FloatVector c31 = FloatVector.fromArray(S, init, io + 3 * initStride + L);
      for (int p = 0; p < depth; p++) {
        FloatVector b0 = FloatVector.fromArray(S, b, bo + p * STRIDE);
        FloatVector b1 = FloatVector.fromArray(S, b, bo + p * STRIDE + L);
        FloatVector a0 = FloatVector.broadcast(S, a[ao + p * STRIDE]);
        c00 = a0.fma(b0, c00);
        c01 = a0.fma(b1, c01);
        FloatVector a1 = FloatVector.broadcast(S, a[ao + p * STRIDE + 1]);
        c10 = a1.fma(b0, c10);
        c11 = a1.fma(b1, c11);
        FloatVector a2 = FloatVector.broadcast(S, a[ao + p * STRIDE + 2]);
        c20 = a2.fma(b0, c20);
        c21 = a2.fma(b1, c21);
        FloatVector a3 = FloatVector.broadcast(S, a[ao + p * STRIDE + 3]);
        c30 = a3.fma(b0, c30);
        c31 = a3.fma(b1, c31);
      }
      c00.intoArray(c, co);
      c01.intoArray(c, co + L);
      c10.intoArray(c, co + stride);
      c11.intoArray(c, co + stride + L);
      c20.intoArray(c, co + 2 * stride);
      c21.intoArray(c, co + 2 * stride + L);
      c30.intoArray(c, co + 3 * stride);
      c31.intoArray(c, co + 3 * stride + L);
    }
  }
}
