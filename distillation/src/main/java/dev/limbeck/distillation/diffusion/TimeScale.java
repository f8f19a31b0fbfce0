package dev.limbeck.distillation.diffusion;

/** Clocks on the diffusion process: increasing functions of the noise level. */
enum TimeScale {
  /**
   * The variance-preserving SDE's time with β(t) = 0.1 + 19.9 t: σ² = exp(β_d t²/2 + β_min t) − 1.
   *
   * @paper Song et al. 2021, arXiv 2011.13456, appendix C
   */
  VP {
    @Override
    double time(double sigma) {
      double log = Math.log1p(sigma * sigma);
      double root = Math.sqrt(BETA_MIN * BETA_MIN + 2 * BETA_D * log);
      // (√(β_min² + 2 β_d g) − β_min)/β_d without cancellation.
      return 2 * log / (root + BETA_MIN);
    }

    @Override
    double sigma(double time) {
      return Math.sqrt(Math.expm1(time * (BETA_D * time / 2 + BETA_MIN)));
    }
  },
  /** The cosine schedule's u, {@link NoiseLevels#cosineLogSnr}. */
  COSINE {
    @Override
    double time(double sigma) {
      double b = Math.atan(Math.exp(-NoiseLevels.LOG_SNR_MAX / 2));
      double a = Math.atan(Math.exp(NoiseLevels.LOG_SNR_MAX / 2)) - b;
      return Math.max(0, (Math.atan(sigma) - b) / a);
    }

    @Override
    double sigma(double time) {
      return time <= 0 ? 0 : Math.exp(-0.5 * NoiseLevels.cosineLogSnr(time));
    }
  },
  /** σ itself. */
  SIGMA {
    @Override
    double time(double sigma) {
      return sigma;
    }

    @Override
    double sigma(double time) {
      return time;
    }
  },
  /** ln σ, which has no value at σ = 0. */
  LOG {
    @Override
    double time(double sigma) {
      return Math.log(sigma);
    }

    @Override
    double sigma(double time) {
      return Math.exp(time);
    }
  };

  /** The slope of β(t) that the VP process is usually trained with. */
  static final double BETA_D = 19.9;

  /** β(0) that the VP process is usually trained with. */
  static final double BETA_MIN = 0.1;

  abstract double time(double sigma);

  abstract double sigma(double time);

  /** The clock that a sampler's {@link Tuning#TIME} names. */
  static TimeScale of(SamplerSettings settings) {
    return values()[settings.whole(Tuning.TIME)];
  }
}
