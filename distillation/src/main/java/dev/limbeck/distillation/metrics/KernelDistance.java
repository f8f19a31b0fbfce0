package dev.limbeck.distillation.metrics;

import dev.limbeck.tensor.ShapeException;

/**
 * The squared maximum mean discrepancy of two sets of features under the kernel {@code (x·y / d +
 * 1)³}: the kernel distance.
 *
 * <p>{@code Σ_{i≠j} k(xᵢ, xⱼ) / (n (n - 1)) + Σ_{i≠j} k(yᵢ, yⱼ) / (n (n - 1)) - 2 Σ_{ij} k(xᵢ, yⱼ)
 * / n²}, unbiased, so that it may be slightly negative; the mean over blocks of at most 1,000
 * vectors.
 *
 * @param value the distance
 * @param standardError of the mean over the blocks; NaN for a single block
 * @paper Bińkowski et al. 2018, arXiv 1801.01401, section 4
 * @cost 3·count·1,000·dimension multiply-adds
 */
public record KernelDistance(double value, double standardError) {
  private static final int BLOCK = 1000;

  /** The distance of two sets of at least two vectors each; left-over vectors are not used. */
  public static KernelDistance between(float[][] a, float[][] b) {
    Vectors.checkSame("kernel distance", a, b);
    int n = Math.min(a.length, b.length);
    if (n < 2) {
      throw new ShapeException("kernel distance: expects at least 2 vectors on either side");
    }
    int block = Math.min(BLOCK, n);
    int blocks = n / block;
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < blocks; i++) {
      double value = block(a, b, i * block, block);
      sum += value;
      squares += value * value;
    }
    double mean = sum / blocks;
    double variance = Math.max(0, squares / blocks - mean * mean) / (blocks - 1);
    return new KernelDistance(mean, blocks == 1 ? Double.NaN : Math.sqrt(variance));
  }

  private static double block(float[][] a, float[][] b, int from, int n) {
    double within = 0;
    double across = 0;
    for (int i = from; i < from + n; i++) {
      for (int j = from; j < from + n; j++) {
        across += kernel(a[i], b[j]);
        if (j < i) {
          within += 2 * (kernel(a[i], a[j]) + kernel(b[i], b[j]));
        }
      }
    }
    double count = n;
    return within / (count * (count - 1)) - 2 * across / (count * count);
  }

  private static double kernel(float[] x, float[] y) {
    double base = Vectors.dot(x, y) / x.length + 1;
    return base * base * base;
  }
}
