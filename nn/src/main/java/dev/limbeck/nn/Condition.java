package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.tensor.Tensor;

/**
 * What a network is told about each sample of a noisy batch.
 *
 * @param noise the noise condition, F32 [N]; it may carry a tangent
 * @param labels classes, I32 [N], or null: no class
 * @param guidance weights of guidance, F32 [N], for networks that {@linkplain Network#takesGuidance
 *     take} them; or null: not guided. They may carry a tangent
 */
public record Condition(Var noise, Tensor labels, Var guidance) {
  /** Without a guidance weight. */
  public static Condition of(Tensor noise, Tensor labels) {
    return new Condition(Var.constant(noise), labels, null);
  }

  /** With another noise condition. */
  public Condition withNoise(Var other) {
    return new Condition(other, labels, guidance);
  }
}
