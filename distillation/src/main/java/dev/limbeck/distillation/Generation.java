package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Replay;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import java.util.function.IntConsumer;

/**
 * Draws images from a model.
 *
 * <p>Image i depends on the seed and on i alone, whatever the batch size.
 *
 * @param classes number of classes, 0 for an unconditional model
 */
public record Generation(
    Denoiser denoiser, Sampler sampler, int height, int width, int channels, int classes) {
  /** Images drawn at a time: enough to fill the processor, few enough to stay in its caches. */
  private static final int BATCH = 100;

  private static final int START = 1;
  private static final int STEPS = 2;

  /** Draws {@code count} images of class i mod {@code classes}; tells how many are done. */
  public Dataset draw(Device device, long seed, int count, IntConsumer progress) {
    int[] labels = new int[count];
    for (int i = 0; i < count; i++) {
      labels[i] = classes == 0 ? 0 : i % classes;
    }
    return draw(device, seed, labels, progress);
  }

  /** Draws one image of each of the given classes. */
  public Dataset draw(Device device, long seed, int[] labels, IntConsumer progress) {
    return draw(device, seed, labels, BATCH, progress);
  }

  /** The same, so many at a time. */
  Dataset draw(Device device, long seed, int[] labels, int batch, IntConsumer progress) {
    int size = height * width * channels;
    float[] pixels = new float[labels.length * size];
    Rng rng = Rng.of(seed);
    try (Replay replay = device.replay();
        Tensor whole = Tensor.empty(device, shapeOf(batch))) {
      // A record is made in the second run: it has to be of use in a third.
      boolean recorded = labels.length >= 3 * batch;
      for (int first = 0; first < labels.length; first += batch) {
        int n = Math.min(batch, labels.length - first);
        int[] some = Arrays.copyOfRange(labels, first, first + n);
        float[] values;
        if (recorded && n == batch) {
          int from = first;
          replay.run(
              () -> {
                try (Scope scope = Scope.open()) {
                  whole.copyFrom(draw(device, rng, from, some));
                }
              });
          values = whole.toFloats();
        } else {
          try (Scope scope = Scope.open()) {
            values = draw(device, rng, first, some).toFloats();
          }
        }
        for (int i = 0; i < values.length; i++) {
          pixels[first * size + i] = Math.max(-1, Math.min(1, values[i]));
        }
        progress.accept(first + n);
      }
    }
    int[] shape = {labels.length, height, width, channels};
    return Dataset.ofFloats("samples", shape, pixels, classes == 0 ? null : labels);
  }

  private Shape shapeOf(int n) {
    return Shape.of(n, height, width, channels);
  }

  /** Images number {@code first} and those after it, one of each of the given classes. */
  private Tensor draw(Device device, Rng rng, int first, int[] labels) {
    int n = labels.length;
    Tensor noise = rng.split(START).normalRows(device, shapeOf(n), first);
    Tensor wanted = classes == 0 ? null : Tensor.constant(device, Shape.of(n), labels);
    return sampler.sample(denoiser, noise, wanted, rng.split(STEPS).split(first));
  }
}
