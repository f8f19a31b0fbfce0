package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Thresholding;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/**
 * What a method distils: a frozen denoiser, and how to make networks like the one behind it.
 *
 * @param denoiser answers tensors, so that no gradient can reach it
 * @param initial the values students start from, or null where the denoiser is not a network
 * @param blueprint makes a network of the student's architecture
 * @param preconditioning how such a network becomes a denoiser
 * @param sample shape of one sample, [H,W,C] or [d]
 * @param classes number of classes, 0 for unconditional data; the label {@code classes} stands for
 *     no class
 */
public record Teacher(
    Denoiser denoiser,
    Params initial,
    Blueprint blueprint,
    Preconditioning preconditioning,
    Shape sample,
    int classes) {
  /** Makes networks of one architecture, each with parameters of its own. */
  @FunctionalInterface
  public interface Blueprint {
    /**
     * A further network.
     *
     * @param guidanceInput whether it is to have an input for the weight of guidance
     */
    Network create(boolean guidanceInput);
  }

  /** A teacher that is itself a network. */
  public static Teacher of(NetworkDenoiser model, Blueprint blueprint, Shape sample, int classes) {
    return new Teacher(
        model, model.network().params(), blueprint, model.preconditioning(), sample, classes);
  }

  /** The same with a guided denoiser: students learn the guided samples. */
  public Teacher guided(double scale) {
    return with(denoiser.guided(scale));
  }

  /** The same whose estimates, guided ones too, are brought into [−1, 1] by a rule. */
  Teacher thresholded(Thresholding.Rule rule) {
    return with(rule.around(denoiser));
  }

  private Teacher with(Denoiser other) {
    return new Teacher(other, initial, blueprint, preconditioning, sample, classes);
  }

  /** What is brought into a range, or the denoiser itself. */
  private Denoiser unbounded() {
    return denoiser instanceof Thresholding.Ruled ruled ? ruled.whole() : denoiser;
  }

  /** Another denoiser, under the rule that this teacher's is under, if any. */
  Denoiser thresholdedAlike(Denoiser other) {
    return denoiser instanceof Thresholding.Ruled ruled ? ruled.rule().around(other) : other;
  }

  /**
   * The denoiser with a weight of guidance for each sample in the place of its own scale, for
   * methods that learn a range of weights.
   *
   * @shape weights: [N]
   */
  Denoiser guidedBy(Tensor weights) {
    Denoiser own = unbounded();
    Denoiser plain = own instanceof Denoiser.Guided guided ? guided.whole() : own;
    return thresholdedAlike(GuidanceWeights.guided(plain, weights));
  }

  /** The scale of guidance in the denoiser; 1 for none. */
  double cfgScale() {
    return unbounded() instanceof Denoiser.Guided guided ? guided.g() : 1;
  }

  /** Another denoiser with the guidance and the thresholding that this teacher's has. */
  Denoiser guidedAlike(Denoiser other) {
    return thresholdedAlike(other.guided(cfgScale()));
  }

  /** A trainable network that starts as the teacher, or freshly initialised if that is none. */
  public NetworkDenoiser student() {
    return student(false);
  }

  /**
   * As {@link #student()}, with or without an input for the weight of guidance, to which the
   * network is blind at first.
   */
  public NetworkDenoiser student(boolean guidanceInput) {
    Network network = blueprint.create(guidanceInput);
    if (initial != null) {
      network.params().copyNamed(initial);
    }
    return new NetworkDenoiser(network, preconditioning);
  }
}
