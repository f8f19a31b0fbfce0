package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.DistributionMatching.GeneratorInput;
import dev.limbeck.distillation.MatchingConfig.Normaliser;
import dev.limbeck.distillation.MatchingConfig.Reduction;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Thresholding;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.op.MatchingTarget;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;

/**
 * Where {@link DistributionMatching} moves generated samples: by what critic and teacher differ.
 */
final class MatchingGradient {
  private final MatchingConfig config;
  private final Denoiser teacher;
  private final Denoiser critic;

  MatchingGradient(MatchingConfig config, Denoiser teacher, Denoiser critic) {
    this.config = config;
    this.teacher = teacher;
    this.critic = critic;
  }

  /** The teacher, or what stands for it now. */
  Denoiser teacher() {
    return teacher instanceof SwitchedDenoiser switched ? switched.current() : teacher;
  }

  /** x + σ n. */
  static Tensor addNoise(Tensor images, Tensor level, Tensor noise) {
    return RowOps.combine(Samplers.level(images, 1), images, level, noise);
  }

  /** The masks of a step's stream, or none. */
  Dropout dropout(StepInput in, String stream) {
    double rate = config.training().dropout();
    return rate == 0 ? Dropout.off() : new Dropout((float) rate, in.stream(stream).nextKey());
  }

  /**
   * Half the weighted squared distance of generated samples to where they should move, and what it
   * costs to move them away from the source.
   */
  Var loss(StepInput in, Var x, GeneratorInput of) {
    MatchingConfig.Match match = config.match();
    double[] sigma = match.noise().draw(in, "match");
    double[] weight = new double[sigma.length];
    int width = x.value().size() / weight.length;
    int summed = match.reduction() == Reduction.SUM ? width : 1;
    for (int i = 0; i < weight.length; i++) {
      weight[i] = weight(sigma[i]) * summed;
    }
    Tensor target = target(in, x.value(), in.perSample(sigma), of);
    Var loss = RowOps.meanSquaredError(x, target, in.perSample(weight));
    if (!config.transport().isOn()) {
      return loss;
    }
    Arrays.fill(weight, config.transport().weight() * summed);
    return loss.add(RowOps.meanSquaredError(x, of.noisy(), in.perSample(weight)));
  }

  /** Half, times what the gradient is multiplied by at this level. */
  double weight(double sigma) {
    double w = config.match().vpFactor() ? 1 / Math.sqrt(1 + sigma * sigma) : 1;
    w *= config.match().weight().factor(sigma);
    if (config.match().normaliser() == Normaliser.EXPECTED) {
      w /= new Preconditioning.Edm().out(sigma);
    }
    return w / 2;
  }

  private Tensor target(StepInput in, Tensor x, Tensor level, GeneratorInput of) {
    try (Scope scope = Scope.open()) {
      Tensor noisy = addNoise(x, level, in.noise("match"));
      // The same masks in both: their difference is then that of the estimates.
      Dropout dropout = dropout(in, "matchDropout");
      Tensor real = denoise(teacher(), noisy, level, of, dropout);
      Tensor believed = denoise(critic, noisy, level, of, dropout);
      boolean normalised = config.match().normaliser() == Normaliser.PER_SAMPLE;
      return scope.keep(target(x, real, believed, normalised));
    }
  }

  private static Tensor denoise(
      Denoiser denoiser, Tensor x, Tensor level, GeneratorInput of, Dropout dropout) {
    if (denoiser instanceof NetworkDenoiser network) {
      Tensor told = network.network().takesGuidance() ? of.origin() : null;
      return network.denoise(Var.constant(x), level, of.labels(), told, dropout).value();
    }
    return told(denoiser, of.origin()).denoise(x, level, of.labels());
  }

  /** With the level told to whom it is told that stands in the teacher's place, guided, clipped. */
  private static Denoiser told(Denoiser denoiser, Tensor origin) {
    if (origin != null && denoiser instanceof Denoiser.Guided guided) {
      return told(guided.whole(), origin).guided(guided.g());
    }
    if (origin != null && denoiser instanceof Thresholding.Ruled ruled) {
      return ruled.rule().around(told(ruled.whole(), origin));
    }
    boolean takes =
        origin != null
            && denoiser instanceof NetworkDenoiser network
            && network.network().takesGuidance();
    return takes ? ((NetworkDenoiser) denoiser).weighted(origin) : denoiser;
  }

  /**
   * x − (D_f − D_r)/mean|x − D_r|, or without the divisor: half the squared distance to it has the
   * matching gradient.
   *
   * @param real D_r
   * @param believed D_f
   */
  static Tensor target(Tensor x, Tensor real, Tensor believed, boolean normalised) {
    Tensor target = Tensor.empty(x.device(), x.shape());
    x.device()
        .execute(
            new MatchingTarget(
                x.dim(0),
                normalised,
                x.buffer(),
                real.buffer(),
                believed.buffer(),
                target.buffer()));
    return target;
  }
}
