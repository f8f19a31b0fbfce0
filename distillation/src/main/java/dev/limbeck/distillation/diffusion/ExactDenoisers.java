package dev.limbeck.distillation.diffusion;

import dev.limbeck.tensor.Tensor;

/**
 * Denoisers with a closed form, in double precision: oracles for tests and teachers for demos.
 *
 * <p>All of them are mixtures of axis-aligned Gaussians: D(x, σ) = Σ_k g_k(x) [m_k + v_k/(v_k+σ²)
 * (x − m_k)] with responsibilities g_k ∝ π_k N(x; m_k, v_k + σ²).
 */
public final class ExactDenoisers {
  private ExactDenoisers() {}

  /**
   * One component of a mixture.
   *
   * @param weight its probability, up to a common factor
   * @param variance per coordinate, zero for a single point
   * @param label its class
   */
  public record Component(double weight, double[] mean, double[] variance, int label) {}

  /** E[x₀ | x] for one normal distribution with independent coordinates. */
  public static Denoiser gaussian(double[] mean, double[] variance) {
    return mixture(new Component(1, mean, variance, 0));
  }

  /** E[x₀ | x] for data that are exactly these points, equally likely. */
  public static Denoiser empirical(double[][] points, int[] labels) {
    Component[] components = new Component[points.length];
    for (int i = 0; i < points.length; i++) {
      int label = labels == null ? 0 : labels[i];
      components[i] = new Component(1, points[i], new double[points[i].length], label);
    }
    return mixture(components);
  }

  /** E[x₀ | x], or E[x₀ | x, label] where labels are given. */
  public static Denoiser mixture(Component... components) {
    return (x, sigma, labels) -> {
      int rows = x.dim(0);
      int width = x.size() / rows;
      float[] in = x.toFloats();
      float[] levels = sigma.toFloats();
      int[] wanted = labels == null ? null : labels.toInts();
      float[] out = new float[in.length];
      double[] logs = new double[components.length];
      for (int i = 0; i < rows; i++) {
        int label = wanted == null ? -1 : wanted[i];
        denoiseRow(components, in, i * width, width, levels[i], label, logs, out);
      }
      return Tensor.of(x.device(), x.shape(), out);
    };
  }

  private static void denoiseRow(
      Component[] components,
      float[] x,
      int at,
      int width,
      double sigma,
      int label,
      double[] logs,
      float[] out) {
    double best = Double.NEGATIVE_INFINITY;
    for (int k = 0; k < components.length; k++) {
      boolean out0 = label >= 0 && components[k].label != label;
      logs[k] = out0 ? Double.NEGATIVE_INFINITY : logDensity(components[k], x, at, width, sigma);
      best = Math.max(best, logs[k]);
    }
    double total = 0;
    for (int k = 0; k < components.length; k++) {
      logs[k] = Math.exp(logs[k] - best);
      total += logs[k];
    }
    for (int j = 0; j < width; j++) {
      double sum = 0;
      for (int k = 0; k < components.length; k++) {
        if (logs[k] > 0) {
          double m = components[k].mean[j];
          double v = components[k].variance[j];
          double shrink = v == 0 ? 0 : v / (v + sigma * sigma);
          sum += logs[k] / total * (m + shrink * (x[at + j] - m));
        }
      }
      out[at + j] = (float) sum;
    }
  }

  private static double logDensity(Component c, float[] x, int at, int width, double sigma) {
    double sum = Math.log(c.weight);
    for (int j = 0; j < width; j++) {
      double v = c.variance[j] + sigma * sigma;
      double d = x[at + j] - c.mean[j];
      sum -= 0.5 * (d * d / v + Math.log(v));
    }
    return sum;
  }
}
