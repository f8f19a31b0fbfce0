package dev.limbeck.distillation.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Tensor;
import org.junit.jupiter.api.Test;

class DatasetTest {
  private static final byte WHITE = (byte) 255;

  private static Dataset two() {
    byte[] pixels = {0, WHITE, 51, 102, WHITE, WHITE, 0, 0};
    return Dataset.ofBytes("two", new int[] {2, 2, 2, 1}, pixels, new int[] {3, 1});
  }

  @Test
  void bytesBecomeValuesFromMinusOneToOne() {
    Dataset data = two();
    assertArrayEquals(new float[] {-1, 1, -0.6f, -0.2f}, data.images(0), 1e-6f);
    assertEquals(4, data.classes());
    for (int b = 0; b < 256; b++) {
      assertEquals((byte) b, Dataset.toByte(Dataset.toFloat((byte) b)));
    }
    assertEquals(0, Dataset.toByte(Float.NaN));
    assertEquals(WHITE, Dataset.toByte(Float.POSITIVE_INFINITY));
  }

  @Test
  void batchesAreTensorsInTheOrderAskedFor() {
    try (CpuDevice device = CpuDevice.open(false, 1);
        Tensor images = two().images(device, 1, 0);
        Tensor labels = two().labels(device, 1, 0)) {
      assertEquals("[2,2,2,1]", images.shape().toString());
      assertEquals(1f, images.toFloats()[0]);
      assertArrayEquals(new int[] {1, 3}, labels.toInts());
      Dataset unlabelled = Dataset.ofBytes("u", new int[] {1, 1, 1, 1}, new byte[1], null);
      assertNull(unlabelled.labels(device, 0));
    }
  }

  @Test
  void paddingCentresOnBlackAndHalvingAverages() {
    Dataset padded = two().padded(4);
    float[] first = padded.images(0);
    assertEquals(-1f, first[0]);
    assertEquals(1f, first[6]);
    assertEquals(-0.2f, first[10], 1e-6f);
    Dataset small = padded.resized(2);
    assertArrayEquals(new float[] {-1, -0.5f, -0.9f, -0.8f}, small.images(0), 1e-6f);
    assertThrows(DataException.class, () -> two().padded(1));
  }

  @Test
  void fittedDigitsArePaddedToThirtyTwoAndThenHalved() {
    Dataset mnist = Datasets.mnist().select(0, 1, 2);
    assertEquals(mnist.padded(32).resized(16).hash(), mnist.fitted(16).hash());
    assertEquals(mnist.padded(32).hash(), mnist.fitted(32).hash());
    assertEquals(mnist.hash(), mnist.fitted(28).hash());
  }

  @Test
  void areaResizeKeepsTheMeanForAnyPairOfSizes() {
    float[] image = new float[7 * 5 * 2];
    for (int i = 0; i < image.length; i++) {
      image[i] = (float) Math.sin(i);
    }
    for (int[] to : new int[][] {{3, 4}, {5, 2}, {9, 11}, {7, 5}, {1, 1}}) {
      float[] resized = new float[to[0] * to[1] * 2];
      new AreaResize(7, 5, to[0], to[1], 2).apply(image, 0, resized, 0);
      for (int c = 0; c < 2; c++) {
        assertEquals(mean(image, c), mean(resized, c), 1e-6, to[0] + "×" + to[1]);
      }
    }
  }

  private static double mean(float[] image, int channel) {
    double sum = 0;
    for (int i = channel; i < image.length; i += 2) {
      sum += image[i];
    }
    return sum / (image.length / 2.0);
  }

  @Test
  void hashTellsContentsApart() {
    byte[] pixels = {0, WHITE, 51, 102, WHITE, WHITE, 0, 1};
    Dataset other = Dataset.ofBytes("two", new int[] {2, 2, 2, 1}, pixels, new int[] {3, 1});
    assertNotEquals(two().hash(), other.hash());
    assertNotEquals(two().hash(), two().select(1, 0).hash());
    assertEquals(two().hash(), two().select(0, 1).hash());
  }

  @Test
  void wrongCountsAndLabelsAreRefused() {
    int[] shape = {2, 1, 1, 1};
    assertThrows(DataException.class, () -> Dataset.ofBytes("x", shape, new byte[3], null));
    assertThrows(
        DataException.class, () -> Dataset.ofBytes("x", shape, new byte[2], new int[] {1}));
    assertThrows(
        DataException.class, () -> Dataset.ofBytes("x", shape, new byte[2], new int[] {1, -1}));
    DataException e =
        assertThrows(
            DataException.class,
            () -> Dataset.ofFloats("x", new int[] {0, 1, 1, 1}, new float[0], null));
    assertTrue(e.getMessage().contains("no image"));
  }
}
