package dev.limbeck.distillation.diffusion;

import java.util.Arrays;

/**
 * The noise levels σ_t = √((1 − ᾱ_t)/ᾱ_t) of processes in T discrete steps, t = 0 … T−1, and how
 * samplers pick some of them.
 *
 * <p>Tables rise with t; grids fall and end in 0, so that samplers land on clean data and not on
 * level 0 of the table.
 *
 * @unit σ, in units of the data
 */
public final class DiscreteLevels {
  /** Steps of the process in DDPM and in Stable Diffusion. */
  public static final int STEPS = 1000;

  /** DDIM steps of the teacher that a latent consistency model skips through. */
  public static final int LCM_ORIGIN = 50;

  private DiscreteLevels() {}

  /**
   * DDPM's table: β rises linearly from 10⁻⁴ to 0.02 in 1000 steps.
   *
   * @paper Ho et al. 2020, arXiv 2006.11239, section 4
   */
  public static double[] ddpm() {
    return linear(STEPS, 1e-4, 0.02);
  }

  /**
   * The table of Stable Diffusion, which latent consistency models use: √β rises linearly, β from
   * 0.00085 to 0.012, in 1000 steps.
   *
   * @paper Rombach et al. 2022, arXiv 2112.10752
   */
  public static double[] latent() {
    return scaledLinear(STEPS, 0.00085, 0.012);
  }

  /** The table where β rises linearly. */
  public static double[] linear(int steps, double first, double last) {
    double[] betas = new double[steps];
    for (int t = 0; t < steps; t++) {
      betas[t] = first + (last - first) * t / Math.max(1, steps - 1);
    }
    return ofBetas(betas);
  }

  /** The table where √β rises linearly. */
  public static double[] scaledLinear(int steps, double first, double last) {
    double[] betas = new double[steps];
    double a = Math.sqrt(first);
    double b = Math.sqrt(last);
    for (int t = 0; t < steps; t++) {
      double root = a + (b - a) * t / Math.max(1, steps - 1);
      betas[t] = root * root;
    }
    return ofBetas(betas);
  }

  /** The table of any β: ᾱ_t = Π_{s ≤ t} (1 − β_s). */
  public static double[] ofBetas(double[] betas) {
    double[] sigmas = new double[betas.length];
    double log = 0;
    for (int t = 0; t < betas.length; t++) {
      if (!(betas[t] > 0 && betas[t] < 1)) {
        throw new IllegalArgumentException(
            "β has to lie between 0 and 1, number " + t + " is " + betas[t]);
      }
      log += Math.log1p(-betas[t]);
      sigmas[t] = Math.sqrt(Math.expm1(-log));
    }
    return sigmas;
  }

  /** The levels at these times, and a final 0. */
  public static double[] at(double[] table, int... times) {
    double[] sigmas = new double[times.length + 1];
    for (int i = 0; i < times.length; i++) {
      sigmas[i] = table[times[i]];
    }
    return sigmas;
  }

  /**
   * n levels at times evenly spaced from T−1 to 0, between those of the table by their logarithms,
   * and a final 0.
   */
  public static double[] uniform(double[] table, int n) {
    NoiseLevels.checkCount(n);
    double[] sigmas = new double[n + 1];
    int last = table.length - 1;
    for (int i = 0; i < n; i++) {
      double time = n == 1 ? last : last * (1 - (double) i / (n - 1));
      int low = Math.min((int) time, last - 1);
      double share = time - low;
      sigmas[i] = Math.exp((1 - share) * Math.log(table[low]) + share * Math.log(table[low + 1]));
    }
    return sigmas;
  }

  /** Every T/n-th level of the table from its end, and a final 0: no level near 0. */
  public static double[] simple(double[] table, int n) {
    NoiseLevels.checkCount(n);
    checkAtMost(n, table.length);
    double[] sigmas = new double[n + 1];
    for (int i = 0; i < n; i++) {
      sigmas[i] = table[table.length - 1 - (int) ((long) i * table.length / n)];
    }
    return sigmas;
  }

  /**
   * The times of n steps of a latent consistency model: ⌊i·S/n⌋-th of the S = 50 times 999, 979, …,
   * 19 for i = 0 … n−1.
   *
   * @paper Luo et al. 2023, arXiv 2310.04378; the choice of times is that of the released scheduler
   */
  public static int[] lcmTimes(int n) {
    NoiseLevels.checkCount(n);
    checkAtMost(n, LCM_ORIGIN);
    int skip = STEPS / LCM_ORIGIN;
    int[] times = new int[n];
    Arrays.setAll(times, i -> STEPS - 1 - skip * (i * LCM_ORIGIN / n));
    return times;
  }

  private static void checkAtMost(int n, int most) {
    if (n > most) {
      throw new IllegalArgumentException("this grid has at most " + most + " levels, not " + n);
    }
  }
}
