package dev.limbeck.distillation.metrics;

import dev.limbeck.distillation.data.Mixture;
import dev.limbeck.tensor.Rng;
import java.util.ArrayList;
import java.util.List;
import org.apache.commons.math3.distribution.ChiSquaredDistribution;

/**
 * Measures points against the mixture that they should come from.
 *
 * <p>Each point belongs to the component most responsible for it. The plain sliced Wasserstein
 * distance is governed by how many points each mode has and is blind to modes that are 10 % too
 * narrow; compared mode by mode, width and place are all that is left, and mass is reported by
 * itself.
 */
public final class MixtureEvaluation {
  /** Points drawn for each measurement. */
  public static final int SAMPLES = 10_000;

  /** Directions, the same for every comparison. */
  public static final int DIRECTIONS = 256;

  /** Pairs of fresh draws whose mean distance is the floor. */
  public static final int PAIRS = 16;

  /**
   * A point is an outlier beyond this quantile of the Mahalanobis distance of its component, whose
   * square has the χ² distribution: of exact samples one in a thousand is.
   */
  public static final double QUANTILE = 0.999;

  /** Fresh draws that points are compared with; the mean square is taken. */
  private static final int REFERENCES = 4;

  /** Where the floor's draws begin, apart from the references. */
  private static final int FLOOR_STREAM = 1000;

  private final Mixture mixture;
  private final double sigma;
  private final int samples;
  private final double farthest;
  private final List<float[][][]> references = new ArrayList<>();
  private MixtureScore floor;

  /** Draws as many points as are to be measured. */
  public MixtureEvaluation(Mixture mixture, int samples) {
    this.mixture = mixture;
    this.samples = samples;
    // The noise that EDM's samplers stop at, for data of EDM's deviation: it gives modes without
    // width one.
    this.sigma = mixture.deviation() * 0.002 / 0.5;
    ChiSquaredDistribution squares = new ChiSquaredDistribution(mixture.dimension());
    farthest = squares.inverseCumulativeProbability(QUANTILE);
    for (int i = 0; i < REFERENCES; i++) {
      references.add(modes(fresh(i)));
    }
  }

  /** How many points are measured. */
  public int samples() {
    return samples;
  }

  private float[] fresh(int number) {
    return mixture.draw(Rng.of(0).split(number), samples).points();
  }

  /** What exact samples score: the mean over pairs of fresh draws. */
  public synchronized MixtureScore floor() {
    if (floor == null) {
      double within = 0;
      double mass = 0;
      double outliers = 0;
      for (int i = 0; i < PAIRS; i++) {
        float[] one = fresh(FLOOR_STREAM + 2 * i);
        float[][][] other = modes(fresh(FLOOR_STREAM + 2 * i + 1));
        within += Math.sqrt(squaredWithin(modes(one), other)) / PAIRS;
        mass += massError(modes(one), samples) / PAIRS;
        outliers += outliers(one) / PAIRS;
      }
      floor = new MixtureScore(within, mass, outliers);
    }
    return floor;
  }

  /**
   * The score of points.
   *
   * @param points [n·d]
   */
  public MixtureScore score(float[] points) {
    float[][][] own = modes(points);
    double square = 0;
    for (float[][][] reference : references) {
      square += squaredWithin(own, reference) / REFERENCES;
    }
    int n = points.length / mixture.dimension();
    return new MixtureScore(Math.sqrt(square), massError(own, n), outliers(points));
  }

  /** The points of each component, as vectors. */
  private float[][][] modes(float[] points) {
    int d = mixture.dimension();
    List<List<float[]>> found = new ArrayList<>();
    for (int k = 0; k < mixture.components(); k++) {
      found.add(new ArrayList<>());
    }
    for (int at = 0; at < points.length; at += d) {
      float[] point = new float[d];
      System.arraycopy(points, at, point, 0, d);
      found.get((int) nearest(points, at)[0]).add(point);
    }
    return found.stream().map(mode -> mode.toArray(float[][]::new)).toArray(float[][][]::new);
  }

  /** The component most responsible for a point, and the squared distance to it. */
  private double[] nearest(float[] points, int at) {
    double best = Double.NEGATIVE_INFINITY;
    double[] found = {0, Double.POSITIVE_INFINITY};
    for (int k = 0; k < mixture.components(); k++) {
      double[] log = mixture.logDensity(k, points, at, sigma);
      if (log[0] > best) {
        best = log[0];
        found[0] = k;
        found[1] = log[1];
      }
    }
    return found;
  }

  private double squaredWithin(float[][][] a, float[][][] b) {
    double sum = 0;
    double weights = 0;
    for (int k = 0; k < a.length; k++) {
      if (a[k].length > 0 && b[k].length > 0) {
        double distance = SlicedWasserstein.between(a[k], b[k], DIRECTIONS, 0);
        sum += mixture.weight(k) * distance * distance;
        weights += mixture.weight(k);
      }
    }
    return sum / weights;
  }

  private double massError(float[][][] modes, int n) {
    double largest = 0;
    for (int k = 0; k < modes.length; k++) {
      double share = (double) modes[k].length / n;
      largest = Math.max(largest, Math.abs(share - mixture.weight(k)));
    }
    return largest;
  }

  private double outliers(float[] points) {
    int count = 0;
    int d = mixture.dimension();
    for (int at = 0; at < points.length; at += d) {
      count += nearest(points, at)[1] > farthest ? 1 : 0;
    }
    return (double) count * d / points.length;
  }
}
