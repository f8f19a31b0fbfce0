package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Posterior means against other formulas, on every device. */
class MixtureMeanTest {
  /** Components of random weights, means, variances and, if turned, axes of one plane rotation. */
  private static MixtureMean.Table table(int n, int d, boolean turned) {
    Random random = new Random(100L * n + d);
    double[] logs = random.doubles(n, -1, 1).toArray();
    double[] means = random.doubles((long) n * d, -2, 2).toArray();
    double[] variances = random.doubles((long) n * d, 0, .5).toArray();
    double[] axes = turned ? new double[n * d * d] : null;
    int[] labels = new int[n];
    for (int k = 0; k < n; k++) {
      labels[k] = k % 2;
      if (turned) {
        double angle = 1 + k;
        for (int i = 0; i < d; i++) {
          axes[(k * d + i) * d + i] = 1;
        }
        axes[k * d * d] = Math.cos(angle);
        axes[k * d * d + 1] = -Math.sin(angle);
        axes[(k * d + 1) * d] = Math.sin(angle);
        axes[(k * d + 1) * d + 1] = Math.cos(angle);
      }
    }
    return new MixtureMean.Table(d, logs, means, variances, axes, labels);
  }

  private static float[] levels(int rows) {
    float[] sigma = new float[rows];
    for (int i = 0; i < rows; i++) {
      sigma[i] = (float) (.002 * Math.pow(40_000, i / (rows - 1.0)));
    }
    return sigma;
  }

  @DeviceTest
  void twins(Device device) {
    for (int[] size : new int[][] {{1, 2}, {8, 2}, {3, 9}, {5, 17}}) {
      for (boolean turned : new boolean[] {false, true}) {
        MixtureMean.Table table = table(size[0], size[1], turned);
        int rows = 300;
        // Sums in double, whose last bits may fall on either side of a float's boundary.
        Twins.close(
            device,
            1,
            m ->
                new MixtureMean(
                    table,
                    m.floats(rows * size[1]),
                    m.floats(levels(rows)),
                    m.ints(rows, 0, 3),
                    m.floats(rows * size[1])));
        Twins.close(
            device,
            1,
            m ->
                new MixtureMean(
                    table,
                    m.floats(rows * size[1]),
                    m.floats(levels(rows)),
                    null,
                    m.floats(rows * size[1])));
      }
    }
  }

  private static float[] compute(
      Device device, MixtureMean.Table table, float[] x, float[] sigma, int... labels) {
    try (Scope scope = Scope.open()) {
      Buffer in = device.allocate(DType.F32, x.length);
      Buffer levels = device.allocate(DType.F32, sigma.length);
      Buffer out = device.allocate(DType.F32, x.length);
      in.upload(x, 0);
      levels.upload(sigma, 0);
      Buffer wanted = null;
      if (labels.length > 0) {
        wanted = device.allocate(DType.I32, labels.length);
        wanted.upload(labels, 0);
      }
      device.execute(new MixtureMean(table, in, levels, wanted, out));
      float[] result = new float[x.length];
      out.download(result, 0);
      return result;
    }
  }

  /** D = x + σ² ∇ log p, with the slope of an independently computed density by differences. */
  @DeviceTest
  void theMeanFollowsFromTheDensity(Device device) {
    double[][] means = {{.5, -1}, {-1, .3}};
    double[][][] covariances = {{{.3, .12}, {.12, .1}}, {{.05, -.02}, {-.02, .2}}};
    double[] weights = {.7, .3};
    double angle0 = .5 * Math.atan2(2 * .12, .3 - .1);
    double angle1 = .5 * Math.atan2(-2 * .02, .05 - .2);
    double[] axes = new double[8];
    double[] variances = new double[4];
    double[] angles = {angle0, angle1};
    for (int k = 0; k < 2; k++) {
      double c = Math.cos(angles[k]);
      double s = Math.sin(angles[k]);
      double[][] m = covariances[k];
      variances[2 * k] = c * c * m[0][0] + 2 * c * s * m[0][1] + s * s * m[1][1];
      variances[2 * k + 1] = s * s * m[0][0] - 2 * c * s * m[0][1] + c * c * m[1][1];
      axes[4 * k] = c;
      axes[4 * k + 1] = -s;
      axes[4 * k + 2] = s;
      axes[4 * k + 3] = c;
    }
    MixtureMean.Table table =
        new MixtureMean.Table(
            2,
            new double[] {Math.log(.7), Math.log(.3)},
            new double[] {.5, -1, -1, .3},
            variances,
            axes,
            new int[] {0, 1});
    float[] x = {.2f, .4f};
    for (float sigma : new float[] {.3f, 1f, 20f}) {
      float[] found = compute(device, table, x, new float[] {sigma});
      for (int j = 0; j < 2; j++) {
        double h = 1e-4;
        double[] up = {x[0], x[1]};
        double[] down = up.clone();
        up[j] += h;
        down[j] -= h;
        double slope =
            (logDensity(weights, means, covariances, up, sigma)
                    - logDensity(weights, means, covariances, down, sigma))
                / (2 * h);
        // Differences of 1e-4 lose seven of sixteen digits, times σ² at most 400.
        assertEquals(x[j] + sigma * sigma * slope, found[j], 2e-5, "sigma " + sigma);
      }
    }
  }

  private static double logDensity(
      double[] weights, double[][] means, double[][][] covariances, double[] x, double sigma) {
    double sum = 0;
    for (int k = 0; k < weights.length; k++) {
      double a = covariances[k][0][0] + sigma * sigma;
      double b = covariances[k][0][1];
      double c = covariances[k][1][1] + sigma * sigma;
      double u = x[0] - means[k][0];
      double v = x[1] - means[k][1];
      double determinant = a * c - b * b;
      double square = (c * u * u - 2 * b * u * v + a * v * v) / determinant;
      sum += weights[k] * Math.exp(-square / 2) / Math.sqrt(determinant);
    }
    return Math.log(sum);
  }

  @DeviceTest
  void labelsChooseComponents(Device device) {
    MixtureMean.Table table =
        new MixtureMean.Table(
            1, new double[2], new double[] {-1, 1}, new double[2], null, new int[] {0, 1});
    float[] x = {.1f, .1f, .1f, .1f};
    float[] sigma = {1, 1, 1, 1};
    float both = (float) Math.tanh(.1);
    // Labels 2 and −1 belong to no component: all count.
    float[] found = compute(device, table, x, sigma, 0, 1, 2, -1);
    assertArrayEquals(new float[] {-1, 1, both, both}, found, 1e-7f);
    assertArrayEquals(
        new float[] {both, both, both, both}, compute(device, table, x, sigma), 1e-7f);
  }

  /** Where every density is far below the smallest double. */
  @DeviceTest
  void farFromEveryComponent(Device device) {
    MixtureMean.Table table = table(4, 2, true);
    float[] found = compute(device, table, new float[] {900, -700}, new float[] {.01f});
    for (float value : found) {
      assertEquals(0, Float.isNaN(value) ? 1 : 0, Arrays.toString(found));
    }
  }

  @Test
  void sizesThatDoNotMatchAreRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () ->
            new MixtureMean.Table(
                2, new double[2], new double[3], new double[4], null, new int[2]));
  }
}
