package dev.limbeck.distillation.metrics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DigitClassifierTest {
  private static CpuDevice device;

  @TempDir Path folder;

  @BeforeAll
  static void open() {
    device = CpuDevice.open(true, 2);
  }

  @AfterAll
  static void close() {
    assertEquals(0, device.memory().liveBuffers());
    device.close();
  }

  @Test
  void builtInWeightsReadDigitsAndMatchTheirReference() {
    try (DigitClassifier classifier = DigitClassifier.builtIn(device)) {
      FeatureStatistics reference = FeatureStatistics.builtIn(classifier);
      assertEquals(60_000, reference.count());
      Dataset digits = Datasets.mnist().spread(1000);
      float[][] features = classifier.features(device, digits, 0, digits.count());
      int[] predicted = classifier.predict(features);
      int right = 0;
      for (int i = 0; i < predicted.length; i++) {
        right += predicted[i] == digits.label(i) ? 1 : 0;
      }
      // 98.6 % of all test digits; two standard errors of a thousand are 0.7 %.
      assertTrue(right >= 975, right + " of 1000 digits are told apart");
      double floor = FrechetDistance.between(FeatureStatistics.of(features), reference);
      // 0.42 with 5,000 digits; fewer digits estimate the covariance worse.
      assertTrue(floor < 5, "real digits score " + floor);
      double negatives = score(classifier, reference, digits);
      assertTrue(negatives > 20 * floor, "negatives score " + negatives + ", digits " + floor);
    }
  }

  /** The score of white-on-black turned into black-on-white. */
  private static double score(
      DigitClassifier classifier, FeatureStatistics reference, Dataset digits) {
    float[] pixels = digits.images(Dataset.range(0, digits.count()));
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = -pixels[i];
    }
    Dataset negatives =
        Dataset.ofFloats("negatives", new int[] {digits.count(), 28, 28, 1}, pixels, null);
    float[][] features = classifier.features(device, negatives, 0, negatives.count());
    return FrechetDistance.between(FeatureStatistics.of(features), reference);
  }

  @Test
  void everySizeOfADigitHasTheSameFeatures() {
    try (DigitClassifier classifier = DigitClassifier.builtIn(device)) {
      Dataset digits = Datasets.mnist().select(3, 4);
      float[][] expected = classifier.features(device, digits, 0, 2);
      for (Dataset other : new Dataset[] {digits.fitted(32), digits.fitted(16)}) {
        float[][] features = classifier.features(device, other, 0, 2);
        assertArrayEquals(expected[0], features[0], 1e-4f);
        assertArrayEquals(expected[1], features[1], 1e-4f);
      }
    }
  }

  @Test
  void savedWeightsAreReadBackBitByBit() throws IOException {
    Path file = folder.resolve("c.safetensors");
    try (DigitClassifier first = DigitClassifier.random(device, Rng.of(3));
        DigitClassifier other = DigitClassifier.random(device, Rng.of(4))) {
      first.save(file, Map.of("trained_on", "nothing"));
      assertNotEquals(first.hash(), other.hash());
      try (DigitClassifier second = DigitClassifier.open(device, file)) {
        assertEquals(first.hash(), second.hash());
      }
      try (TensorFile stored = TensorFile.open(file)) {
        assertEquals(Shape.of(40, 24, 3, 3), stored.shape("conv1.weight"));
      }
      TensorFile.writer().add("x", Shape.of(1), new float[] {1}).write(file);
      assertThrows(DataException.class, () -> DigitClassifier.open(device, file));
    }
    Path missing = folder.resolve("missing");
    assertThrows(DataException.class, () -> DigitClassifier.open(device, missing));
  }

  @Test
  void statisticsOfAnotherExtractorAreRefused() {
    try (DigitClassifier other = DigitClassifier.random(device, Rng.of(1))) {
      assertThrows(DataException.class, () -> FeatureStatistics.builtIn(other));
    }
  }

  @Test
  void savedStatisticsAreReadBack() {
    FeatureStatistics s = FeatureStatistics.of(new float[][] {{1, 2}, {3, 8}, {5, 2}});
    Path file = folder.resolve("s.safetensors");
    s.save(file, Map.of("extractor", "none"));
    FeatureStatistics read = FeatureStatistics.open(file);
    assertEquals(3, read.count());
    assertArrayEquals(s.mean(), read.mean());
    assertArrayEquals(s.covariance()[1], read.covariance()[1]);
  }

  /** Grey in three channels is grey; green counts for 0.587; two channels are no image. */
  @Test
  void coloursAreSeenByTheirLuma() {
    try (DigitClassifier classifier = DigitClassifier.random(device, Rng.of(1));
        Scope scope = Scope.open()) {
      float[] one = new float[256];
      Rng.of(2).uniform(one);
      float[] grey = new float[768];
      float[] green = new float[768];
      float[] dim = new float[256];
      for (int i = 0; i < one.length; i++) {
        Arrays.fill(grey, 3 * i, 3 * i + 3, one[i]);
        green[3 * i + 1] = one[i];
        dim[i] = .587f * one[i];
      }
      // The shares of the luma add up to 1, and round alike, in F32's last places.
      Shape colours = Shape.of(1, 16, 16, 3);
      Shape single = Shape.of(1, 16, 16, 1);
      assertArrayEquals(
          classifier.features(Tensor.of(device, single, one))[0],
          classifier.features(Tensor.of(device, colours, grey))[0],
          1e-5f);
      assertArrayEquals(
          classifier.features(Tensor.of(device, single, dim))[0],
          classifier.features(Tensor.of(device, colours, green))[0],
          1e-5f);
      Tensor two = Tensor.zeros(device, Shape.of(1, 16, 16, 2));
      assertThrows(ShapeException.class, () -> classifier.features(two));
    }
  }

  @Test
  void trainingLearnsAndIsReproducible() {
    Dataset train = Datasets.mnist().spread(640);
    Dataset test = Datasets.mnist().select(Dataset.range(1, 400));
    FeatureTraining.Config config = new FeatureTraining.Config(12, 32, 2e-3f, 7);
    FeatureTraining.Result first = new FeatureTraining(device, train, test, config).run();
    assertTrue(first.testAccuracy() > 0.5, "accuracy " + first.testAccuracy());
    FeatureTraining.Config brief = new FeatureTraining.Config(1, 32, 2e-3f, 7);
    FeatureTraining.Result second = new FeatureTraining(device, test, test, brief).run();
    FeatureTraining.Result third = new FeatureTraining(device, test, test, brief).run();
    assertEquals(second.classifier().hash(), third.classifier().hash());
    third.save(folder.resolve("new/features"));
    FeatureStatistics saved =
        FeatureStatistics.open(folder.resolve("new/features/reference.safetensors"));
    assertEquals(0, FrechetDistance.between(saved, third.reference()), 1e-4);
    first.classifier().close();
    second.classifier().close();
    third.classifier().close();
    Dataset unlabelled = Dataset.ofBytes("u", new int[] {1, 2, 2, 1}, new byte[4], null);
    assertThrows(DataException.class, () -> new FeatureTraining(device, unlabelled, test, brief));
  }
}
