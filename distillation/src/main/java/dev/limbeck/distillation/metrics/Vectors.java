package dev.limbeck.distillation.metrics;

import dev.limbeck.tensor.ShapeException;

/** Products and distances of feature vectors, in double. */
final class Vectors {
  private Vectors() {}

  static void checkSame(String what, float[][] a, float[][] b) {
    if (a.length == 0 || b.length == 0) {
      throw new ShapeException(what + ": there are no vectors on one side");
    }
    if (a[0].length != b[0].length) {
      throw new ShapeException(
          what + ": vectors have " + a[0].length + " and " + b[0].length + " elements");
    }
  }

  /** Four sums, so that additions need not wait for one another. */
  static double dot(float[] x, float[] y) {
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    int whole = x.length & ~3;
    for (int i = 0; i < whole; i += 4) {
      s0 += (double) x[i] * y[i];
      s1 += (double) x[i + 1] * y[i + 1];
      s2 += (double) x[i + 2] * y[i + 2];
      s3 += (double) x[i + 3] * y[i + 3];
    }
    for (int i = whole; i < x.length; i++) {
      s0 += (double) x[i] * y[i];
    }
    return s0 + s1 + (s2 + s3);
  }

  static double squaredDistance(float[] x, float[] y) {
    double s0 = 0;
    double s1 = 0;
    int whole = x.length & ~1;
    for (int i = 0; i < whole; i += 2) {
      double d0 = x[i] - y[i];
      double d1 = x[i + 1] - y[i + 1];
      s0 += d0 * d0;
      s1 += d1 * d1;
    }
    if (whole < x.length) {
      double d = x[whole] - y[whole];
      s0 += d * d;
    }
    return s0 + s1;
  }
}
