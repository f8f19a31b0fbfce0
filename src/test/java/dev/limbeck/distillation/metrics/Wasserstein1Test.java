package dev.limbeck.distillation.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Random;
import org.junit.jupiter.api.Test;

class Wasserstein1Test {
  private static double[][] points(Random random, int n, int d) {
    double[][] points = new double[n][d];
    for (double[] point : points) {
      for (int j = 0; j < d; j++) {
        point[j] = random.nextGaussian();
      }
    }
    return points;
  }

  /** The least cost over every permutation. */
  private static double exhaustive(double[][] cost, int row, boolean[] taken) {
    if (row == cost.length) {
      return 0;
    }
    double best = Double.POSITIVE_INFINITY;
    for (int j = 0; j < cost.length; j++) {
      if (!taken[j]) {
        taken[j] = true;
        best = Math.min(best, cost[row][j] + exhaustive(cost, row + 1, taken));
        taken[j] = false;
      }
    }
    return best;
  }

  @Test
  void assignmentIsTheBestOfAllPermutations() {
    Random random = new Random(1);
    for (int trial = 0; trial < 50; trial++) {
      double[][] cost = new double[7][7];
      for (double[] row : cost) {
        for (int j = 0; j < row.length; j++) {
          row[j] = random.nextInt(5) + random.nextDouble() * (trial % 2);
        }
      }
      int[] rowOf = Wasserstein1.assignment(cost);
      double sum = 0;
      for (int j = 0; j < rowOf.length; j++) {
        sum += cost[rowOf[j]][j];
      }
      assertEquals(exhaustive(cost, 0, new boolean[7]), sum, 1e-12);
    }
  }

  @Test
  void onTheLineTheOrderIsTheBestAssignment() {
    Random random = new Random(2);
    double[][] a = points(random, 200, 1);
    double[][] b = points(random, 200, 1);
    double[] first = new double[200];
    double[] second = new double[200];
    for (int i = 0; i < 200; i++) {
      first[i] = a[i][0];
      second[i] = b[i][0];
    }
    assertEquals(Wasserstein1.onLine(first, second), Wasserstein1.between(a, b), 1e-12);
  }

  @Test
  void aShiftCostsItsLength() {
    double[][] a = points(new Random(3), 300, 3);
    double[][] b = new double[300][];
    for (int i = 0; i < 300; i++) {
      b[299 - i] = new double[] {a[i][0] + .3, a[i][1] - .4, a[i][2]};
    }
    assertEquals(.5, Wasserstein1.between(a, b), 1e-12);
  }

  /** One point at 0 against the uniform distribution on [0, 1]: the mean of u. */
  @Test
  void toADistribution() {
    assertEquals(.5, Wasserstein1.onLine(new double[] {0}, u -> u, 100), 1e-12);
  }

  @Test
  void sizesMustAgree() {
    assertThrows(
        IllegalArgumentException.class,
        () -> Wasserstein1.onLine(new double[] {1}, new double[] {1, 2}));
  }
}
