package dev.limbeck.distillation.metrics;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Tensor;

/** Maps images to the feature vectors on which they are compared. */
public interface FeatureExtractor {
  /** Images a call when a whole data set is mapped. */
  int BATCH = 250;

  /** Identifies weights and preprocessing; recorded next to every number. */
  String hash();

  /** Length of a feature vector. */
  int dimension();

  /**
   * The feature vectors of a batch.
   *
   * @param images {@code [N, height, width, channels]} in [-1, 1], of any size the extractor takes
   * @return {@code [N][dimension]}
   */
  float[][] features(Tensor images);

  /** The feature vectors of images {@code [from, to)} of a data set. */
  default float[][] features(Device device, Dataset data, int from, int to) {
    float[][] all = new float[to - from][];
    for (int start = from; start < to; start += BATCH) {
      int end = Math.min(to, start + BATCH);
      try (Scope scope = Scope.open()) {
        float[][] some = features(data.images(device, Dataset.range(start, end)));
        System.arraycopy(some, 0, all, start - from, some.length);
      }
    }
    return all;
  }
}
