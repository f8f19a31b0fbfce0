package dev.limbeck.distillation;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.metrics.DigitClassifier;
import dev.limbeck.distillation.metrics.FeatureExtractor;
import dev.limbeck.distillation.metrics.FeatureStatistics;
import dev.limbeck.distillation.metrics.FrechetDistance;
import dev.limbeck.distillation.metrics.KernelDistance;
import dev.limbeck.distillation.metrics.PrecisionRecall;
import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Rng;
import java.util.Arrays;
import java.util.function.IntConsumer;

/**
 * Measures models by the Fréchet distance of their samples' features to those of real images.
 *
 * @param reference statistics of the real images that everything is compared with
 * @param referenceText which images these are and how many
 * @param heldOut real images that the reference does not hold: their distance is the floor
 * @param samples images drawn for each measurement
 */
public record Evaluation(
    FeatureExtractor extractor,
    FeatureStatistics reference,
    String referenceText,
    Dataset heldOut,
    int samples) {
  /** Against the 60,000 training digits of MNIST, by the statistics that come with Limbeck. */
  public static Evaluation againstDigits(Device device, int samples) {
    DigitClassifier extractor = DigitClassifier.builtIn(device);
    FeatureStatistics digits = FeatureStatistics.builtIn(extractor);
    return new Evaluation(
        extractor,
        digits,
        "the " + digits.count() + " training digits of MNIST",
        spread(Datasets.mnist(), samples),
        samples);
  }

  /**
   * Against one half of a data set; the other is held out. The halves are drawn at random, the same
   * in each run: files have an order (MNIST's takes turns between two groups of writers), and a
   * rule such as every second image would compare unlike halves.
   */
  public static Evaluation against(Device device, Dataset data, String name, int samples) {
    DigitClassifier extractor = DigitClassifier.builtIn(device);
    if (data.count() < 4) {
      throw new DataException(
          "data " + name + ": " + data.count() + " images are too few to measure distances");
    }
    int[] order = Rng.of(0).permutation(data.count());
    int middle = (order.length + 1) / 2;
    Dataset half = data.select(Arrays.copyOf(order, middle));
    float[][] features = extractor.features(device, half, 0, half.count());
    return new Evaluation(
        extractor,
        FeatureStatistics.of(features),
        "a random half of " + name + " (" + half.count() + ")",
        spread(data.select(Arrays.copyOfRange(order, middle, order.length)), samples),
        samples);
  }

  private static Dataset spread(Dataset data, int samples) {
    return data.spread(Math.min(samples, data.count()));
  }

  /**
   * What was measured of a model.
   *
   * @param nfe evaluations of the network for each image
   * @param fd the Fréchet distance
   * @param secondsPerImage wall time of sampling over the number of images
   */
  public record Score(int nfe, double fd, double secondsPerImage) {}

  /** Draws from a model and measures. */
  public Score measure(Device device, Generation generation, long seed, IntConsumer progress) {
    long start = System.nanoTime();
    Dataset drawn = generation.draw(device, seed, samples, progress);
    double seconds = (System.nanoTime() - start) / 1e9 / samples;
    return new Score(generation.sampler().evaluations(), distance(device, drawn), seconds);
  }

  /**
   * Everything that is measured of a model's samples: against the reference, and against the images
   * held out.
   *
   * @param kernel distance to the images held out
   * @param inside precision and recall among the images held out
   */
  public record Quality(Score score, KernelDistance kernel, PrecisionRecall inside) {}

  /** Draws from a model and measures everything. */
  public Quality quality(Device device, Generation generation, long seed) {
    long start = System.nanoTime();
    Dataset drawn = generation.draw(device, seed, samples, done -> {});
    double seconds = (System.nanoTime() - start) / 1e9 / samples;
    float[][] features = extractor.features(device, drawn, 0, drawn.count());
    float[][] real = extractor.features(device, heldOut, 0, heldOut.count());
    double fd = FrechetDistance.between(FeatureStatistics.of(features), reference);
    return new Quality(
        new Score(generation.sampler().evaluations(), fd, seconds),
        KernelDistance.between(features, real),
        PrecisionRecall.of(real, features));
  }

  /** The distance of the images held out. */
  public double floor(Device device) {
    return distance(device, heldOut);
  }

  /** The Fréchet distance of any images to the reference. */
  public double distance(Device device, Dataset images) {
    float[][] features = extractor.features(device, images, 0, images.count());
    return FrechetDistance.between(FeatureStatistics.of(features), reference);
  }
}
