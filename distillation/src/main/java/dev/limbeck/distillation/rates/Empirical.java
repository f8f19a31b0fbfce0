package dev.limbeck.distillation.rates;

import java.util.Arrays;

/**
 * Data that are exactly these points, equally likely, each blurred by a normal distribution: the
 * optimum of denoising score matching on them, D(x, σ) = Σ_i w_i [x_i + h²/(h² + σ²) (x − x_i)]
 * with w ∝ exp(−|x − x_i|² / 2(h² + σ²)).
 */
final class Empirical implements Denoised {
  /** Points further away than so many deviations weigh less than e^-32 of the nearest. */
  private static final double REACH = 8;

  private final double[][] points;
  private final double[] line;
  private final double blur;

  /**
   * The optimum on these points.
   *
   * @param bandwidth h, 0 for the points themselves
   */
  Empirical(double[][] points, double bandwidth) {
    this.points = points;
    this.blur = bandwidth * bandwidth;
    if (points[0].length == 1) {
      line = new double[points.length];
      for (int i = 0; i < line.length; i++) {
        line[i] = points[i][0];
      }
      Arrays.sort(line);
    } else {
      line = null;
    }
  }

  @Override
  public void at(double[] x, double sigma, double[] out) {
    double v = sigma * sigma + blur;
    if (line != null) {
      out[0] = onLine(x[0], v);
    } else {
      inSpace(x, v, out);
    }
    double shrink = blur / v;
    for (int j = 0; j < x.length; j++) {
      out[j] += shrink * (x[j] - out[j]);
    }
  }

  private double onLine(double x, double v) {
    int nearest = nearest(x);
    double smallest = Math.abs(x - line[nearest]);
    // |x − x_i|² ≤ |x − nearest|² + REACH² v
    double reach = Math.sqrt(smallest * smallest + REACH * REACH * v);
    int from = firstNotBelow(x - reach);
    int to = firstNotBelow(x + reach);
    double sum = 0;
    double total = 0;
    for (int i = from; i < to; i++) {
      double difference = x - line[i];
      double weight = Math.exp((smallest * smallest - difference * difference) / (2 * v));
      sum += weight * line[i];
      total += weight;
    }
    return total == 0 ? line[nearest] : sum / total;
  }

  private int nearest(double x) {
    int at = Math.min(firstNotBelow(x), line.length - 1);
    return at > 0 && x - line[at - 1] < Math.abs(line[at] - x) ? at - 1 : at;
  }

  private int firstNotBelow(double x) {
    int at = Arrays.binarySearch(line, x);
    return at >= 0 ? at : -at - 1;
  }

  private void inSpace(double[] x, double v, double[] out) {
    int n = points.length;
    double[] squared = new double[n];
    double smallest = Double.POSITIVE_INFINITY;
    for (int i = 0; i < n; i++) {
      double sum = 0;
      for (int j = 0; j < x.length; j++) {
        double difference = x[j] - points[i][j];
        sum += difference * difference;
      }
      squared[i] = sum;
      smallest = Math.min(smallest, sum);
    }
    Arrays.fill(out, 0);
    double total = 0;
    for (int i = 0; i < n; i++) {
      double exponent = (squared[i] - smallest) / (2 * v);
      if (exponent < REACH * REACH / 2) {
        double weight = Math.exp(-exponent);
        total += weight;
        for (int j = 0; j < x.length; j++) {
          out[j] += weight * points[i][j];
        }
      }
    }
    for (int j = 0; j < x.length; j++) {
      out[j] /= total;
    }
  }
}
