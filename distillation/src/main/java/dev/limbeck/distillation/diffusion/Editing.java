package dev.limbeck.distillation.diffusion;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;

/**
 * What samplers of few steps are good for besides drawing: changing given images.
 *
 * <p>Everything goes through an ordinary {@link Sampler}, whichever the model was made for, which
 * multiplies what it is given by its first level, or by √(1 + σ₀²): a start is given to it over
 * that.
 */
public final class Editing {
  private Editing() {}

  /**
   * Draws images anew from the noise level σ₀ of a sampler that begins in the middle: what noise of
   * that level does not hide is kept.
   *
   * @param sampler a {@linkplain #from part} of the model's
   * @shape images and the result: [N,…]; labels: [N] or null
   * @paper Meng et al. 2021, SDEdit, arXiv 2108.01073, algorithm 1
   */
  public static Tensor vary(
      Denoiser denoiser, Sampler sampler, Tensor images, Tensor labels, Rng rng) {
    try (Scope scope = Scope.open()) {
      Tensor n = rng.split(0).normal(images.device(), images.shape());
      return scope.keep(sampler.sample(denoiser, start(sampler, images, n), labels, rng.split(1)));
    }
  }

  /**
   * Draws what a mask leaves open: at every level the known part of the state is the image with
   * noise of that level, since the estimate is the image there.
   *
   * <p>Meng et al. distil networks that are given mask and masked image; here any class-conditional
   * student serves, at the price of an open part that sees the known one through its noise.
   *
   * @param mask 1 where the image is known, 0 where it is to be drawn
   * @shape images, mask and the result: [N,…]; labels: [N] or null
   * @paper Song et al. 2021, arXiv 2011.13456, appendix I.2; Meng et al. 2023, arXiv 2210.03142,
   *     section 5
   */
  public static Tensor inpaint(
      Denoiser denoiser, Sampler sampler, Tensor images, Tensor mask, Tensor labels, Rng rng) {
    try (Scope scope = Scope.open()) {
      Tensor known = images.mul(mask);
      Tensor open = mask.neg().add(1f);
      Denoiser filled = (x, sigma, c) -> known.add(denoiser.denoise(x, sigma, c).mul(open));
      Tensor n = rng.split(0).normal(images.device(), images.shape());
      return scope.keep(sampler.sample(filled, start(sampler, known, n), labels, rng.split(1)));
    }
  }

  /**
   * The noise that images come from: DDIM backwards in time along an ascending grid.
   *
   * @param encoder a denoiser, or a student of the steps of this very grid
   * @param ascending levels from next to 0, where the images are, to that of pure noise
   * @return the state at the last level over that level, next to unit normal noise
   * @shape images and the result: [N,…]; labels: [N] or null
   * @paper Meng et al. 2023, arXiv 2210.03142, section 3.4
   */
  public static Tensor encode(Denoiser encoder, double[] ascending, Tensor images, Tensor labels) {
    try (Scope scope = Scope.open()) {
      Tensor state = Encoding.euler(encoder, images, ascending, labels);
      return scope.keep(state.mul((float) (1 / ascending[ascending.length - 1])));
    }
  }

  /**
   * Images of one class as images of another: their noise, sampled with the other label.
   *
   * @param sampler a deterministic one
   * @shape images and the result: [N,…]; from, to: [N]
   */
  public static Tensor transfer(
      Denoiser encoder,
      double[] ascending,
      Denoiser decoder,
      Sampler sampler,
      Tensor images,
      Tensor from,
      Tensor to) {
    try (Scope scope = Scope.open()) {
      Tensor noise = encode(encoder, ascending, images, from);
      double share = levels(sampler)[0] / scale(sampler);
      return scope.keep(sampler.sample(decoder, noise.mul((float) share), to, Rng.of(0)));
    }
  }

  /** images + σ₀ n over what the sampler multiplies its start by. */
  private static Tensor start(Sampler sampler, Tensor images, Tensor noise) {
    double scale = scale(sampler);
    double sigma = levels(sampler)[0];
    return RowOps.combine(
        Samplers.level(images, 1 / scale), images, Samplers.level(images, sigma / scale), noise);
  }

  /** σ₀, or √(1 + σ₀²) for samplers that start as the variance-preserving process does. */
  private static double scale(Sampler sampler) {
    double sigma = levels(sampler)[0];
    boolean preserving = Samplers.settings(sampler).is(Tuning.START, "vp");
    return preserving ? Math.hypot(1, sigma) : sigma;
  }

  /** The levels of a sampler's grid. */
  public static double[] levels(Sampler sampler) {
    String[] words = sampler.text().split(" ");
    double[] levels = new double[words.length - 1];
    for (int i = 0; i < levels.length; i++) {
      levels[i] = Double.parseDouble(words[i + 1]);
    }
    return levels;
  }

  /** The sampler without its first steps: it begins at that level of its grid. */
  public static Sampler from(Sampler sampler, int level) {
    double[] levels = levels(sampler);
    return Samplers.of(
        Samplers.settings(sampler), Arrays.copyOfRange(levels, level, levels.length));
  }
}
