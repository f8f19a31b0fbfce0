package dev.limbeck.distillation.metrics;

import dev.limbeck.tensor.ShapeException;

/**
 * Mean and covariance of feature vectors, in double.
 *
 * <p>{@code mean = Σ x / n}, {@code covariance = Σ (x - mean)(x - mean)ᵀ / (n - 1)}.
 *
 * @param count number of vectors
 * @param mean {@code [dimension]}
 * @param covariance {@code [dimension][dimension]}, symmetric
 */
@SuppressWarnings("ArrayRecordComponent") // Statistics are compared by distances only.
public record FeatureStatistics(int count, double[] mean, double[][] covariance) {
  public FeatureStatistics {
    if (covariance.length != mean.length) {
      throw new ShapeException(
          "feature statistics: mean has "
              + mean.length
              + " elements, covariance "
              + covariance.length
              + " rows");
    }
  }

  /** The statistics of at least two vectors, {@code [count][dimension]}. */
  public static FeatureStatistics of(float[][] features) {
    int n = features.length;
    if (n < 2) {
      throw new ShapeException("feature statistics: expects at least 2 vectors, got " + n);
    }
    int d = features[0].length;
    double[] mean = new double[d];
    for (float[] row : features) {
      for (int i = 0; i < d; i++) {
        mean[i] += row[i];
      }
    }
    for (int i = 0; i < d; i++) {
      mean[i] /= n;
    }
    double[][] covariance = new double[d][d];
    double[] centred = new double[d];
    for (float[] row : features) {
      for (int i = 0; i < d; i++) {
        centred[i] = row[i] - mean[i];
      }
      for (int i = 0; i < d; i++) {
        double value = centred[i];
        double[] to = covariance[i];
        for (int j = 0; j <= i; j++) {
          to[j] += value * centred[j];
        }
      }
    }
    for (int i = 0; i < d; i++) {
      for (int j = 0; j <= i; j++) {
        covariance[i][j] /= n - 1;
        covariance[j][i] = covariance[i][j];
      }
    }
    return new FeatureStatistics(n, mean, covariance);
  }

  /** Length of a feature vector. */
  public int dimension() {
    return mean.length;
  }
}
