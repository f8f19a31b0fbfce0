package dev.limbeck.nn;

import dev.limbeck.kernels.DType;

/**
 * The numbers in which a network computes. Its parameters, their gradients, an optimizer's moments
 * and averages are F32 in any case, and so are losses, reductions, the moments of normalisations
 * and the sums of softmax, products and convolutions.
 */
public enum Precision {
  /** Everything in F32. */
  F32(DType.F32),

  /**
   * Activations and their gradients in BF16, and copies of the weights in BF16, which products and
   * convolutions multiply with: half the memory traffic, and tensor cores where there are some.
   * BF16 has the exponents of F32, so that no loss needs scaling.
   *
   * <p>On CUDA, products, convolutions, their gradients and attention run on tensor cores, and
   * group normalisation, bias gradients, sums of one shape, scaling, concatenation and resizing on
   * BF16 as it lies in memory. Operands are converted to F32 and results back for dropout,
   * additions that repeat an operand, and what the functions for BF16 do not take: channels that
   * are no multiple of 4, heads of features that are none of 8, and with PTX 7.5 attention and
   * group normalisation. On the CPU every operation converts.
   *
   * @see <a href="https://arxiv.org/abs/1905.12322">Kalamkar et al. 2019</a>
   */
  BF16(DType.BF16);

  private final DType activations;

  Precision(DType activations) {
    this.activations = activations;
  }

  /** The type of what layers hand on. */
  public DType activations() {
    return activations;
  }
}
