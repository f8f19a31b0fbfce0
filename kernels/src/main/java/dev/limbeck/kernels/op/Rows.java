package dev.limbeck.kernels.op;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Sums of the rows of a matrix, element by element in order: the same bits at any vector width.
 *
 * <p>Rows of 32 or 48 channels are too short for the loops that the compiler vectorises by itself,
 * which take 128 elements at a time.
 */
final class Rows {
  private Rows() {}

  /** y[j] ← Σᵢ x[i,j]. */
  static void sum(boolean simd, float[] x, int xo, int rows, int width, float[] y, int yo) {
    int done = simd ? Simd.sum(x, xo, rows, width, y, yo) : 0;
    if (done == width) {
      return;
    }
    Arrays.fill(y, yo + done, yo + width, 0f);
    for (int row = 0; row < rows; row++) {
      int at = xo + row * width;
      for (int j = done; j < width; j++) {
        y[yo + j] += x[at + j];
      }
    }
  }

  /** y[j] ← y[j] + x[j]. */
  static void add(boolean simd, float[] x, int xo, float[] y, int yo, int count) {
    int done = simd ? Simd.add(x, xo, y, yo, count) : 0;
    for (int j = done; j < count; j++) {
      y[yo + j] += x[xo + j];
    }
  }

  /** The same on vectors; each method returns the first column that is not done. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int add(float[] x, int xo, float[] y, int yo, int count) {
      int whole = S.loopBound(count);
      for (int j = 0; j < whole; j += S.length()) {
        FloatVector sum = FloatVector.fromArray(S, y, yo + j);
        sum.add(FloatVector.fromArray(S, x, xo + j)).intoArray(y, yo + j);
      }
      return whole;
    }

    static int sum(float[] x, int xo, int rows, int width, float[] y, int yo) {
      int l = S.length();
      int j = 0;
      for (; j <= width - 4 * l; j += 4 * l) {
        FloatVector a = FloatVector.zero(S);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        for (int row = 0; row < rows; row++) {
          int at = xo + row * width + j;
          a = a.add(FloatVector.fromArray(S, x, at));
          b = b.add(FloatVector.fromArray(S, x, at + l));
          c = c.add(FloatVector.fromArray(S, x, at + 2 * l));
          d = d.add(FloatVector.fromArray(S, x, at + 3 * l));
        }
        a.intoArray(y, yo + j);
        b.intoArray(y, yo + j + l);
        c.intoArray(y, yo + j + 2 * l);
        d.intoArray(y, yo + j + 3 * l);
      }
      for (; j <= width - l; j += l) {
        FloatVector a = FloatVector.zero(S);
        for (int row = 0; row < rows; row++) {
          a = a.add(FloatVector.fromArray(S, x, xo + row * width + j));
        }
        a.intoArray(y, yo + j);
      }
      return j;
    }
  }
}
