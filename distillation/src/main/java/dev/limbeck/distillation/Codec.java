package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;

/**
 * A latent space of samples: methods that are given {@linkplain #encoded latent batches} train
 * there, and what their students draw is {@linkplain #draw decoded}.
 *
 * <p>Methods know nothing of it. Latents should have about the standard deviation of images, 0.5,
 * for which presets' noise levels are made.
 */
public interface Codec {
  /** Latents are the samples themselves. */
  Codec IDENTITY =
      new Codec() {
        @Override
        public Shape latent(Shape sample) {
          return sample;
        }

        @Override
        public Tensor encode(Tensor samples) {
          return samples;
        }

        @Override
        public Tensor decode(Tensor latents) {
          return latents;
        }
      };

  /** Decoded at a time. */
  int BATCH = 100;

  /**
   * The shape of a sample's latent.
   *
   * @throws IllegalArgumentException if the codec does not fit such samples: says what fits
   */
  Shape latent(Shape sample);

  /**
   * The latents of samples.
   *
   * @shape samples: [N,…]; result: [N,…]
   */
  Tensor encode(Tensor samples);

  /**
   * The samples of latents.
   *
   * @shape latents: [N,…]; result: [N,…]
   */
  Tensor decode(Tensor latents);

  /** The same data and randomness, with latents in place of samples. */
  default Batches encoded(Batches data) {
    return new Batches() {
      @Override
      public int size() {
        return data.size();
      }

      @Override
      public Rng random(long step) {
        return data.random(step);
      }

      @Override
      public StepInput at(long step) {
        StepInput in = data.at(step);
        return new StepInput(step, in.rng(), encode(in.images()), in.labels());
      }
    };
  }

  /** Draws an image of each of the given classes: its latent, decoded. */
  default Dataset draw(Device device, Generation latents, long seed, int[] labels) {
    float[] values = latents.values(device, seed, labels);
    int size = latents.sample().size();
    float[] pixels = null;
    int[] shape = null;
    for (int first = 0; first < labels.length; first += BATCH) {
      int n = Math.min(BATCH, labels.length - first);
      int[] sizes = new int[latents.sample().rank() + 1];
      sizes[0] = n;
      System.arraycopy(latents.sample().toArray(), 0, sizes, 1, sizes.length - 1);
      float[] some = Arrays.copyOfRange(values, first * size, (first + n) * size);
      try (Scope scope = Scope.open()) {
        Tensor made = decode(Tensor.of(device, Shape.of(sizes), some)).clamp(-1, 1);
        if (pixels == null) {
          pixels = new float[labels.length * (made.size() / n)];
          shape = made.shape().toArray();
        }
        System.arraycopy(made.toFloats(), 0, pixels, first * (made.size() / n), made.size());
      }
    }
    shape[0] = labels.length;
    return Dataset.ofFloats("samples", shape, pixels, latents.classes() == 0 ? null : labels);
  }
}
