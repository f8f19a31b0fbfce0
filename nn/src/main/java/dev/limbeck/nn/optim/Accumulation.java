package dev.limbeck.nn.optim;

import dev.limbeck.autograd.Var;

/**
 * Gradients of a large batch from several small ones.
 *
 * <p>Tapes add to a parameter's gradient, so a batch of N samples may be differentiated in parts of
 * n₁ + n₂ + … = N, one tape after the other, before a single optimizer step. For the sum to be the
 * gradient of the mean over all N, each part's mean counts nᵢ/N, also where parts differ in size.
 */
public final class Accumulation {
  private Accumulation() {}

  /**
   * What a part contributes to the mean loss of the whole batch: mean·samples/total.
   *
   * @param mean the mean loss of the part
   * @param samples number of samples in the part
   * @param total number of samples in the whole batch
   */
  public static Var share(Var mean, int samples, int total) {
    if (samples < 1 || samples > total) {
      throw new IllegalArgumentException(
          "accumulation: a part of " + samples + " samples in a batch of " + total);
    }
    return samples == total ? mean : mean.mul((float) samples / total);
  }
}
