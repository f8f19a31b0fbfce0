package dev.limbeck.distillation;

import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/**
 * What a training step starts from: real data and randomness of its own.
 *
 * <p>What is drawn for each sample is drawn on the host, so that nobody waits for the device.
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

  /**
   * Unit normal noise shaped like the images; draws of different names are independent, those of
   * one name begin alike whatever is drawn.
   */
  public Tensor noise(String name) {
    return stream(name).normal(device(), images.shape());
  }

  /** An independent random stream for each name. */
  public Rng stream(String name) {
    return rng.split(name.hashCode());
  }

  /** For each sample an integer in [0, bound). */
  public int[] integers(String name, int bound) {
    int[] drawn = new int[size()];
    stream(name).integers(drawn, bound);
    return drawn;
  }

  /** For each sample a standard normal number. */
  public float[] normals(String name) {
    float[] drawn = new float[size()];
    stream(name).normal(drawn);
    return drawn;
  }

  /** For each sample a number uniform in [0, 1). */
  public float[] uniforms(String name) {
    float[] drawn = new float[size()];
    stream(name).uniform(drawn);
    return drawn;
  }

  /** A [N] tensor of per-sample numbers. */
  public Tensor perSample(double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return Tensor.constant(device(), Shape.of(floats.length), floats);
  }
}
