package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.metrics.DigitClassifier;
import dev.limbeck.distillation.metrics.FeatureExtractor;
import dev.limbeck.distillation.metrics.FeatureStatistics;
import dev.limbeck.distillation.metrics.FrechetDistance;
import dev.limbeck.kernels.Device;
import java.util.function.IntConsumer;

/**
 * Measures models by the Fréchet distance of their samples' features to those of real images.
 *
 * @param reference statistics of the real images that everything is compared with
 * @param referenceText which images these are and how many
 * @param samples images drawn for each measurement
 */
public record Evaluation(
    FeatureExtractor extractor, FeatureStatistics reference, String referenceText, int samples) {
  /** Against the 60,000 training digits of MNIST, by the statistics that come with Limbeck. */
  public static Evaluation againstDigits(Device device, int samples) {
    DigitClassifier extractor = DigitClassifier.builtIn(device);
    FeatureStatistics digits = FeatureStatistics.builtIn(extractor);
    return new Evaluation(
        extractor, digits, "the " + digits.count() + " training digits of MNIST", samples);
  }

  /** Against every image of a data set. */
  public static Evaluation against(Device device, Dataset data, String name, int samples) {
    DigitClassifier extractor = DigitClassifier.builtIn(device);
    float[][] features = extractor.features(device, data, 0, data.count());
    String text = "the " + data.count() + " images of " + name;
    return new Evaluation(extractor, FeatureStatistics.of(features), text, samples);
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

  /** The Fréchet distance of any images to the reference. */
  public double distance(Device device, Dataset images) {
    float[][] features = extractor.features(device, images, 0, images.count());
    return FrechetDistance.between(FeatureStatistics.of(features), reference);
  }
}
