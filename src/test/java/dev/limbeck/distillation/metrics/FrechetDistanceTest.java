package dev.limbeck.distillation.metrics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.limbeck.tensor.ShapeException;
import java.util.Random;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.RealMatrix;
import org.junit.jupiter.api.Test;

class FrechetDistanceTest {
  private static FeatureStatistics diagonal(double mean, double... variances) {
    double[] m = new double[variances.length];
    double[][] c = new double[variances.length][variances.length];
    for (int i = 0; i < variances.length; i++) {
      m[i] = mean;
      c[i][i] = variances[i];
    }
    return new FeatureStatistics(10, m, c);
  }

  @Test
  void diagonalGaussiansHaveTheClosedForm() {
    // Σ (m₁ - m₂)² + (s₁ - s₂)²
    FeatureStatistics a = diagonal(1, 4, 9, 0);
    FeatureStatistics b = diagonal(3, 1, 9, 25);
    assertEquals(3 * 4 + 1 + 0 + 25, FrechetDistance.between(a, b), 1e-9);
    assertEquals(0, FrechetDistance.between(a, a), 1e-9);
  }

  @Test
  void distanceIsSymmetricAndInvariantUnderRotation() {
    FeatureStatistics a = FeatureStatistics.of(random(200, 1));
    FeatureStatistics b = FeatureStatistics.of(random(150, 2));
    double distance = FrechetDistance.between(a, b);
    assertEquals(distance, FrechetDistance.between(b, a), 1e-8);
    assertEquals(distance, FrechetDistance.between(rotated(a), rotated(b)), 1e-8);
  }

  private static float[][] random(int count, long seed) {
    Random random = new Random(seed);
    float[][] rows = new float[count][2];
    for (float[] row : rows) {
      row[0] = (float) random.nextGaussian();
      row[1] = (float) (row[0] * seed + 0.3 * random.nextGaussian());
    }
    return rows;
  }

  private static FeatureStatistics rotated(FeatureStatistics s) {
    double cos = Math.cos(0.7);
    double sin = Math.sin(0.7);
    RealMatrix q = new Array2DRowRealMatrix(new double[][] {{cos, -sin}, {sin, cos}});
    RealMatrix c = q.multiply(new Array2DRowRealMatrix(s.covariance())).multiply(q.transpose());
    return new FeatureStatistics(s.count(), q.operate(s.mean()), c.getData());
  }

  @Test
  void statisticsAreTheUnbiasedOnes() {
    FeatureStatistics s = FeatureStatistics.of(new float[][] {{1, 2}, {3, 8}, {5, 2}});
    assertArrayEquals(new double[] {3, 4}, s.mean(), 1e-12);
    assertArrayEquals(new double[] {4, 0}, s.covariance()[0], 1e-12);
    assertArrayEquals(new double[] {0, 12}, s.covariance()[1], 1e-12);
  }

  @Test
  void singularCovariancesDoNoHarm() {
    float[][] line = new float[50][64];
    for (int i = 0; i < line.length; i++) {
      java.util.Arrays.fill(line[i], i);
    }
    FeatureStatistics s = FeatureStatistics.of(line);
    assertEquals(0, FrechetDistance.between(s, s), 1e-6 * s.covariance()[0][0] * 64);
  }

  @Test
  void differentDimensionsAreRefused() {
    assertThrows(
        ShapeException.class,
        () -> FrechetDistance.between(diagonal(0, 1, 1), diagonal(0, 1, 1, 1)));
  }
}
