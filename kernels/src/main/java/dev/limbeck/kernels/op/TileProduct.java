package dev.limbeck.kernels.op;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Products of matrices small enough for the level-1 and level-2 caches: C = A·B or C += A·B.
 *
 * <p>A may have any strides (so also transposed); rows of B and C are contiguous. Every element of
 * C is one chain of fused multiply-adds in the order of the inner index, whatever the vector width.
 */
final class TileProduct {
  private TileProduct() {}

  /** Where a matrix starts in an array, and its strides. */
  record Matrix(float[] data, int offset, int rowStride, int columnStride) {
    static Matrix rows(float[] data, int offset, int rowStride) {
      return new Matrix(data, offset, rowStride, 1);
    }

    static Matrix transposed(float[] data, int offset, int rowStride) {
      return new Matrix(data, offset, 1, rowStride);
    }
  }

  /** C[m,n] = A[m,k]·B[k,n], added to what C holds if {@code add}. */
  static void multiply(
      boolean simd, int m, int n, int k, Matrix a, Matrix b, Matrix c, boolean add) {
    int done = simd ? Simd.multiply(m, n, k, a, b, c, add) : 0;
    if (done == n) {
      return;
    }
    for (int i = 0; i < m; i++) {
      int to = c.offset + i * c.rowStride;
      if (!add) {
        Arrays.fill(c.data, to + done, to + n, 0f);
      }
      for (int p = 0; p < k; p++) {
        float left = a.data[a.offset + i * a.rowStride + p * a.columnStride];
        int from = b.offset + p * b.rowStride;
        for (int j = done; j < n; j++) {
          c.data[to + j] = Math.fma(left, b.data[from + j], c.data[to + j]);
        }
      }
    }
  }

  /** The same on vectors, all but the last columns that do not fill one. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    /** Returns the first column that is not done. */
    static int multiply(int m, int n, int k, Matrix a, Matrix b, Matrix c, boolean add) {
      int l = S.length();
      int j = 0;
      for (; j <= n - 2 * l; j += 2 * l) {
        int i = 0;
        // 16 sums need more than the 16 registers that narrower vectors come with.
        for (; l >= 16 && i <= m - 8; i += 8) {
          if (!add) {
            zero(i, i + 8, j, c);
          }
          tile8x2(i, j, k, a, b, c);
        }
        for (; i <= m - 4; i += 4) {
          tile4x2(i, j, k, a, b, c, add);
        }
        for (; i < m; i++) {
          tile1(i, j, k, a, b, c, add);
          tile1(i, j + l, k, a, b, c, add);
        }
      }
      for (; j <= n - l; j += l) {
        int i = 0;
        for (; i <= m - 4; i += 4) {
          tile4x1(i, j, k, a, b, c, add);
        }
        for (; i < m; i++) {
          tile1(i, j, k, a, b, c, add);
        }
      }
      return j;
    }

    private static FloatVector start(Matrix c, int i, int j, boolean add) {
      return add
          ? FloatVector.fromArray(S, c.data, c.offset + i * c.rowStride + j)
          : FloatVector.zero(S);
    }

    private static void zero(int from, int to, int j, Matrix c) {
      for (int i = from; i < to; i++) {
        int at = c.offset + i * c.rowStride + j;
        Arrays.fill(c.data, at, at + 2 * S.length(), 0f);
      }
    }

    private static void tile8x2(int i, int j, int k, Matrix a, Matrix b, Matrix c) {
      int l = S.length();
      float[] cs = c.data;
      int r = c.rowStride;
      int to = c.offset + i * r + j;
      FloatVector c00 = FloatVector.fromArray(S, cs, to + 0 * r);
      FloatVector c01 = FloatVector.fromArray(S, cs, to + 0 * r + l);
      FloatVector c10 = FloatVector.fromArray(S, cs, to + 1 * r);
      FloatVector c11 = FloatVector.fromArray(S, cs, to + 1 * r + l);
      FloatVector c20 = FloatVector.fromArray(S, cs, to + 2 * r);
      FloatVector c21 = FloatVector.fromArray(S, cs, to + 2 * r + l);
      FloatVector c30 = FloatVector.fromArray(S, cs, to + 3 * r);
      FloatVector c31 = FloatVector.fromArray(S, cs, to + 3 * r + l);
      FloatVector c40 = FloatVector.fromArray(S, cs, to + 4 * r);
      FloatVector c41 = FloatVector.fromArray(S, cs, to + 4 * r + l);
      FloatVector c50 = FloatVector.fromArray(S, cs, to + 5 * r);
      FloatVector c51 = FloatVector.fromArray(S, cs, to + 5 * r + l);
      FloatVector c60 = FloatVector.fromArray(S, cs, to + 6 * r);
      FloatVector c61 = FloatVector.fromArray(S, cs, to + 6 * r + l);
      FloatVector c70 = FloatVector.fromArray(S, cs, to + 7 * r);
      FloatVector c71 = FloatVector.fromArray(S, cs, to + 7 * r + l);
      float[] as = a.data;
      float[] bs = b.data;
      int s = a.rowStride;
      int from = a.offset + i * s;
      int at = b.offset + j;
      for (int p = 0; p < k; p++, from += a.columnStride, at += b.rowStride) {
        FloatVector b0 = FloatVector.fromArray(S, bs, at);
        FloatVector b1 = FloatVector.fromArray(S, bs, at + l);
        FloatVector a0 = FloatVector.broadcast(S, as[from + 0 * s]);
        c00 = a0.fma(b0, c00);
        c01 = a0.fma(b1, c01);
        FloatVector a1 = FloatVector.broadcast(S, as[from + 1 * s]);
        c10 = a1.fma(b0, c10);
        c11 = a1.fma(b1, c11);
        FloatVector a2 = FloatVector.broadcast(S, as[from + 2 * s]);
        c20 = a2.fma(b0, c20);
        c21 = a2.fma(b1, c21);
        FloatVector a3 = FloatVector.broadcast(S, as[from + 3 * s]);
        c30 = a3.fma(b0, c30);
        c31 = a3.fma(b1, c31);
        FloatVector a4 = FloatVector.broadcast(S, as[from + 4 * s]);
        c40 = a4.fma(b0, c40);
        c41 = a4.fma(b1, c41);
        FloatVector a5 = FloatVector.broadcast(S, as[from + 5 * s]);
        c50 = a5.fma(b0, c50);
        c51 = a5.fma(b1, c51);
        FloatVector a6 = FloatVector.broadcast(S, as[from + 6 * s]);
        c60 = a6.fma(b0, c60);
        c61 = a6.fma(b1, c61);
        FloatVector a7 = FloatVector.broadcast(S, as[from + 7 * s]);
        c70 = a7.fma(b0, c70);
        c71 = a7.fma(b1, c71);
      }
      c00.intoArray(cs, to + 0 * r);
      c01.intoArray(cs, to + 0 * r + l);
      c10.intoArray(cs, to + 1 * r);
      c11.intoArray(cs, to + 1 * r + l);
      c20.intoArray(cs, to + 2 * r);
      c21.intoArray(cs, to + 2 * r + l);
      c30.intoArray(cs, to + 3 * r);
      c31.intoArray(cs, to + 3 * r + l);
      c40.intoArray(cs, to + 4 * r);
      c41.intoArray(cs, to + 4 * r + l);
      c50.intoArray(cs, to + 5 * r);
      c51.intoArray(cs, to + 5 * r + l);
      c60.intoArray(cs, to + 6 * r);
      c61.intoArray(cs, to + 6 * r + l);
      c70.intoArray(cs, to + 7 * r);
      c71.intoArray(cs, to + 7 * r + l);
    }

    private static void tile4x2(int i, int j, int k, Matrix a, Matrix b, Matrix c, boolean add) {
      int l = S.length();
      FloatVector c00 = start(c, i, j, add);
      FloatVector c01 = start(c, i, j + l, add);
      FloatVector c10 = start(c, i + 1, j, add);
      FloatVector c11 = start(c, i + 1, j + l, add);
      FloatVector c20 = start(c, i + 2, j, add);
      FloatVector c21 = start(c, i + 2, j + l, add);
      FloatVector c30 = start(c, i + 3, j, add);
      FloatVector c31 = start(c, i + 3, j + l, add);
      float[] as = a.data;
      float[] bs = b.data;
      int a0 = a.offset + i * a.rowStride;
      int a1 = a0 + a.rowStride;
      int a2 = a1 + a.rowStride;
      int a3 = a2 + a.rowStride;
      int at = b.offset + j;
      for (int p = 0; p < k; p++) {
        FloatVector b0 = FloatVector.fromArray(S, bs, at);
        FloatVector b1 = FloatVector.fromArray(S, bs, at + l);
        FloatVector v = FloatVector.broadcast(S, as[a0]);
        c00 = v.fma(b0, c00);
        c01 = v.fma(b1, c01);
        v = FloatVector.broadcast(S, as[a1]);
        c10 = v.fma(b0, c10);
        c11 = v.fma(b1, c11);
        v = FloatVector.broadcast(S, as[a2]);
        c20 = v.fma(b0, c20);
        c21 = v.fma(b1, c21);
        v = FloatVector.broadcast(S, as[a3]);
        c30 = v.fma(b0, c30);
        c31 = v.fma(b1, c31);
        a0 += a.columnStride;
        a1 += a.columnStride;
        a2 += a.columnStride;
        a3 += a.columnStride;
        at += b.rowStride;
      }
      int to = c.offset + i * c.rowStride + j;
      c00.intoArray(c.data, to);
      c01.intoArray(c.data, to + l);
      to += c.rowStride;
      c10.intoArray(c.data, to);
      c11.intoArray(c.data, to + l);
      to += c.rowStride;
      c20.intoArray(c.data, to);
      c21.intoArray(c.data, to + l);
      to += c.rowStride;
      c30.intoArray(c.data, to);
      c31.intoArray(c.data, to + l);
    }

    private static void tile4x1(int i, int j, int k, Matrix a, Matrix b, Matrix c, boolean add) {
      FloatVector c0 = start(c, i, j, add);
      FloatVector c1 = start(c, i + 1, j, add);
      FloatVector c2 = start(c, i + 2, j, add);
      FloatVector c3 = start(c, i + 3, j, add);
      float[] as = a.data;
      int a0 = a.offset + i * a.rowStride;
      int a1 = a0 + a.rowStride;
      int a2 = a1 + a.rowStride;
      int a3 = a2 + a.rowStride;
      int at = b.offset + j;
      for (int p = 0; p < k; p++) {
        FloatVector v = FloatVector.fromArray(S, b.data, at);
        c0 = FloatVector.broadcast(S, as[a0]).fma(v, c0);
        c1 = FloatVector.broadcast(S, as[a1]).fma(v, c1);
        c2 = FloatVector.broadcast(S, as[a2]).fma(v, c2);
        c3 = FloatVector.broadcast(S, as[a3]).fma(v, c3);
        a0 += a.columnStride;
        a1 += a.columnStride;
        a2 += a.columnStride;
        a3 += a.columnStride;
        at += b.rowStride;
      }
      int to = c.offset + i * c.rowStride + j;
      c0.intoArray(c.data, to);
      c1.intoArray(c.data, to + c.rowStride);
      c2.intoArray(c.data, to + 2 * c.rowStride);
      c3.intoArray(c.data, to + 3 * c.rowStride);
    }

    private static void tile1(int i, int j, int k, Matrix a, Matrix b, Matrix c, boolean add) {
      FloatVector sum = start(c, i, j, add);
      int left = a.offset + i * a.rowStride;
      int at = b.offset + j;
      for (int p = 0; p < k; p++) {
        FloatVector v = FloatVector.fromArray(S, b.data, at);
        sum = FloatVector.broadcast(S, a.data[left]).fma(v, sum);
        left += a.columnStride;
        at += b.rowStride;
      }
      sum.intoArray(c.data, c.offset + i * c.rowStride + j);
    }
  }
}
