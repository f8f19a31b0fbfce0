package dev.limbeck.distillation.rates;

import dev.limbeck.tensor.Rng;
import org.apache.commons.math3.distribution.NormalDistribution;

/**
 * Equally likely normal distributions of one variance in every direction.
 *
 * @param means one centre for each component
 * @param variance of each coordinate within a component
 */
@SuppressWarnings("ArrayRecordComponent") // A distribution is sampled, never compared.
record Mixture(double[][] means, double variance) implements Denoised {
  /** N(0, 0.25) on the line: data of the deviation that EDM assumes. */
  static Mixture gaussian() {
    return new Mixture(new double[][] {{0}}, .25);
  }

  /** Two modes at ±0.4 on the first axis, of deviation 0.3: the first coordinate's is 0.5. */
  static Mixture twoModes(int dimension) {
    double[][] means = new double[2][dimension];
    means[0][0] = -.4;
    means[1][0] = .4;
    return new Mixture(means, .09);
  }

  int dimension() {
    return means[0].length;
  }

  double[][] draw(Rng rng, int n) {
    int d = dimension();
    float[] normal = new float[n * d];
    int[] component = new int[n];
    rng.normal(normal);
    rng.integers(component, means.length);
    double[][] points = new double[n][d];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < d; j++) {
        points[i][j] = means[component[i]][j] + Math.sqrt(variance) * normal[i * d + j];
      }
    }
    return points;
  }

  @Override
  public void at(double[] x, double sigma, double[] out) {
    double[] share = responsibilities(x, sigma);
    double shrink = variance / (variance + sigma * sigma);
    for (int j = 0; j < x.length; j++) {
      double sum = 0;
      for (int k = 0; k < means.length; k++) {
        sum += share[k] * (means[k][j] + shrink * (x[j] - means[k][j]));
      }
      out[j] = sum;
    }
  }

  /** P(component | x₀ + σ n = x). */
  double[] responsibilities(double[] x, double sigma) {
    double[] share = new double[means.length];
    double best = Double.NEGATIVE_INFINITY;
    for (int k = 0; k < share.length; k++) {
      double squared = 0;
      for (int j = 0; j < x.length; j++) {
        double difference = x[j] - means[k][j];
        squared += difference * difference;
      }
      share[k] = -.5 * squared / (variance + sigma * sigma);
      best = Math.max(best, share[k]);
    }
    double total = 0;
    for (int k = 0; k < share.length; k++) {
      share[k] = Math.exp(share[k] - best);
      total += share[k];
    }
    for (int k = 0; k < share.length; k++) {
      share[k] /= total;
    }
    return share;
  }

  /** The quantile function on the line, by bisection of the distribution function. */
  double quantile(double u) {
    double low = -8;
    double high = 8;
    while (high - low > 1e-12) {
      double middle = (low + high) / 2;
      if (cumulative(middle) < u) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return (low + high) / 2;
  }

  private double cumulative(double x) {
    NormalDistribution normal = new NormalDistribution(null, 0, Math.sqrt(variance));
    double sum = 0;
    for (double[] mean : means) {
      sum += normal.cumulativeProbability(x - mean[0]);
    }
    return sum / means.length;
  }
}
