package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.tensor.Dropout;

/**
 * A function of a noisy batch, its noise condition and its labels, with parameters: what a denoiser
 * is wrapped around.
 *
 * <p>Gradients are recorded if {@code x} is on a tape ({@link dev.limbeck.autograd.Tape#input}).
 * One network may run on many threads at once as long as its parameters do not change.
 */
public interface Network extends AutoCloseable {
  /**
   * The network's answer.
   *
   * @param x the noisy batch, first axis N
   * @param dropout {@link Dropout#off} except while training
   */
  Var forward(Var x, Condition condition, Dropout dropout);

  /**
   * The hidden features that a discriminator head reads: a UNet's bottleneck, an MLP's last hidden
   * layer. Cheaper than the answer where the answer takes further layers.
   */
  Var features(Var x, Condition condition, Dropout dropout);

  /** An answer and the features it was computed from. */
  record Answer(Var output, Var features) {}

  /** As {@link #forward} and {@link #features} in one run. */
  Answer forwardWithFeatures(Var x, Condition condition, Dropout dropout);

  /** Whether the network has an input for the weight of guidance. */
  default boolean takesGuidance() {
    return false;
  }

  /**
   * How far a weight of guidance goes until the quickest of its features has turned once: who has
   * another number told in its place keeps it within.
   */
  default double guidanceWavelength() {
    return 1;
  }

  /**
   * This network, which computes in a precision from now on; inputs and answers stay F32.
   *
   * @throws IllegalArgumentException if it knows F32 only
   */
  default Network in(Precision precision) {
    if (precision != Precision.F32) {
      throw new IllegalArgumentException(
          getClass().getSimpleName() + " computes in F32 only, not in " + precision);
    }
    return this;
  }

  /** Everything trainable. */
  Params params();

  /** Gives its memory back. */
  @Override
  void close();
}
