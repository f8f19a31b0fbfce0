package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Rng;

/**
 * The data and the randomness of every step, as a pure function of the seed and the step.
 *
 * <p>Each epoch visits the images in an order of its own. Nothing needs to be saved to resume.
 */
final class DataBatches implements Batches {
  private static final int ORDERS = 1;
  private static final int STEPS = 2;

  private final Dataset data;
  private final Device device;
  private final int size;
  private final Rng rng;
  private long epoch = -1;
  private int[] order;

  DataBatches(Dataset data, Device device, int size, long seed) {
    if (data.count() == 0 || size < 1) {
      throw new IllegalArgumentException(
          "training needs images and a batch size of at least 1, not "
              + data.count()
              + " images and "
              + size);
    }
    this.data = data;
    this.device = device;
    this.size = size;
    this.rng = Rng.of(seed);
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public Rng random(long step) {
    return rng.split(STEPS).split(step);
  }

  @Override
  public StepInput at(long step) {
    int[] indices = new int[size];
    for (int i = 0; i < size; i++) {
      indices[i] = index(step * size + i);
    }
    return new StepInput(
        step,
        random(step),
        data.images(device, indices),
        data.classes() == 0 ? null : data.labels(device, indices));
  }

  private int index(long position) {
    long wanted = position / data.count();
    if (wanted != epoch) {
      epoch = wanted;
      order = rng.split(ORDERS).split(epoch).permutation(data.count());
    }
    return order[(int) (position % data.count())];
  }
}
