package dev.limbeck.distillation.diffusion;

import java.util.Arrays;
import java.util.Locale;

/**
 * How a network's raw output F becomes a denoiser: D(x, σ) = c_skip x + c_out F(c_in x, c_noise).
 *
 * <p>All four are functions of σ. A network trained to predict ε, v or x₀ on the
 * variance-preserving process z = (x₀ + σ n)/√(1+σ²) is such a denoiser too.
 */
public interface Preconditioning {
  double skip(double sigma);

  double out(double sigma);

  double in(double sigma);

  /** The network's noise input. */
  double noise(double sigma);

  /** Whether the network answers twice the data's channels, F and G: D has c_second G besides. */
  default boolean isDouble() {
    return false;
  }

  /** The factor of the second answer. */
  default double second(double sigma) {
    return 0;
  }

  /** What {@link #parse} reads. */
  String text();

  /**
   * Reads what {@link #text} wrote, as in {@code edm 0.5}.
   *
   * @throws IllegalArgumentException if it is anything else
   */
  static Preconditioning parse(String text) {
    String[] words = text.trim().split("\\s+");
    try {
      return switch (words[0]) {
        case "edm" -> new Edm(Double.parseDouble(words[1]));
        case "trigflow" -> new TrigFlow(Double.parseDouble(words[1]));
        case "scaled" ->
            new Scaled(
                Double.parseDouble(words[1]),
                parse(String.join(" ", Arrays.copyOfRange(words, 2, words.length))));
        case "consistency" ->
            new Consistency(Double.parseDouble(words[1]), Double.parseDouble(words[2]));
        default -> Vp.valueOf(words[0].toUpperCase(Locale.ROOT));
      };
    } catch (IllegalArgumentException | ArrayIndexOutOfBoundsException e) {
      throw new IllegalArgumentException("\"" + text + "\" does not name a preconditioning", e);
    }
  }

  /**
   * The weight that makes the loss on F uniform over σ: 1/c_out².
   *
   * @paper Karras et al. 2022, arXiv 2206.00364, section 5
   */
  default double lossWeight(double sigma) {
    double out = out(sigma);
    return 1 / (out * out);
  }

  /**
   * EDM's: unit-variance input and training target for data of standard deviation σ_d.
   *
   * @paper Karras et al. 2022, arXiv 2206.00364, table 1
   */
  record Edm(double sigmaData) implements Preconditioning {
    /** The data's standard deviation that EDM assumes for images in [−1, 1]. */
    public static final double SIGMA_DATA = 0.5;

    public Edm() {
      this(SIGMA_DATA);
    }

    @Override
    public double skip(double sigma) {
      return sigmaData * sigmaData / (sigma * sigma + sigmaData * sigmaData);
    }

    @Override
    public double out(double sigma) {
      return sigma * sigmaData / Math.sqrt(sigma * sigma + sigmaData * sigmaData);
    }

    @Override
    public double in(double sigma) {
      return 1 / Math.sqrt(sigma * sigma + sigmaData * sigmaData);
    }

    @Override
    public double noise(double sigma) {
      return Math.log(Math.max(sigma, 1e-20)) / 4;
    }

    @Override
    public String text() {
      return "edm " + sigmaData;
    }
  }

  /**
   * TrigFlow's: on z_t = cos t x₀ + sin t σ_d n with tan t = σ/σ_d, D = cos t z_t − σ_d sin t
   * F(z_t/σ_d, t).
   *
   * <p>z_t is cos t times x = x₀ + σ n, so that c_skip and c_in are EDM's and c_out is EDM's with
   * the other sign; the noise input is the angle t itself, whose features change at a bounded rate
   * up to pure noise, where those of ln σ do not.
   *
   * @paper Lu and Song 2024, arXiv 2410.11081, sections 3 and 4.1
   */
  record TrigFlow(double sigmaData) implements Preconditioning {
    @Override
    public double skip(double sigma) {
      return sigmaData * sigmaData / (sigma * sigma + sigmaData * sigmaData);
    }

    @Override
    public double out(double sigma) {
      return -sigma * sigmaData / Math.sqrt(sigma * sigma + sigmaData * sigmaData);
    }

    @Override
    public double in(double sigma) {
      return 1 / Math.sqrt(sigma * sigma + sigmaData * sigmaData);
    }

    @Override
    public double noise(double sigma) {
      return Math.atan(sigma / sigmaData);
    }

    @Override
    public String text() {
      return "trigflow " + sigmaData;
    }
  }

  /**
   * EDM's with the boundary moved from 0 to σ_min, where D(x, σ_min) = x exactly: c_skip = σ_d² /
   * ((σ − σ_min)² + σ_d²), c_out = σ_d (σ − σ_min) / √(σ² + σ_d²).
   *
   * @paper Song et al. 2023, arXiv 2303.01469, appendix C
   */
  record Consistency(double sigmaData, double sigmaMin) implements Preconditioning {
    @Override
    public double skip(double sigma) {
      double above = above(sigma);
      return sigmaData * sigmaData / (above * above + sigmaData * sigmaData);
    }

    @Override
    public double out(double sigma) {
      return sigmaData * above(sigma) / Math.sqrt(sigma * sigma + sigmaData * sigmaData);
    }

    /** σ − σ_min, both as the F32 numbers that levels are: 0 at the boundary, and nothing else. */
    private double above(double sigma) {
      return (float) sigma - (double) (float) sigmaMin;
    }

    @Override
    public double in(double sigma) {
      return 1 / Math.sqrt(sigma * sigma + sigmaData * sigmaData);
    }

    @Override
    public double noise(double sigma) {
      return Math.log(Math.max(sigma, 1e-20)) / 4;
    }

    @Override
    public String text() {
      return "consistency " + sigmaData + " " + sigmaMin;
    }
  }

  /** Another's denoiser times a factor. */
  record Scaled(double factor, Preconditioning inner) implements Preconditioning {
    @Override
    public double skip(double sigma) {
      return factor * inner.skip(sigma);
    }

    @Override
    public double out(double sigma) {
      return factor * inner.out(sigma);
    }

    @Override
    public double in(double sigma) {
      return inner.in(sigma);
    }

    @Override
    public double noise(double sigma) {
      return inner.noise(sigma);
    }

    @Override
    public boolean isDouble() {
      return inner.isDouble();
    }

    @Override
    public double second(double sigma) {
      return factor * inner.second(sigma);
    }

    @Override
    public String text() {
      return "scaled " + factor + " " + inner.text();
    }
  }

  /**
   * Predictions on the variance-preserving process; the noise input is 1000 · atan(σ)/(π/2).
   *
   * @paper Salimans and Ho 2022, arXiv 2202.00512, section 4
   */
  enum Vp implements Preconditioning {
    /** F predicts the noise: D = x − σ F. */
    EPSILON {
      @Override
      public double skip(double sigma) {
        return 1;
      }

      @Override
      public double out(double sigma) {
        return -sigma;
      }
    },
    /** F predicts v = a ε − b x₀: D = a z − b F. */
    VELOCITY {
      @Override
      public double skip(double sigma) {
        return 1 / (1 + sigma * sigma);
      }

      @Override
      public double out(double sigma) {
        return -sigma / Math.sqrt(1 + sigma * sigma);
      }
    },
    /** F predicts the clean data: D = F. */
    CLEAN {
      @Override
      public double skip(double sigma) {
        return 0;
      }

      @Override
      public double out(double sigma) {
        return 1;
      }
    },
    /**
     * F predicts the clean data and G the noise, and D is a mean of both: b² F + a² (z − b G)/a
     * with a² = 1/(1+σ²), b² = 1 − a².
     */
    BOTH {
      @Override
      public double skip(double sigma) {
        return 1 / (1 + sigma * sigma);
      }

      @Override
      public double out(double sigma) {
        return sigma * sigma / (1 + sigma * sigma);
      }

      @Override
      public boolean isDouble() {
        return true;
      }

      @Override
      public double second(double sigma) {
        return -sigma / (1 + sigma * sigma);
      }

      /** The paper's truncated SNR: 1/c_out² would ignore what the second answer contributes. */
      @Override
      public double lossWeight(double sigma) {
        return Math.max(1, 1 / (sigma * sigma));
      }
    };

    @Override
    public double in(double sigma) {
      return 1 / Math.sqrt(1 + sigma * sigma);
    }

    @Override
    public double noise(double sigma) {
      return 1000 * Math.atan(sigma) / (Math.PI / 2);
    }

    @Override
    public String text() {
      return name().toLowerCase(Locale.ROOT);
    }
  }
}
