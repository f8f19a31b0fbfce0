package dev.limbeck.distillation.diffusion;

import java.util.Locale;

/** Grids of n steps by name; each ends in 0. */
public enum NoiseGrid {
  /** Karras et al.'s, ρ = 7. */
  KARRAS("Karras et al., rho 7") {
    @Override
    double[] falling(int n, double sigmaMin, double sigmaMax) {
      return NoiseLevels.karras(n, sigmaMin, sigmaMax, NoiseLevels.RHO);
    }
  },
  /** Evenly spaced in ln σ. */
  EXPONENTIAL("even in ln sigma") {
    @Override
    double[] falling(int n, double sigmaMin, double sigmaMax) {
      return NoiseLevels.exponential(n, sigmaMin, sigmaMax);
    }
  },
  /** Squares of even spacing, in ln(σ/σ_min). */
  POLYEXPONENTIAL("even in the root of ln(sigma/sigma_min)") {
    @Override
    double[] falling(int n, double sigmaMin, double sigmaMax) {
      return NoiseLevels.polyexponential(n, sigmaMin, sigmaMax, 2);
    }
  },
  /** Evenly spaced in σ. */
  LINEAR("even in sigma") {
    @Override
    double[] falling(int n, double sigmaMin, double sigmaMax) {
      return NoiseLevels.karras(n, sigmaMin, sigmaMax, 1);
    }
  },
  /** Evenly spaced in the VP process's time, over the range of levels. */
  VP("even in the time of the VP process") {
    @Override
    double[] falling(int n, double sigmaMin, double sigmaMax) {
      return NoiseLevels.even(n, TimeScale.VP, sigmaMin, sigmaMax);
    }
  },
  /** Evenly spaced in the cosine schedule's time, over the range of levels. */
  COSINE("even in the time of the cosine schedule") {
    @Override
    double[] falling(int n, double sigmaMin, double sigmaMax) {
      return NoiseLevels.even(n, TimeScale.COSINE, sigmaMin, sigmaMax);
    }
  },
  /** Even times of DDPM's table; the range does not matter. */
  DDPM("even times of DDPM's 1000") {
    @Override
    public double[] levels(int n, double sigmaMin, double sigmaMax) {
      return DiscreteLevels.uniform(DiscreteLevels.ddpm(), n);
    }
  },
  /** Every so many levels of Stable Diffusion's table; the range does not matter. */
  SIMPLE("every so many of Stable Diffusion's 1000") {
    @Override
    public double[] levels(int n, double sigmaMin, double sigmaMax) {
      return DiscreteLevels.simple(DiscreteLevels.latent(), n);
    }
  },
  /** The times of latent consistency models; the range does not matter. */
  LCM("latent consistency models' times") {
    @Override
    public double[] levels(int n, double sigmaMin, double sigmaMax) {
      return DiscreteLevels.at(DiscreteLevels.latent(), DiscreteLevels.lcmTimes(n));
    }
  };

  private final String summary;

  NoiseGrid(String summary) {
    this.summary = summary;
  }

  /** The name in texts. */
  public String text() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** One line about it. */
  public String summary() {
    return summary;
  }

  /** n levels, without a final 0. */
  double[] falling(int n, double sigmaMin, double sigmaMax) {
    throw new UnsupportedOperationException(text());
  }

  /**
   * n levels from σ_max to σ_min and a final 0; a single level is σ_max.
   *
   * @throws IllegalArgumentException if there are no such levels
   */
  public double[] levels(int n, double sigmaMin, double sigmaMax) {
    if (!(sigmaMin > 0 && sigmaMin < sigmaMax && sigmaMax < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException(
          "noise levels go from a largest to a smallest one above 0, not from "
              + sigmaMax
              + " to "
              + sigmaMin);
    }
    return NoiseLevels.toZero(n == 1 ? new double[] {sigmaMax} : falling(n, sigmaMin, sigmaMax));
  }
}
