package dev.limbeck.distillation;

import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Init;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/**
 * A classifier of real and generated images on a denoising network's hidden features.
 *
 * <p>logit = w₂ · SiLU(GroupNorm(W₁ · features + b₁)) + b₂, where W₁ sees all positions at once:
 * the paper's two strided convolutions, which end at a single position, as one.
 *
 * @paper Yin et al. 2024, arXiv 2405.14867, section 4.3
 */
final class Discriminator {
  private static final int GROUP_CHANNELS = 4;
  private static final float NORM_EPSILON = 1e-5f;

  private final NetworkDenoiser critic;
  private final Params params;
  private final int width;
  private final int hidden;

  /**
   * A classifier with fresh weights.
   *
   * @param sample shape of one sample, [H,W,C] or [d]
   */
  Discriminator(NetworkDenoiser critic, Shape sample) {
    this.critic = critic;
    Device device = critic.network().params().device();
    int[] one = new int[sample.rank() + 1];
    one[0] = 1;
    System.arraycopy(sample.toArray(), 0, one, 1, sample.rank());
    try (Scope scope = Scope.open()) {
      Tensor x = Tensor.zeros(device, Shape.of(one));
      Var features = critic.features(Var.constant(x), Samplers.level(x, 1), null);
      this.width = features.shape().size();
      this.hidden = (features.dim(-1) + GROUP_CHANNELS - 1) / GROUP_CHANNELS * GROUP_CHANNELS;
    }
    this.params =
        Params.builder()
            .add("hidden.weight", Shape.of(hidden, width), Init.pytorch())
            .add("hidden.bias", Shape.of(hidden), Init.pytorchBias(width))
            .add("norm.weight", Shape.of(hidden), Init.ones())
            .add("norm.bias", Shape.of(hidden), Init.zeros())
            .add("logit.weight", Shape.of(1, hidden), Init.pytorch())
            .add("logit.bias", Shape.of(1), Init.pytorchBias(hidden))
            .build(device, Rng.of(0));
  }

  Params params() {
    return params;
  }

  /**
   * The logits of "real", recorded if x is.
   *
   * @shape x: [N,…]; sigma: [N]; labels: [N] or null; result: [N,1]
   */
  Var logits(Var x, Tensor sigma, Tensor labels) {
    try (Scope scope = Scope.open()) {
      int n = x.dim(0);
      Var features = critic.features(x, sigma, labels).reshape(n, width);
      Var h = features.linear(var("hidden.weight"), var("hidden.bias")).reshape(n, 1, 1, hidden);
      Var normed =
          h.groupNorm(
              hidden / GROUP_CHANNELS, var("norm.weight"), var("norm.bias"), NORM_EPSILON, true);
      return scope.keep(normed.reshape(n, hidden).linear(var("logit.weight"), var("logit.bias")));
    }
  }

  /**
   * mean (l(x) − l(x + d))² for a small random d: finite differences in place of the norm of the
   * gradient that R1 penalises.
   *
   * @param logits l(x)
   * @paper Lin et al. 2025, arXiv 2501.08316, section 3.3
   */
  Var steepness(Var logits, Var x, Tensor d, Tensor sigma, Tensor labels) {
    return logits.sub(logits(x.add(Var.constant(d)), sigma, labels)).square().mean();
  }

  private Var var(String name) {
    return params.get(name).var();
  }
}
