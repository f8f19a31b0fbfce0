package dev.limbeck.distillation.diffusion;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.op.MixtureMean;
import dev.limbeck.tensor.Tensor;

/**
 * Denoisers with a closed form, in double precision: oracles for tests and teachers for demos.
 *
 * <p>All of them are mixtures of Gaussians: D(x, σ) = Σ_k g_k(x) [m_k + C_k (C_k+σ² I)⁻¹ (x − m_k)]
 * with responsibilities g_k ∝ π_k N(x; m_k, C_k + σ² I).
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
    int n = components.length;
    int d = components[0].mean.length;
    double[] logWeights = new double[n];
    double[] means = new double[n * d];
    double[] variances = new double[n * d];
    int[] labels = new int[n];
    for (int k = 0; k < n; k++) {
      Component c = components[k];
      logWeights[k] = Math.log(c.weight);
      System.arraycopy(c.mean, 0, means, k * d, d);
      System.arraycopy(c.variance, 0, variances, k * d, d);
      labels[k] = c.label;
    }
    return of(new MixtureMean.Table(d, logWeights, means, variances, null, labels));
  }

  /**
   * The same for components of any covariance.
   *
   * @shape x: [N,…] with as many elements a row as the mixture has dimensions
   */
  public static Denoiser of(MixtureMean.Table mixture) {
    return (x, sigma, labels) -> {
      Tensor out = Tensor.empty(x.device(), x.shape());
      Buffer wanted = labels == null ? null : labels.buffer();
      x.device()
          .execute(new MixtureMean(mixture, x.buffer(), sigma.buffer(), wanted, out.buffer()));
      return out;
    };
  }
}
