package dev.limbeck.distillation.diffusion;

import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Brownian motion over noise levels, one path for each number of each sample, that can be asked
 * anywhere and answers the same whatever else was asked: grids of any number of steps see one path.
 *
 * <p>B runs on the clock τ(σ) = σ^{−2r}, so that for r = η the noise of a step of the reverse SDE
 * with stochasticity η, σ_t e^{−ηλ_t} (B(τ_t) − B(τ_s)) with λ = −ln σ, is its exact stochastic
 * integral, and noises of successive steps add up to that of one long step.
 *
 * <p>It is a virtual Brownian tree without state: a binary tree halves −log₂ σ over a fixed range,
 * each node adds a bridge's deviation times a normal number of its own stream, and so does the leaf
 * at the asked point. Hence B(τ) is a known linear combination of {@code DEPTH + 2} normal numbers,
 * and its law is exactly that of Brownian motion for grids with at most one level in each leaf, a
 * {@code 2^-8} part of an octave.
 *
 * @paper Li et al. 2020, Scalable gradients for stochastic differential equations, arXiv
 *     2001.01328, section 4
 * @cost about 20 normal numbers for each number of a step
 */
public final class BrownianPath {
  /** log₂ of the largest level that can be asked for; the cosine schedule begins at 2^14.4. */
  private static final int HIGH = 18;

  /** log₂ of the smallest one. */
  private static final int LOW = -14;

  /** Leaves are 2^(−13) of 32 octaves: a thousand steps from 80 to 0.002 take 1/65 octave each. */
  private static final int DEPTH = 13;

  /** Shares of an increment that are beyond float precision of unit noise. */
  private static final double NOTHING = 1e-9;

  private final Rng rng;
  private final long firstRow;
  private final double rate;

  /**
   * The path of a stream.
   *
   * @param firstRow number of the sample that the first row of a batch is
   * @param rate r in the clock σ^{−2r}
   */
  public BrownianPath(Rng rng, long firstRow, double rate) {
    if (!(rate > 0)) {
      throw new IllegalArgumentException(
          "a Brownian path's clock has to run, its rate is " + rate + " and should be above 0");
    }
    this.rng = rng;
    this.firstRow = firstRow;
    this.rate = rate;
  }

  /** The same path for a batch that begins with this row of the whole one. */
  BrownianPath from(int row) {
    return new BrownianPath(rng, firstRow + row, rate);
  }

  /**
   * The increment between two levels over its deviation, (B(τ(to)) − B(τ(from)))/√(τ(to) −
   * τ(from)): standard normal numbers.
   *
   * @param to a smaller level
   * @shape like the given tensor
   */
  public Tensor unit(Tensor like, double from, double to) {
    double deviation = Math.sqrt(clock(at(to)) - clock(at(from)));
    return combine(like, increment(from, to), deviation);
  }

  /** The increment B(τ(to)) − B(τ(from)) itself. */
  Tensor increment(Tensor like, double from, double to) {
    return combine(like, increment(from, to), 1);
  }

  private Tensor combine(Tensor like, Map<Long, Double> weights, double over) {
    try (Scope scope = Scope.open()) {
      Tensor sum = null;
      for (Map.Entry<Long, Double> each : weights.entrySet()) {
        double weight = each.getValue() / over;
        if (Math.abs(weight) < NOTHING) {
          continue;
        }
        Tensor n = rng.split(each.getKey()).normalRows(like.device(), like.shape(), firstRow);
        if (sum == null) {
          sum = n.mul((float) weight);
        } else {
          sum.addInPlace((float) weight, n);
        }
        n.close();
      }
      return scope.keep(sum);
    }
  }

  /** What each node's normal number contributes. */
  private Map<Long, Double> increment(double from, double to) {
    if (!(to < from)) {
      throw new IllegalArgumentException(
          "a Brownian path runs towards less noise, not from level " + from + " to " + to);
    }
    Map<Long, Double> weights = new LinkedHashMap<>();
    add(weights, at(to), 1);
    add(weights, at(from), -1);
    return weights;
  }

  /** Adds the weights of B at a place. */
  private void add(Map<Long, Double> weights, double place, double sign) {
    double a = -HIGH;
    double b = -LOW;
    double[] atA = new double[DEPTH + 2];
    double[] atB = new double[DEPTH + 2];
    long node = 1;
    atB[0] = Math.sqrt(clock(b) - clock(a));
    weights.merge(0L, 0.0, Double::sum);
    long[] nodes = new long[DEPTH + 2];
    for (int level = 1; level <= DEPTH; level++) {
      double middle = (a + b) / 2;
      double[] inside = bridge(a, middle, b, atA, atB, level);
      nodes[level] = node;
      if (place < middle) {
        b = middle;
        atB = inside;
        node = 2 * node;
      } else {
        a = middle;
        atA = inside;
        node = 2 * node + 1;
      }
    }
    nodes[DEPTH + 1] = node;
    double[] here = bridge(a, place, b, atA, atB, DEPTH + 1);
    for (int level = 0; level < here.length; level++) {
      weights.merge(nodes[level], sign * here[level], Double::sum);
    }
  }

  /** Brownian motion between two known values: the mean between them and a deviation. */
  private double[] bridge(
      double a, double middle, double b, double[] atA, double[] atB, int level) {
    double whole = clock(b) - clock(a);
    double left = clock(middle) - clock(a);
    double right = clock(b) - clock(middle);
    double[] inside = new double[atA.length];
    for (int i = 0; i < level; i++) {
      inside[i] = (right * atA[i] + left * atB[i]) / whole;
    }
    inside[level] = Math.sqrt(left * right / whole);
    return inside;
  }

  /** −log₂ σ. */
  private static double at(double sigma) {
    double place = -Math.log(sigma) / Math.log(2);
    if (!(place >= -HIGH && place <= -LOW)) {
      throw new IllegalArgumentException(
          "samplers with noise work on levels between 2^"
              + LOW
              + " and 2^"
              + HIGH
              + ", not "
              + sigma);
    }
    return place;
  }

  /** τ at a place: σ^{−2r} = 2^{2r·place}. */
  private double clock(double place) {
    return Math.exp(2 * rate * place * Math.log(2));
  }
}
