package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.kernels.Device;
import org.junit.jupiter.api.Test;

class EvaluationTest {
  /** Files that take turns between two kinds of images, as MNIST does between groups of writers. */
  @Test
  void halvesOfInterleavedDataAreAlike() {
    Dataset digits = Datasets.mnist();
    int[] zeros = first(digits, 0);
    int[] ones = first(digits, 1);
    int[] turns = new int[2 * zeros.length];
    for (int i = 0; i < zeros.length; i++) {
      turns[2 * i] = zeros[i];
      turns[2 * i + 1] = ones[i];
    }
    Dataset data = digits.select(turns);
    Evaluation evaluation = Evaluation.against(Device.cpu(), data, "turns", data.count());
    int[] count = new int[2];
    for (int i = 0; i < evaluation.heldOut().count(); i++) {
      count[evaluation.heldOut().label(i)]++;
    }
    assertEquals(zeros.length, count[0] + count[1]);
    // Of a hundred drawn from two hundred, 50 ± 3.5 are of one kind; by turns it would be 0 or 100.
    assertTrue(Math.min(count[0], count[1]) > zeros.length / 4, count[0] + " and " + count[1]);
    Evaluation again = Evaluation.against(Device.cpu(), data, "turns", data.count());
    assertArrayEquals(
        evaluation.heldOut().images(Dataset.range(0, 10)),
        again.heldOut().images(Dataset.range(0, 10)));
  }

  private static int[] first(Dataset data, int label) {
    int[] found = new int[100];
    int count = 0;
    for (int i = 0; count < found.length; i++) {
      if (data.label(i) == label) {
        found[count++] = i;
      }
    }
    return found;
  }
}
