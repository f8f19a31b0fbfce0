package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Mixture;
import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/** Fresh points of a mixture for every step, as a pure function of the seed and the step. */
record MixtureBatches(Mixture mixture, Device device, int size, Rng rng) implements Batches {
  private static final int DATA = 1;
  private static final int STEPS = 2;

  @Override
  public Rng random(long step) {
    return rng.split(STEPS).split(step);
  }

  @Override
  public StepInput at(long step) {
    Mixture.Draw drawn = mixture.draw(rng.split(DATA).split(step), size);
    Shape shape = Shape.of(size, mixture.dimension());
    Tensor labels =
        drawn.labels() == null ? null : Tensor.constant(device, Shape.of(size), drawn.labels());
    return new StepInput(
        step, random(step), Tensor.constant(device, shape, drawn.points()), labels);
  }
}
