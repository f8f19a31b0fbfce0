package dev.limbeck.distillation.metrics;

import dev.limbeck.tensor.ShapeException;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.EigenDecomposition;
import org.apache.commons.math3.linear.RealMatrix;

/**
 * The Fréchet distance of two sets of features, taken as Gaussians.
 *
 * <p>{@code |m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁^½ C₂ C₁^½)^½)}; the product is symmetric, so that the
 * trace of its root is the sum of the roots of its eigenvalues, and singular covariances do no
 * harm.
 *
 * @paper Heusel et al. 2017, arXiv 1706.08500, equation 6
 * @cost two symmetric eigendecompositions, O(dimension³)
 */
public final class FrechetDistance {
  private FrechetDistance() {}

  /** The squared distance of two sets of statistics, as FID reports it; never negative. */
  public static double between(FeatureStatistics a, FeatureStatistics b) {
    int d = a.dimension();
    if (b.dimension() != d) {
      throw new ShapeException(
          "frechet distance: features have " + d + " and " + b.dimension() + " elements");
    }
    double distance = 0;
    for (int i = 0; i < d; i++) {
      double difference = a.mean()[i] - b.mean()[i];
      distance += difference * difference + a.covariance()[i][i] + b.covariance()[i][i];
    }
    RealMatrix root = squareRoot(new Array2DRowRealMatrix(a.covariance(), false));
    RealMatrix product =
        root.multiply(new Array2DRowRealMatrix(b.covariance(), false)).multiply(root);
    for (double eigenvalue : eigen(product).getRealEigenvalues()) {
      // Rounding makes the zero eigenvalues of a singular product slightly negative.
      distance -= 2 * Math.sqrt(Math.max(0, eigenvalue));
    }
    return Math.max(0, distance);
  }

  /** The symmetric root of a symmetric, positive semidefinite matrix. */
  static RealMatrix squareRoot(RealMatrix symmetric) {
    EigenDecomposition eigen = eigen(symmetric);
    RealMatrix vectors = eigen.getV();
    RealMatrix scaled = vectors.copy();
    double[] values = eigen.getRealEigenvalues();
    for (int j = 0; j < values.length; j++) {
      double root = Math.sqrt(Math.max(0, values[j]));
      for (int i = 0; i < values.length; i++) {
        scaled.multiplyEntry(i, j, root);
      }
    }
    return scaled.multiply(vectors.transpose());
  }

  /** Decomposes the symmetric part, since a product's rounding is not symmetric. */
  private static EigenDecomposition eigen(RealMatrix matrix) {
    for (int i = 0; i < matrix.getRowDimension(); i++) {
      for (int j = 0; j < matrix.getColumnDimension(); j++) {
        if (!Double.isFinite(matrix.getEntry(i, j))) {
          throw new ArithmeticException("frechet distance: the covariance is not finite");
        }
      }
    }
    return new EigenDecomposition(matrix.add(matrix.transpose()).scalarMultiply(0.5));
  }
}
