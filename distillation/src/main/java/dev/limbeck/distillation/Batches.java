package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Rng;

/** The data and the randomness of every step, as a pure function of the step. */
public interface Batches {
  /** Samples in a batch. */
  int size();

  /** The randomness of one step, the stream of its {@link StepInput}. */
  Rng random(long step);

  /** The input of one step; its tensors belong to the caller's scope. */
  StepInput at(long step);

  /**
   * Batches of a data set: each epoch visits the images in an order of its own.
   *
   * @throws IllegalArgumentException if there are no images or the size is not positive
   */
  static Batches of(Dataset data, Device device, int size, long seed) {
    return new DataBatches(data, device, size, seed);
  }
}
