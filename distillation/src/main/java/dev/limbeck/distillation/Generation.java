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
 * Draws samples from a model.
 *
 * <p>Sample i depends on the seed and on i alone, whatever the batch size.
 *
 * @param sample shape of one sample, [H,W,C] or [d]
 * @param classes number of classes, 0 for an unconditional model
 * @param codec what samples are the latents of
 */
public record Generation(
    Denoiser denoiser, Sampler sampler, Shape sample, int classes, Codec codec) {
  /** Numbers drawn at a time: enough to fill the processor, few enough to stay in its caches. */
  private static final int NUMBERS = 25_600;

  /** Images drawn at a time, whatever their size. */
  private static final int IMAGES = 100;

  private static final int RANK_OF_IMAGES = 3;

  private static final int START = 1;
  private static final int STEPS = 2;

  /** Of samples that are no latents. */
  public Generation(Denoiser denoiser, Sampler sampler, Shape sample, int classes) {
    this(denoiser, sampler, sample, classes, Codec.IDENTITY);
  }

  /** The same samples by another denoiser and sampler. */
  public Generation by(Denoiser other, Sampler otherSampler) {
    return new Generation(other, otherSampler, sample, classes, codec);
  }

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
    return draw(device, seed, labels, IMAGES, progress);
  }

  /** The same, so many at a time. */
  Dataset draw(Device device, long seed, int[] labels, int batch, IntConsumer progress) {
    if (sample.rank() != RANK_OF_IMAGES) {
      throw new IllegalArgumentException("samples of shape " + sample + " are no images");
    }
    float[] pixels = values(device, seed, labels, batch, codec, progress);
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = Math.max(-1, Math.min(1, pixels[i]));
    }
    int[] shape = batchOf(codec.sample(sample), labels.length).toArray();
    return Dataset.ofFloats("samples", shape, pixels, classes == 0 ? null : labels);
  }

  /** Draws one sample of each of the given classes: the numbers as they come, not decoded. */
  public float[] values(Device device, long seed, int[] labels) {
    int batch = Math.max(1, NUMBERS / sample.size());
    return values(device, seed, labels, batch, Codec.IDENTITY, done -> {});
  }

  private float[] values(
      Device device, long seed, int[] labels, int batch, Codec by, IntConsumer progress) {
    Shape made = by.sample(sample);
    int size = made.size();
    float[] all = new float[labels.length * size];
    Rng rng = Rng.of(seed);
    try (Replay replay = device.replay();
        Tensor whole = Tensor.empty(device, batchOf(made, batch))) {
      // A record is made in the second run: it has to be of use in a third.
      boolean recorded = sampler.isRecordable() && labels.length >= 3 * batch;
      for (int first = 0; first < labels.length; first += batch) {
        int n = Math.min(batch, labels.length - first);
        int[] some = Arrays.copyOfRange(labels, first, first + n);
        float[] values;
        if (recorded && n == batch) {
          int from = first;
          replay.run(
              () -> {
                try (Scope scope = Scope.open()) {
                  whole.copyFrom(by.decode(draw(device, rng, from, some)));
                }
              });
          values = whole.toFloats();
        } else {
          try (Scope scope = Scope.open()) {
            values = by.decode(draw(device, rng, first, some)).toFloats();
          }
        }
        System.arraycopy(values, 0, all, first * size, values.length);
        progress.accept(first + n);
      }
    }
    return all;
  }

  private static Shape batchOf(Shape one, int n) {
    int[] sizes = new int[one.rank() + 1];
    sizes[0] = n;
    System.arraycopy(one.toArray(), 0, sizes, 1, one.rank());
    return Shape.of(sizes);
  }

  /** Samples number {@code first} and those after it, one of each of the given classes. */
  private Tensor draw(Device device, Rng rng, int first, int[] labels) {
    int n = labels.length;
    Tensor noise = rng.split(START).normalRows(device, batchOf(sample, n), first);
    Tensor wanted = classes == 0 ? null : Tensor.constant(device, Shape.of(n), labels);
    return sampler.sample(denoiser, noise, wanted, rng.split(STEPS), first);
  }
}
