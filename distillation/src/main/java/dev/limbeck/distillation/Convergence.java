package dev.limbeck.distillation;

import java.util.Arrays;

/**
 * How much sooner one training reaches the quality that another ends at.
 *
 * <p>The threshold is τ = 1.05 times the baseline's plateau, the median of the last quarter of its
 * evaluations; T(τ) is where a curve first is at or below τ, and the gain is T of the baseline over
 * T of the other. What the other has to do beforehand (DisBack's degradation) counts once and once
 * not.
 *
 * @param threshold τ
 * @param baseline where the baseline reaches it
 * @param other where the other does, what it did beforehand not counted
 * @param before what it did beforehand
 */
public record Convergence(double threshold, Cost baseline, Cost other, Cost before) {
  /** A curve is at its end when it stays within this factor. */
  public static final double TOLERANCE = 1.05;

  /** The share of a curve whose median is its plateau. */
  private static final int PLATEAU = 4;

  /** Iterations and wall time; infinite where a threshold is never reached. */
  public record Cost(double iterations, double seconds) {
    /** Nothing. */
    public static final Cost NONE = new Cost(0, 0);

    private static final Cost NEVER = new Cost(Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY);

    Cost plus(Cost more) {
      return new Cost(iterations + more.iterations, seconds + more.seconds);
    }

    /** How many times as large, one by one. */
    public Cost over(Cost divisor) {
      return new Cost(iterations / divisor.iterations, seconds / divisor.seconds);
    }

    /** Whether the threshold was reached at all. */
    public boolean isReached() {
      return Double.isFinite(iterations);
    }
  }

  /**
   * A metric, the lower the better, against what it took.
   *
   * @param spent in ascending order, what came beforehand not counted
   */
  public record Curve(Cost[] spent, double[] metric) {
    public Curve {
      if (spent.length != metric.length || metric.length == 0) {
        throw new IllegalArgumentException(
            "a curve needs as many costs as values and at least one, not "
                + spent.length
                + " and "
                + metric.length);
      }
    }

    /** The median of the last quarter. */
    public double plateau() {
      int n = Math.max(1, metric.length / PLATEAU);
      double[] last = Arrays.copyOfRange(metric, metric.length - n, metric.length);
      Arrays.sort(last);
      return (last[(n - 1) / 2] + last[n / 2]) / 2;
    }

    /** Where the metric first is at or below a threshold. */
    public Cost reaches(double threshold) {
      for (int i = 0; i < metric.length; i++) {
        if (metric[i] <= threshold) {
          return spent[i];
        }
      }
      return Cost.NEVER;
    }
  }

  /** Compares a curve with a baseline's. */
  public static Convergence of(Curve baseline, Curve other, Cost before) {
    double threshold = TOLERANCE * baseline.plateau();
    return new Convergence(
        threshold, baseline.reaches(threshold), other.reaches(threshold), before);
  }

  /** The gain, what was done beforehand not counted; 0 if the other never gets there. */
  public Cost gain() {
    return baseline.over(other);
  }

  /** The gain over everything that the other did. */
  public Cost gainWithCost() {
    return baseline.over(other.plus(before));
  }
}
