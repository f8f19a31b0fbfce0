package dev.limbeck.distillation.diffusion;

import dev.limbeck.tensor.Tensor;

/**
 * An estimate of clean data: D(x, σ) ≈ E[x₀ | x₀ + σ n = x].
 *
 * <p>A denoiser answers a {@link Tensor}: no gradient can flow through it.
 */
@FunctionalInterface
public interface Denoiser {
  /**
   * Estimates the clean data.
   *
   * @param labels class labels, or null for the unconditional estimate
   * @shape x and the result: [N,…]; sigma: [N]; labels: [N], integers
   */
  Tensor denoise(Tensor x, Tensor sigma, Tensor labels);

  /**
   * The guided denoiser u + g (c − u) with u the unconditional estimate; this one itself if g = 1.
   *
   * @paper Ho and Salimans 2022, arXiv 2207.12598 (whose w is g − 1)
   */
  default Denoiser guided(double g) {
    if (g == 1) {
      return this;
    }
    return new Guided(this, g);
  }

  /**
   * u + g (c − u).
   *
   * @param whole what is guided
   */
  record Guided(Denoiser whole, double g) implements Denoiser {
    @Override
    public Tensor denoise(Tensor x, Tensor sigma, Tensor labels) {
      Tensor c = whole.denoise(x, sigma, labels);
      Tensor u = whole.denoise(x, sigma, null);
      return c.mul((float) g).add(u.mul((float) (1 - g)));
    }
  }
}
