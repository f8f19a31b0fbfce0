package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Shape;
import java.util.function.Supplier;

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
    Supplier<Network> blueprint,
    Preconditioning preconditioning,
    Shape sample,
    int classes) {
  /** A teacher that is itself a network. */
  public static Teacher of(
      NetworkDenoiser model, Supplier<Network> blueprint, Shape sample, int classes) {
    return new Teacher(
        model, model.network().params(), blueprint, model.preconditioning(), sample, classes);
  }

  /** The same with a guided denoiser: students learn the guided samples. */
  public Teacher guided(double scale) {
    return new Teacher(
        denoiser.guided(scale), initial, blueprint, preconditioning, sample, classes);
  }

  /** A trainable network that starts as the teacher, or freshly initialised if that is none. */
  public NetworkDenoiser student() {
    Network network = blueprint.get();
    if (initial != null) {
      network.params().copyFrom(initial);
    }
    return new NetworkDenoiser(network, preconditioning);
  }
}
