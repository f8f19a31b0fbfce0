package dev.limbeck.distillation;

/**
 * How a noise level is drawn for each sample of a batch.
 *
 * @unit σ, the standard deviation of the noise, in units of the data
 */
public sealed interface SigmaDraw {
  /**
   * As many levels as the batch has samples; draws of different streams are independent, and of the
   * noise that has the stream's own name.
   */
  double[] draw(StepInput in, String stream);

  /** Noise of a name begins with the same numbers as anything else that is drawn under it. */
  private static String levelsOf(String stream) {
    return stream + " level";
  }

  /**
   * ln σ is normally distributed.
   *
   * @paper Karras et al. 2022, arXiv 2206.00364, table 1: (−1.2, 1.2)
   */
  record Lognormal(double mean, double deviation) implements SigmaDraw {
    @Override
    public double[] draw(StepInput in, String stream) {
      float[] normal = in.normals(levelsOf(stream));
      double[] sigma = new double[normal.length];
      for (int i = 0; i < sigma.length; i++) {
        sigma[i] = Math.exp(mean + deviation * normal[i]);
      }
      return sigma;
    }
  }

  /**
   * Each level of a table is as likely as the others.
   *
   * @param levels in descending order
   * @param edge share of them that is left out at either end
   */
  record Table(double[] levels, double edge) implements SigmaDraw {
    public Table {
      if (levels.length == 0 || !(edge >= 0 && edge < 0.5)) {
        throw new IllegalArgumentException(
            "a table of noise levels needs at least one level and edges below a half, not "
                + levels.length
                + " levels and edges of "
                + edge);
      }
    }

    /** The largest level. */
    double largest() {
      return levels[outer()];
    }

    /** The smallest level. */
    double smallest() {
      return levels[inner()];
    }

    /**
     * Positions from the smallest level on are 20 … 980 of 0 … 999 with edges of 2 %, as in DMD2.
     */
    private int outer() {
      return Math.max(0, edgeCount() - 1);
    }

    private int inner() {
      return levels.length - 1 - edgeCount();
    }

    private int edgeCount() {
      return (int) Math.round(edge * levels.length);
    }

    @Override
    public double[] draw(StepInput in, String stream) {
      int[] drawn = in.integers(levelsOf(stream), inner() - outer() + 1);
      double[] sigma = new double[drawn.length];
      for (int i = 0; i < sigma.length; i++) {
        sigma[i] = levels[inner() - drawn[i]];
      }
      return sigma;
    }
  }
}
