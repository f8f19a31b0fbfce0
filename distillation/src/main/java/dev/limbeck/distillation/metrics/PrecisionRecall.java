package dev.limbeck.distillation.metrics;

import java.util.Arrays;

/**
 * How much of what is generated looks real, and how much of what is real is generated.
 *
 * <p>A set's manifold is the union of balls around its vectors, each reaching to the k-th nearest
 * other vector of the set. Precision is the share of generated vectors inside the real manifold,
 * recall the share of real vectors inside the generated one.
 *
 * @paper Kynkäänniemi et al. 2019, arXiv 1904.06991, equations 1 and 2
 * @cost (real² + generated²)/2 + real·generated distances
 */
public record PrecisionRecall(double precision, double recall) {
  /** The paper's choice of k. */
  public static final int NEIGHBOURS = 3;

  /** Both shares for k = 3. */
  public static PrecisionRecall of(float[][] real, float[][] generated) {
    return of(real, generated, NEIGHBOURS);
  }

  /** Both shares; each set needs more than k vectors. */
  public static PrecisionRecall of(float[][] real, float[][] generated, int k) {
    Vectors.checkSame("precision and recall", real, generated);
    if (k < 1 || real.length <= k || generated.length <= k) {
      throw new IllegalArgumentException(
          "precision and recall: k = "
              + k
              + " needs more than k vectors on either side, there are "
              + real.length
              + " and "
              + generated.length);
    }
    double[] realRadii = radii(real, k);
    double[] generatedRadii = radii(generated, k);
    boolean[] looksReal = new boolean[generated.length];
    boolean[] isGenerated = new boolean[real.length];
    for (int r = 0; r < real.length; r++) {
      for (int g = 0; g < generated.length; g++) {
        double distance = Vectors.squaredDistance(real[r], generated[g]);
        looksReal[g] |= distance <= realRadii[r];
        isGenerated[r] |= distance <= generatedRadii[g];
      }
    }
    return new PrecisionRecall(share(looksReal), share(isGenerated));
  }

  private static double share(boolean[] set) {
    int count = 0;
    for (boolean b : set) {
      count += b ? 1 : 0;
    }
    return (double) count / set.length;
  }

  /** The squared distance of each vector to its k-th nearest other one. */
  private static double[] radii(float[][] vectors, int k) {
    int n = vectors.length;
    // Row i: the k smallest distances so far, in ascending order.
    double[][] nearest = new double[n][k];
    for (double[] row : nearest) {
      Arrays.fill(row, Double.POSITIVE_INFINITY);
    }
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < i; j++) {
        double distance = Vectors.squaredDistance(vectors[i], vectors[j]);
        insert(nearest[i], distance);
        insert(nearest[j], distance);
      }
    }
    double[] radii = new double[n];
    for (int i = 0; i < n; i++) {
      radii[i] = nearest[i][k - 1];
    }
    return radii;
  }

  private static void insert(double[] ascending, double value) {
    int i = ascending.length - 1;
    if (value >= ascending[i]) {
      return;
    }
    for (; i > 0 && ascending[i - 1] > value; i--) {
      ascending[i] = ascending[i - 1];
    }
    ascending[i] = value;
  }
}
