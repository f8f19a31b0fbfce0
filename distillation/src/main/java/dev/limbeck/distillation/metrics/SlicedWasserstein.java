package dev.limbeck.distillation.metrics;

import dev.limbeck.tensor.Rng;
import java.util.Arrays;

/**
 * The Wasserstein-2 distance of two sets of vectors, averaged over directions.
 *
 * <p>{@code √(mean over directions θ of ∫₀¹ (F_θ⁻¹(u) - G_θ⁻¹(u))² du)}, where F and G are the
 * distributions of the projections; exact for sets of different sizes too.
 *
 * @paper Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters of measures", section 3
 * @cost directions · count · (dimension + log count)
 */
public final class SlicedWasserstein {
  private SlicedWasserstein() {}

  /** The distance over {@code directions} directions drawn from the seed. */
  public static double between(float[][] a, float[][] b, int directions, long seed) {
    Vectors.checkSame("sliced wasserstein", a, b);
    Rng rng = Rng.of(seed);
    float[] direction = new float[a[0].length];
    double sum = 0;
    for (int d = 0; d < directions; d++) {
      rng.normal(direction);
      double norm = Math.sqrt(Vectors.dot(direction, direction));
      double[] first = projected(a, direction, norm);
      double[] second = projected(b, direction, norm);
      sum += squaredDistance(first, second);
    }
    return Math.sqrt(sum / directions);
  }

  private static double[] projected(float[][] vectors, float[] direction, double norm) {
    double[] values = new double[vectors.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = Vectors.dot(vectors[i], direction) / norm;
    }
    Arrays.sort(values);
    return values;
  }

  /** The integral over the steps of both quantile functions; both arrays ascend. */
  private static double squaredDistance(double[] a, double[] b) {
    double sum = 0;
    // Positions count in units of 1 / (n m), so that both step functions meet exactly.
    long at = 0;
    long end = (long) a.length * b.length;
    while (at < end) {
      int i = (int) (at / b.length);
      int j = (int) (at / a.length);
      long next = Math.min((i + 1L) * b.length, (j + 1L) * a.length);
      double difference = a[i] - b[j];
      sum += difference * difference * (next - at);
      at = next;
    }
    return sum / end;
  }
}
