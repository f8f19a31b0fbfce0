package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import java.util.Arrays;
import java.util.SplittableRandom;

/** Naive float64 versions of matrix products and convolutions, and buffers with sentinels. */
final class MatrixOracle {
  /** A number that BF16 has. */
  private static final float SENTINEL = 12352f;

  private static final int MARGIN = 64;

  private MatrixOracle() {}

  /** A buffer between two margins that nobody may write. */
  record Guarded(Buffer whole, Buffer inner) {
    static Guarded of(Device device, float[] values) {
      int after = MARGIN + values.length;
      float[] all = new float[after + MARGIN];
      Arrays.fill(all, SENTINEL);
      System.arraycopy(values, 0, all, MARGIN, values.length);
      Buffer whole = device.allocate(DType.F32, all.length);
      whole.upload(all, 0);
      return new Guarded(whole, whole.slice(MARGIN, values.length));
    }

    /** The values, after checking both margins. */
    float[] read() {
      float[] all = new float[whole.length()];
      whole.download(all, 0);
      for (int i = 0; i < MARGIN; i++) {
        assertEquals(SENTINEL, all[i], "written before the buffer");
        assertEquals(SENTINEL, all[all.length - 1 - i], "written after the buffer");
      }
      return Arrays.copyOfRange(all, MARGIN, all.length - MARGIN);
    }
  }

  static float[] random(int length, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) (random.nextDouble() * 2 - 1);
    }
    return values;
  }

  static double[] matmul(
      int batch, int m, int n, int k, float[] a, boolean ta, float[] b, boolean tb) {
    double[] c = new double[batch * m * n];
    for (int q = 0; q < batch; q++) {
      for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
          double sum = 0;
          for (int p = 0; p < k; p++) {
            double x = a[q * m * k + (ta ? p * m + i : i * k + p)];
            sum += x * b[q * n * k + (tb ? j * k + p : p * n + j)];
          }
          c[(q * m + i) * n + j] = sum;
        }
      }
    }
    return c;
  }

  /** Called for every pair of an input element and an output element that a weight joins. */
  interface Link {
    void join(int x, int w, int y);
  }

  static void links(Conv2dDims d, Link link) {
    for (int n = 0; n < d.n(); n++) {
      for (int oy = 0; oy < d.outH(); oy++) {
        for (int ox = 0; ox < d.outW(); ox++) {
          for (int i = 0; i < d.kh(); i++) {
            for (int j = 0; j < d.kw(); j++) {
              int y = oy * d.spec().strideY() + i - d.spec().top();
              int x = ox * d.spec().strideX() + j - d.spec().left();
              if (y < 0 || x < 0 || y >= d.h() || x >= d.w()) {
                continue;
              }
              for (int c = 0; c < d.c(); c++) {
                for (int o = 0; o < d.o(); o++) {
                  link.join(
                      ((n * d.h() + y) * d.w() + x) * d.c() + c,
                      ((o * d.kh() + i) * d.kw() + j) * d.c() + c,
                      ((n * d.outH() + oy) * d.outW() + ox) * d.o() + o);
                }
              }
            }
          }
        }
      }
    }
  }

  /** Fails unless the largest error is at most {@code tolerance} times the largest value. */
  static void assertClose(double[] expected, float[] actual, double tolerance, Object what) {
    assertEquals(expected.length, actual.length);
    double largest = 1e-30;
    double error = 0;
    for (int i = 0; i < expected.length; i++) {
      largest = Math.max(largest, Math.abs(expected[i]));
      double e = Math.abs(expected[i] - actual[i]);
      error = e <= error ? error : e; // a NaN counts
    }
    double relative = error / largest;
    assertTrue(relative <= tolerance, () -> what + ": relative error " + relative);
  }
}
