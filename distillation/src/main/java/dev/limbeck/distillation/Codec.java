package dev.limbeck.distillation;

import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import java.util.Map;

/**
 * A latent space of samples: methods train on {@linkplain #encoded latent batches}, and what is
 * drawn is decoded by the {@link Generation} that draws.
 *
 * <p>Methods know nothing of it. Latents should have about the standard deviation of images, 0.5,
 * for which presets' noise levels are made. A {@link Model} carries its codec; files carry a {@link
 * PatchCodec}, and one of an application's own is given again when the file is read.
 */
public interface Codec {
  /** The metadata that say which codec a file's model has. */
  String KIND = "limbeck.codec";

  /** Latents are the samples themselves. */
  Codec IDENTITY = new Identity();

  /** Latents that are the samples. */
  final class Identity implements Codec {
    private Identity() {}

    @Override
    public Shape latent(Shape sample) {
      return sample;
    }

    @Override
    public Shape sample(Shape latent) {
      return latent;
    }

    @Override
    public Tensor encode(Tensor samples) {
      return samples;
    }

    @Override
    public Tensor decode(Tensor latents) {
      return latents;
    }

    @Override
    public Batches encoded(Batches data) {
      return data;
    }

    @Override
    public String text() {
      return "";
    }

    @Override
    public void describe(Map<String, String> metadata, Map<String, Tensor> tensors) {
      // A file without a codec has this one.
    }
  }

  /**
   * The shape of a sample's latent.
   *
   * @throws IllegalArgumentException if the codec does not fit such samples: says what fits
   */
  Shape latent(Shape sample);

  /** The shape of the sample that a latent of a shape stands for. */
  Shape sample(Shape latent);

  /**
   * The latents of samples.
   *
   * @shape samples: [N,…]; result: [N,…]
   */
  Tensor encode(Tensor samples);

  /**
   * The samples of latents. It is part of what a device records and replays: tensors in, tensors
   * out, nothing read back on the way.
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

  /** Tells latent spaces apart: a checkpoint of another one is refused. */
  default String text() {
    return "foreign";
  }

  /** Adds what a file needs to make the codec again; nothing is known of a foreign one. */
  default void describe(Map<String, String> metadata, Map<String, Tensor> tensors) {
    metadata.put(KIND, text());
  }

  /**
   * The codec that a file's model has.
   *
   * @throws IllegalArgumentException if the file does not carry it
   */
  static Codec read(TensorFile file, Device device) throws TensorFileException {
    String kind = file.metadata().get(KIND);
    if (kind == null) {
      return IDENTITY;
    }
    if (kind.startsWith(PatchCodec.NAME)) {
      return PatchCodec.read(file, kind, device);
    }
    throw new IllegalArgumentException(
        "its latents are those of a codec that the file does not carry (\""
            + kind
            + "\"): give that codec to Model.load");
  }
}
