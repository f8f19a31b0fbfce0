package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.NoiseLevels;
import java.util.Arrays;
import org.apache.commons.math3.special.Erf;

/**
 * How finely consistency training divides the noise levels as it goes on, and which of them it
 * draws: functions of the step alone.
 */
public final class ConsistencySchedule {
  private ConsistencySchedule() {}

  /** The number N of noise levels at each step. */
  public sealed interface Nodes {
    /** N at step k of K, at least 2. */
    int at(long step, long steps);
  }

  private static void checkRange(int first, int last) {
    if (first < 1 || last < first) {
      throw new IllegalArgumentException(
          "numbers of noise levels rise from 1 or more, not from " + first + " to " + last);
    }
  }

  /** Always the same number. */
  public record Fixed(int count) implements Nodes {
    public Fixed {
      if (count < 2) {
        throw new IllegalArgumentException(
            "consistency needs at least two noise levels to compare, not " + count);
      }
    }

    @Override
    public int at(long step, long steps) {
      return count;
    }
  }

  /**
   * N(k) = ⌈√(k/K·((s₁+1)² − s₀²) + s₀²) − 1⌉ + 1: about s₀ at first, s₁ + 1 in the end.
   *
   * @paper Song et al. 2023, arXiv 2303.01469, appendix C
   */
  public record SquareRoot(int first, int last) implements Nodes {
    public SquareRoot {
      checkRange(first, last);
    }

    @Override
    public int at(long step, long steps) {
      double start = (double) first * first;
      double end = (last + 1.0) * (last + 1.0);
      double root = Math.sqrt((double) step / steps * (end - start) + start);
      return (int) Math.max(1, Math.ceil(root - 1)) + 1;
    }
  }

  /**
   * N(k) = min(s₀·2^⌊k/K'⌋, s₁) + 1 with K' = ⌊K/(log₂⌊s₁/s₀⌋ + 1)⌋: doubled again and again.
   *
   * @paper Song and Dhariwal 2023, arXiv 2310.14189, equation 9
   */
  public record Doubling(int first, int last) implements Nodes {
    public Doubling {
      checkRange(first, last);
    }

    /** K', the steps between two doublings. */
    public long period(long steps) {
      int ratio = last / first; // rounded down, as published
      double octaves = Math.log(ratio) / Math.log(2);
      return Math.max(1, (long) Math.floor(steps / (octaves + 1)));
    }

    @Override
    public int at(long step, long steps) {
      long doublings = Math.min(step / period(steps), Integer.SIZE);
      return (int) Math.min((long) first << doublings, last) + 1;
    }
  }

  /** The decay μ of the target network's moving average at each step. */
  public sealed interface Decay {
    /** μ at a step for which there are so many noise levels. */
    double at(int nodes);
  }

  /** Always the same; 0 makes the target the student itself, without gradient. */
  public record Constant(double decay) implements Decay {
    /** The student itself is the target. */
    public static final Constant STOP_GRADIENT = new Constant(0);

    @Override
    public double at(int nodes) {
      return decay;
    }
  }

  /**
   * μ(k) = exp(s₀ ln μ₀ / N(k)): μ₀ at first, nearer to 1 as the levels lie closer.
   *
   * @param first s₀, the first number of levels
   * @param decay μ₀
   * @param byIntervals whether N(k) − 1 stands below the line, as in the code released with the
   *     paper
   * @paper Song et al. 2023, arXiv 2303.01469, appendix C
   */
  public record Adaptive(int first, double decay, boolean byIntervals) implements Decay {
    @Override
    public double at(int nodes) {
      return Math.exp(first * Math.log(decay) / (byIntervals ? nodes - 1 : nodes));
    }
  }

  // ---- which levels ----

  /** Which pair of neighbouring levels is compared. */
  public sealed interface Draw {
    /**
     * P(pair ≤ i) for the pairs of an ascending grid, the last of which is 1.
     *
     * @param ascending noise levels
     */
    double[] cumulative(double[] ascending);
  }

  /** Each pair as likely as the other. */
  public record Uniform() implements Draw {
    @Override
    public double[] cumulative(double[] ascending) {
      double[] sums = new double[ascending.length - 1];
      for (int i = 0; i < sums.length; i++) {
        sums[i] = (i + 1.0) / sums.length;
      }
      return sums;
    }
  }

  /**
   * A normal distribution of ln σ on the grid: p_i ∝ erf((ln σ_{i+1} − m)/(√2 s)) − erf((ln σ_i −
   * m)/(√2 s)).
   *
   * @paper Song and Dhariwal 2023, arXiv 2310.14189, section 3.5
   */
  public record LogNormal(double mean, double deviation) implements Draw {
    @Override
    public double[] cumulative(double[] ascending) {
      double[] at = new double[ascending.length];
      for (int i = 0; i < at.length; i++) {
        at[i] = Erf.erf((Math.log(ascending[i]) - mean) / (Math.sqrt(2) * deviation));
      }
      double[] sums = new double[at.length - 1];
      for (int i = 0; i < sums.length; i++) {
        sums[i] = (at[i + 1] - at[0]) / (at[at.length - 1] - at[0]);
      }
      return sums;
    }
  }

  /** The pair to which a uniform number belongs. */
  static int draw(double[] cumulative, double uniform) {
    int found = Arrays.binarySearch(cumulative, uniform);
    int pair = found >= 0 ? found + 1 : -found - 1;
    return Math.min(pair, cumulative.length - 1);
  }

  /** Karras et al.'s levels from the smallest to the largest. */
  static double[] ascending(int nodes, double sigmaMin, double sigmaMax) {
    double[] descending = NoiseLevels.karras(nodes, sigmaMin, sigmaMax, NoiseLevels.RHO);
    double[] ascending = new double[nodes];
    for (int i = 0; i < nodes; i++) {
      ascending[i] = descending[nodes - 1 - i];
    }
    return ascending;
  }
}
