package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
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
    int size = height * width * channels;
    float[] pixels = new float[labels.length * size];
    Rng rng = Rng.of(seed);
    for (int first = 0; first < labels.length; first += BATCH) {
      int n = Math.min(BATCH, labels.length - first);
      try (Scope scope = Scope.open()) {
        int[] some = Arrays.copyOfRange(labels, first, first + n);
        Shape shape = Shape.of(n, height, width, channels);
        Tensor noise = rng.split(START).normalRows(device, shape, first);
        Tensor wanted = classes == 0 ? null : Tensor.of(device, Shape.of(n), some);
        Tensor images = sampler.sample(denoiser, noise, wanted, rng.split(STEPS).split(first));
        float[] values = images.toFloats();
        for (int i = 0; i < values.length; i++) {
          pixels[first * size + i] = Math.max(-1, Math.min(1, values[i]));
        }
      }
      progress.accept(first + n);
    }
    int[] shape = {labels.length, height, width, channels};
    return Dataset.ofFloats("samples", shape, pixels, classes == 0 ? null : labels);
  }
}
