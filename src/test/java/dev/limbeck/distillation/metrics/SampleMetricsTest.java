package dev.limbeck.distillation.metrics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.tensor.ShapeException;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SampleMetricsTest {
  private static float[][] normal(int count, int dimension, double shift, long seed) {
    Random random = new Random(seed);
    float[][] rows = new float[count][dimension];
    for (float[] row : rows) {
      for (int i = 0; i < dimension; i++) {
        row[i] = (float) (random.nextGaussian() + shift);
      }
    }
    return rows;
  }

  // ---- kernel distance ----

  @Test
  void kernelDistanceOfTwoPairsIsWhatOneComputesByHand() {
    // k(x, y) = (x y + 1)³: within a 1·0+1 → 1, within b 2·3+1 → 343, across (1, 1, 27, 64).
    float[][] a = {{0}, {1}};
    float[][] b = {{2}, {3}};
    double expected = 1 + 343 - 2 * (1 + 1 + 27 + 64) / 4.0;
    assertEquals(expected, KernelDistance.between(a, b).value(), 1e-9);
  }

  @Test
  void kernelDistanceIsUnbiased() {
    double sum = 0;
    int trials = 200;
    for (int i = 0; i < trials; i++) {
      sum += KernelDistance.between(normal(20, 4, 0, 2L * i), normal(20, 4, 0, 2L * i + 1)).value();
    }
    // Biased, the mean would be about 2 (E k(x,x) - E k(x,y)) / 20, well above 0.5.
    assertEquals(0, sum / trials, 0.15);
    assertTrue(KernelDistance.between(normal(2000, 4, 0, 1), normal(2000, 4, 1, 2)).value() > 1);
  }

  @Test
  void kernelDistanceSaysHowSureItIs() {
    KernelDistance one = KernelDistance.between(normal(500, 2, 0, 1), normal(500, 2, 0, 2));
    assertTrue(Double.isNaN(one.standardError()));
    KernelDistance two = KernelDistance.between(normal(2000, 2, 0, 1), normal(2500, 2, 0, 2));
    assertTrue(two.standardError() > 0 && Math.abs(two.value()) < 1, two.toString());
  }

  // ---- precision and recall ----

  @Test
  void aCollapsedGeneratorIsPreciseAndRecallsLittle() {
    float[][] real = normal(300, 2, 0, 1);
    float[][] collapsed = new float[100][2];
    for (int i = 0; i < collapsed.length; i++) {
      collapsed[i] = new float[] {i * 1e-4f, 0};
    }
    PrecisionRecall p = PrecisionRecall.of(real, collapsed);
    assertEquals(1, p.precision(), 0.02);
    assertTrue(p.recall() < 0.02, p.toString());
    PrecisionRecall far = PrecisionRecall.of(real, normal(100, 2, 50, 2));
    assertEquals(new PrecisionRecall(0, 0), far);
    assertEquals(new PrecisionRecall(1, 1), PrecisionRecall.of(real, real));
  }

  @Test
  void ballsReachToTheKthNeighbour() {
    // Radii for k = 2 on 0, 1, 3: 3, 2, 3; for k = 1: 1, 1, 2.
    float[][] line = {{0}, {1}, {3}};
    assertEquals(
        0.5, PrecisionRecall.of(line, new float[][] {{5.5f}, {5}, {-2}, {-1}}, 1).precision());
    assertEquals(1, PrecisionRecall.of(line, new float[][] {{5.5f}, {5}, {-3}}, 2).precision());
    assertThrows(IllegalArgumentException.class, () -> PrecisionRecall.of(line, line, 3));
  }

  // ---- sliced Wasserstein ----

  @Test
  void shiftsAreMeasuredByTheirLength() {
    // A shift by s along a line costs |s|; in d dimensions each direction sees s cos, so s / √d.
    float[][] a = normal(100, 1, 0, 1);
    float[][] b = normal(100, 1, 0, 1);
    for (float[] row : b) {
      row[0] += 3;
    }
    assertEquals(3, SlicedWasserstein.between(a, b, 5, 0), 1e-5);
    float[][] c = normal(50, 16, 0, 1);
    float[][] d = normal(50, 16, 0, 1);
    for (float[] row : d) {
      row[7] -= 3;
    }
    assertEquals(3 / 4.0, SlicedWasserstein.between(c, d, 2000, 0), 0.05);
    assertEquals(SlicedWasserstein.between(c, d, 10, 5), SlicedWasserstein.between(c, d, 10, 5), 0);
  }

  @Test
  void setsOfDifferentSizesAreComparedExactly() {
    // Quantiles of {0, 1} and {0, 0, 1, 1, 1, 1}: differ by 1 on u in [1/3, 1/2).
    float[][] two = {{0}, {1}};
    float[][] six = {{1}, {0}, {1}, {0}, {1}, {1}};
    assertEquals(Math.sqrt(1 / 6.0), SlicedWasserstein.between(two, six, 3, 0), 1e-9);
    assertEquals(0, SlicedWasserstein.between(two, new float[][] {{1}, {0}, {0}, {1}}, 3, 0));
  }

  // ---- modes ----

  @Test
  void divergenceIsKullbackAndLeiblers() {
    ModeHistogram p = ModeHistogram.of(new int[] {0, 0, 0, 1}, 3);
    ModeHistogram q = new ModeHistogram(new int[] {10, 10, 20});
    assertArrayEquals(new int[] {3, 1, 0}, p.counts());
    assertEquals(1, p.missing());
    assertEquals(0.75 * Math.log(3) + 0.25 * Math.log(1), p.divergenceFrom(q), 1e-12);
    assertEquals(Double.POSITIVE_INFINITY, q.divergenceFrom(p));
    assertEquals(0, q.divergenceFrom(q), 1e-12);
  }

  @Test
  void vectorsOfDifferentLengthAreRefused() {
    float[][] a = normal(10, 2, 0, 1);
    float[][] b = normal(10, 3, 0, 1);
    assertThrows(ShapeException.class, () -> KernelDistance.between(a, b));
    assertThrows(ShapeException.class, () -> PrecisionRecall.of(a, b));
    assertThrows(ShapeException.class, () -> SlicedWasserstein.between(a, b, 1, 0));
    assertThrows(ShapeException.class, () -> SlicedWasserstein.between(a, new float[0][], 1, 0));
  }
}
