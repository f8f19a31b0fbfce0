package dev.limbeck.distillation.metrics;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Resources;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

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
  /** The statistics that come with this jar. */
  public static final String BUILT_IN = "features/reference.safetensors";

  private static final String MEAN = "mean";
  private static final String COVARIANCE = "covariance";
  private static final String COUNT = "count";

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

  // ---- files ----

  /** Writes a safetensors file, numbers as F32. */
  public void save(Path path, Map<String, String> metadata) {
    int d = dimension();
    float[] means = new float[d];
    float[] covariances = new float[d * d];
    for (int i = 0; i < d; i++) {
      means[i] = (float) mean[i];
      for (int j = 0; j < d; j++) {
        covariances[i * d + j] = (float) covariance[i][j];
      }
    }
    TensorFileWriter writer =
        TensorFile.writer()
            .add(MEAN, Shape.of(d), means)
            .add(COVARIANCE, Shape.of(d, d), covariances)
            .metadata(COUNT, Integer.toString(count));
    metadata.forEach(writer::metadata);
    try {
      writer.write(path);
    } catch (IOException e) {
      throw new DataException(e.getMessage(), e);
    }
  }

  /**
   * Reads what {@link #save} wrote.
   *
   * @throws DataException if the file holds no statistics
   */
  public static FeatureStatistics open(Path path) {
    try {
      return read(path, null);
    } catch (IOException e) {
      throw new DataException(e.getMessage(), e);
    }
  }

  /**
   * The statistics of the 60,000 training digits that come with this jar.
   *
   * @throws DataException if they are those of another extractor's features
   */
  public static FeatureStatistics builtIn(FeatureExtractor extractor) {
    return Resources.withPath(BUILT_IN, path -> read(path, extractor));
  }

  private static FeatureStatistics read(Path path, FeatureExtractor extractor) throws IOException {
    try (TensorFile file = TensorFile.open(path)) {
      String of = file.metadata().get("extractor");
      if (extractor != null && !extractor.hash().equals(of)) {
        throw new DataException(
            "the reference statistics are of extractor " + of + ", not " + extractor.hash());
      }
      float[] means = file.floats(MEAN);
      float[] covariances = file.floats(COVARIANCE);
      int d = means.length;
      if (covariances.length != d * d) {
        throw new DataException(path + ": the covariance is not of " + d + " by " + d);
      }
      double[] mean = new double[d];
      double[][] covariance = new double[d][d];
      for (int i = 0; i < d; i++) {
        mean[i] = means[i];
        for (int j = 0; j < d; j++) {
          covariance[i][j] = covariances[i * d + j];
        }
      }
      return new FeatureStatistics(countOf(path, file), mean, covariance);
    }
  }

  private static int countOf(Path path, TensorFile file) {
    try {
      return Integer.parseInt(file.metadata().getOrDefault(COUNT, ""));
    } catch (NumberFormatException e) {
      throw new DataException(path + ": it does not say of how many vectors it is", e);
    }
  }
}
