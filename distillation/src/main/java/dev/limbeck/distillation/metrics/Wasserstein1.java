package dev.limbeck.distillation.metrics;

import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;

/**
 * The Wasserstein-1 distance, exact: the least mean distance over which one set of points has to be
 * carried to become the other.
 *
 * @paper Villani 2009, "Optimal transport", definition 6.1
 */
public final class Wasserstein1 {
  private Wasserstein1() {}

  /**
   * Of two samples of one size on the line: the mean of |a_(i) − b_(i)| over both in order.
   *
   * @throws IllegalArgumentException if the sizes differ
   */
  public static double onLine(double[] a, double[] b) {
    checkSizes(a.length, b.length);
    double[] first = a.clone();
    double[] second = b.clone();
    Arrays.sort(first);
    Arrays.sort(second);
    double sum = 0;
    for (int i = 0; i < first.length; i++) {
      sum += Math.abs(first[i] - second[i]);
    }
    return sum / first.length;
  }

  /**
   * Of a sample on the line to a distribution with quantile function q: ∫₀¹ |a(u) − q(u)| du, each
   * of the sample's steps by the midpoint rule.
   *
   * @param parts of the midpoint rule in each step
   */
  public static double onLine(double[] a, DoubleUnaryOperator quantile, int parts) {
    double[] sorted = a.clone();
    Arrays.sort(sorted);
    double n = (double) sorted.length * parts;
    double sum = 0;
    for (int i = 0; i < sorted.length; i++) {
      for (int k = 0; k < parts; k++) {
        double u = ((double) i * parts + k + .5) / n;
        sum += Math.abs(sorted[i] - quantile.applyAsDouble(u));
      }
    }
    return sum / n;
  }

  /**
   * Of two samples of one size in any dimension, by the best assignment of their points to one
   * another.
   *
   * @cost at worst n³ for n points
   * @throws IllegalArgumentException if the sizes differ
   */
  public static double between(double[][] a, double[][] b) {
    checkSizes(a.length, b.length);
    int n = a.length;
    double[][] cost = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        cost[i][j] = distance(a[i], b[j]);
      }
    }
    int[] rowOf = assignment(cost);
    double sum = 0;
    for (int j = 0; j < n; j++) {
      sum += cost[rowOf[j]][j];
    }
    return sum / n;
  }

  private static void checkSizes(int a, int b) {
    if (a != b || a == 0) {
      throw new IllegalArgumentException(
          "wasserstein: samples of one size are needed, there are " + a + " and " + b + " points");
    }
  }

  private static double distance(double[] a, double[] b) {
    double sum = 0;
    for (int k = 0; k < a.length; k++) {
      double difference = a[k] - b[k];
      sum += difference * difference;
    }
    return Math.sqrt(sum);
  }

  /**
   * For each column the row of the assignment of least cost: rows are added one by one along the
   * shortest augmenting path, by Dijkstra's algorithm on costs reduced by the dual prices.
   */
  static int[] assignment(double[][] cost) {
    int n = cost.length;
    double[] rowPrice = new double[n];
    double[] columnPrice = new double[n];
    int[] rowOf = new int[n];
    Arrays.fill(rowOf, -1);
    double[] shortest = new double[n];
    int[] before = new int[n];
    boolean[] done = new boolean[n];
    for (int row = 0; row < n; row++) {
      Arrays.fill(shortest, Double.POSITIVE_INFINITY);
      Arrays.fill(before, -1);
      Arrays.fill(done, false);
      int from = row;
      int column = -1;
      double length = 0;
      while (from >= 0) {
        int best = -1;
        for (int j = 0; j < n; j++) {
          if (done[j]) {
            continue;
          }
          double through = length + cost[from][j] - rowPrice[from] - columnPrice[j];
          if (through < shortest[j]) {
            shortest[j] = through;
            before[j] = column;
          }
          if (best < 0 || shortest[j] < shortest[best]) {
            best = j;
          }
        }
        length = shortest[best];
        column = best;
        done[best] = true;
        from = rowOf[best];
      }
      rowPrice[row] += length;
      for (int j = 0; j < n; j++) {
        if (done[j] && j != column) {
          rowPrice[rowOf[j]] += length - shortest[j];
          columnPrice[j] -= length - shortest[j];
        }
      }
      while (column >= 0) {
        int previous = before[column];
        rowOf[column] = previous < 0 ? row : rowOf[previous];
        column = previous;
      }
    }
    return rowOf;
  }
}
