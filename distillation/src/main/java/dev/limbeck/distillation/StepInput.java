package dev.limbeck.distillation;

import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/**
 * What a training step starts from: real data and randomness of its own.
 *
 * @param step counted from 0
 * @param rng a stream that depends on the run's seed and on the step alone
 * @param images clean data, [N,H,W,C]
 * @param labels classes, [N] integers, or null
 */
public record StepInput(long step, Rng rng, Tensor images, Tensor labels) {
  public Device device() {
    return images.device();
  }

  /** Samples in the batch. */
  public int size() {
    return images.dim(0);
  }

  /** Unit normal noise shaped like the images; draws of different names are independent. */
  public Tensor noise(String name) {
    return stream(name).normal(device(), images.shape());
  }

  /** An independent random stream for each name. */
  public Rng stream(String name) {
    return rng.split(name.hashCode());
  }

  /** For each sample an integer in [0, bound). */
  public int[] integers(String name, int bound) {
    return stream(name).integers(device(), Shape.of(size()), bound).toInts();
  }

  /** For each sample a standard normal number. */
  public float[] normals(String name) {
    return stream(name).normal(device(), Shape.of(size())).toFloats();
  }

  /** For each sample a number uniform in [0, 1). */
  public float[] uniforms(String name) {
    return stream(name).uniform(device(), Shape.of(size())).toFloats();
  }

  /** A [N] tensor of per-sample numbers. */
  public Tensor perSample(double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return Tensor.of(device(), Shape.of(floats.length), floats);
  }
}
