package dev.limbeck.kernels.op;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Sums along a run of numbers whose bits do not depend on the vector width: element i goes to
 * virtual lane i mod 16, and the lanes are added in order, in double.
 */
final class Lanes {
  /** Virtual lanes; every vector width in use divides it. */
  static final int COUNT = 16;

  private Lanes() {}

  /** Σ x. */
  static double sum(boolean simd, float[] x, int at, int n, float[] lanes) {
    Arrays.fill(lanes, 0, COUNT, 0f);
    int done = simd ? Simd.sum(x, at, n, lanes) : 0;
    for (int i = done; i < n; i++) {
      lanes[i % COUNT] += x[at + i];
    }
    return total(lanes);
  }

  /** Σ (x − centre)². */
  static double squares(boolean simd, float[] x, int at, int n, float centre, float[] lanes) {
    Arrays.fill(lanes, 0, COUNT, 0f);
    int done = simd ? Simd.squares(x, at, n, centre, lanes) : 0;
    for (int i = done; i < n; i++) {
      float d = x[at + i] - centre;
      lanes[i % COUNT] = Math.fma(d, d, lanes[i % COUNT]);
    }
    return total(lanes);
  }

  /** Σ x·y. */
  static double dot(boolean simd, float[] x, int xo, float[] y, int yo, int n, float[] lanes) {
    Arrays.fill(lanes, 0, COUNT, 0f);
    int done = simd ? Simd.dot(x, xo, y, yo, n, lanes) : 0;
    for (int i = done; i < n; i++) {
      lanes[i % COUNT] = Math.fma(x[xo + i], y[yo + i], lanes[i % COUNT]);
    }
    return total(lanes);
  }

  private static double total(float[] lanes) {
    double sum = 0;
    for (int i = 0; i < COUNT; i++) {
      sum += lanes[i];
    }
    return sum;
  }

  /** The whole multiples of 16 elements, on vectors; each method returns how many that are. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int sum(float[] x, int at, int n, float[] lanes) {
      int whole = n / COUNT * COUNT;
      for (int lane = 0; lane < COUNT; lane += S.length()) {
        FloatVector sum = FloatVector.zero(S);
        for (int i = lane; i < whole; i += COUNT) {
          sum = sum.add(FloatVector.fromArray(S, x, at + i));
        }
        sum.intoArray(lanes, lane);
      }
      return whole;
    }

    static int squares(float[] x, int at, int n, float centre, float[] lanes) {
      int whole = n / COUNT * COUNT;
      for (int lane = 0; lane < COUNT; lane += S.length()) {
        FloatVector sum = FloatVector.zero(S);
        for (int i = lane; i < whole; i += COUNT) {
          FloatVector d = FloatVector.fromArray(S, x, at + i).sub(centre);
          sum = d.fma(d, sum);
        }
        sum.intoArray(lanes, lane);
      }
      return whole;
    }

    static int dot(float[] x, int xo, float[] y, int yo, int n, float[] lanes) {
      int whole = n / COUNT * COUNT;
      for (int lane = 0; lane < COUNT; lane += S.length()) {
        FloatVector sum = FloatVector.zero(S);
        for (int i = lane; i < whole; i += COUNT) {
          FloatVector v = FloatVector.fromArray(S, x, xo + i);
          sum = v.fma(FloatVector.fromArray(S, y, yo + i), sum);
        }
        sum.intoArray(lanes, lane);
      }
      return whole;
    }
  }
}
