package dev.limbeck.distillation.rates;

import dev.limbeck.tensor.Rng;
import java.util.Arrays;
import org.apache.commons.math3.stat.regression.SimpleRegression;

/**
 * The slope of ln y over ln x by least squares, with a bootstrap interval.
 *
 * @param low 2.5th percentile of the slopes of resampled data
 * @param high 97.5th percentile
 * @paper Efron 1979, "Bootstrap methods: another look at the jackknife"
 */
public record Slope(double value, double low, double high) {
  private static final int RESAMPLES = 1000;

  /**
   * Fits the means of repeated measurements.
   *
   * <p>Repetitions are drawn anew, with replacement, within each x; where there is one only, the
   * points (x, y) themselves are.
   *
   * @param y for each x its repetitions, all positive
   */
  static Slope of(double[] x, double[][] y, long seed) {
    int[][] all = new int[x.length][];
    for (int i = 0; i < x.length; i++) {
      all[i] = identity(y[i].length);
    }
    double value = fit(x, y, identity(x.length), all);
    Rng rng = Rng.of(seed);
    double[] slopes = new double[RESAMPLES];
    int found = 0;
    while (found < RESAMPLES) {
      int[] points = identity(x.length);
      int[][] chosen = new int[x.length][];
      boolean single = true;
      for (int i = 0; i < x.length; i++) {
        chosen[i] = new int[y[i].length];
        rng.integers(chosen[i], y[i].length);
        single &= y[i].length == 1;
      }
      if (single) {
        rng.integers(points, x.length);
        if (Arrays.stream(points).distinct().count() < 2) {
          continue; // no line goes through one point
        }
      }
      slopes[found++] = fit(x, y, points, chosen);
    }
    Arrays.sort(slopes);
    return new Slope(value, slopes[RESAMPLES / 40], slopes[RESAMPLES - 1 - RESAMPLES / 40]);
  }

  private static int[] identity(int n) {
    int[] all = new int[n];
    for (int i = 0; i < n; i++) {
      all[i] = i;
    }
    return all;
  }

  private static double fit(double[] x, double[][] y, int[] points, int[][] chosen) {
    SimpleRegression line = new SimpleRegression();
    for (int i : points) {
      double sum = 0;
      for (int k : chosen[i]) {
        sum += y[i][k];
      }
      line.addData(Math.log(x[i]), Math.log(sum / chosen[i].length));
    }
    return line.getSlope();
  }
}
