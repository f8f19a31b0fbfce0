package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.nn.UNetConfig.TimeFeatures;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Mixtures of normal distributions in the plane, and small students for their exact denoisers. */
final class FlowToys {
  static final int BATCH = 256;
  static final int SAMPLES = 4000;

  /** One normal distribution. */
  static final ExactDenoisers.Component[] GAUSSIAN = {
    new ExactDenoisers.Component(1, new double[] {.5, -.3}, new double[] {.25, .09}, 0)
  };

  /** Two modes, one twice as likely as the other. */
  static final ExactDenoisers.Component[] TWO = {
    new ExactDenoisers.Component(2, new double[] {-.6, .2}, new double[] {.04, .04}, 0),
    new ExactDenoisers.Component(1, new double[] {.6, -.2}, new double[] {.04, .01}, 0)
  };

  private FlowToys() {}

  static Denoiser exact(ExactDenoisers.Component... components) {
    return ExactDenoisers.mixture(components);
  }

  /** Slow features: their derivatives by the noise input are of order one. */
  static Teacher teacher(CpuDevice device, ExactDenoisers.Component... components) {
    Mlp.Config network = new Mlp.Config(2, 2, 64, 3, 0, TimeFeatures.fourier(.3f), 16, false);
    return new Teacher(
        exact(components),
        null,
        guidance -> new Mlp(network.withGuidanceInput(guidance), device, Rng.of(4)),
        new Preconditioning.Edm(),
        Shape.of(2),
        0);
  }

  /** Exact samples of the mixture. */
  record Points(CpuDevice device, ExactDenoisers.Component... components) implements Batches {
    @Override
    public int size() {
      return BATCH;
    }

    @Override
    public Rng random(long step) {
      return Rng.of(21).split(step).split(2);
    }

    @Override
    public StepInput at(long step) {
      Rng rng = Rng.of(21).split(step);
      float[] x = rng.split(1).normal(device, Shape.of(BATCH, 2)).toFloats();
      float[] u = new float[BATCH];
      rng.split(3).uniform(u);
      double total = 0;
      for (ExactDenoisers.Component c : components) {
        total += c.weight();
      }
      for (int i = 0; i < BATCH; i++) {
        int k = 0;
        for (double left = u[i] * total; left >= components[k].weight(); k++) {
          left -= components[k].weight();
        }
        for (int j = 0; j < 2; j++) {
          double deviation = Math.sqrt(components[k].variance()[j]);
          x[2 * i + j] = (float) (components[k].mean()[j] + deviation * x[2 * i + j]);
        }
      }
      return new StepInput(step, random(step), Tensor.of(device, Shape.of(BATCH, 2), x), null);
    }
  }

  static void train(Distiller distiller, CpuDevice device, ExactDenoisers.Component... components) {
    Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
    new Trainer(distiller, new Points(device, components), "toy", quiet).run();
  }

  static float[] sample(CpuDevice device, Denoiser denoiser, double... levels) {
    try (Scope scope = Scope.open()) {
      Tensor noise = Rng.of(9).normal(device, Shape.of(SAMPLES, 2));
      return Samplers.of(Samplers.Method.RENOISING, levels)
          .sample(denoiser, noise, null, Rng.of(10))
          .toFloats();
    }
  }

  /** One and two steps find every mode's share, mean and deviation. */
  static void assertModes(
      CpuDevice device, Denoiser student, ExactDenoisers.Component... components) {
    for (double[] levels : new double[][] {{80}, {80, .98}}) {
      assertModes(sample(device, student, levels), levels.length + " steps", components);
    }
  }

  /**
   * 4000 samples know a share to 0.008 and a mean to 0.01; trainings of some thousand steps are
   * allowed a tenth of a mode's distance from the other.
   */
  static void assertModes(float[] x, String what, ExactDenoisers.Component... components) {
    List<double[]> found = modes(x, components);
    double total = 0;
    for (ExactDenoisers.Component c : components) {
      total += c.weight();
    }
    for (int k = 0; k < components.length; k++) {
      double[] m = found.get(k);
      ExactDenoisers.Component c = components[k];
      String which = what + ", mode " + k + ": " + Arrays.toString(m);
      assertEquals(c.weight() / total, m[0], .04, which);
      for (int j = 0; j < 2; j++) {
        assertEquals(c.mean()[j], m[1 + j], .06, which);
        assertEquals(Math.sqrt(c.variance()[j]), m[3 + j], .06, which);
      }
    }
  }

  /** Of the samples nearest to each component's mean: their share, means and deviations. */
  static List<double[]> modes(float[] x, ExactDenoisers.Component... components) {
    int modes = components.length;
    double[][] sums = new double[modes][5];
    for (int i = 0; i < x.length; i += 2) {
      int nearest = 0;
      double least = Double.POSITIVE_INFINITY;
      for (int k = 0; k < modes; k++) {
        double[] mean = components[k].mean();
        double distance = Math.hypot(x[i] - mean[0], x[i + 1] - mean[1]);
        if (distance < least) {
          least = distance;
          nearest = k;
        }
      }
      double[] s = sums[nearest];
      s[0]++;
      for (int j = 0; j < 2; j++) {
        s[1 + j] += x[i + j];
        s[3 + j] += (double) x[i + j] * x[i + j];
      }
    }
    List<double[]> found = new ArrayList<>();
    for (double[] s : sums) {
      double n = Math.max(1, s[0]);
      double[] m = {s[0] * 2 / x.length, s[1] / n, s[2] / n, 0, 0};
      for (int j = 0; j < 2; j++) {
        m[3 + j] = Math.sqrt(s[3 + j] / n - m[1 + j] * m[1 + j]);
      }
      found.add(m);
    }
    return found;
  }
}
