package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Condition;
import dev.limbeck.nn.Mlp;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Every parameterisation turns the right answer of its network into the clean sample. */
class PreconditioningTest {
  private static final List<Preconditioning> ALL =
      List.of(
          new Preconditioning.Edm(),
          new Preconditioning.Consistency(.5, .002),
          Preconditioning.Vp.EPSILON,
          Preconditioning.Vp.VELOCITY,
          Preconditioning.Vp.CLEAN,
          Preconditioning.Vp.BOTH);

  /** x = x₀ + σ n with a = 1/√(1+σ²), b = aσ: what each network has to answer. */
  @Test
  void answersOfTheVariancePreservingProcess() {
    double clean = .7;
    double noise = -1.3;
    for (double sigma : new double[] {.01, .5, 3, 80}) {
      double x = clean + sigma * noise;
      double a = 1 / Math.sqrt(1 + sigma * sigma);
      double b = a * sigma;
      double velocity = a * noise - b * clean;
      assertEquals(clean, of(Preconditioning.Vp.EPSILON, sigma, x, noise, 0), 1e-9);
      assertEquals(clean, of(Preconditioning.Vp.VELOCITY, sigma, x, velocity, 0), 1e-9);
      assertEquals(clean, of(Preconditioning.Vp.CLEAN, sigma, x, clean, 0), 1e-9);
      assertEquals(clean, of(Preconditioning.Vp.BOTH, sigma, x, clean, noise), 1e-9);
      // b² of an error of the clean answer arrives, and a² σ of one of the noise.
      double off = of(Preconditioning.Vp.BOTH, sigma, x, clean + 1, noise + 1);
      assertEquals(b * b - a * a * sigma, off - clean, 1e-9);
    }
  }

  private static double of(Preconditioning p, double sigma, double x, double f, double g) {
    return p.skip(sigma) * x + p.out(sigma) * f + p.second(sigma) * g;
  }

  @Test
  void textsAreRead() {
    for (Preconditioning each : ALL) {
      assertEquals(each, Preconditioning.parse(each.text()));
    }
  }

  /** The network's two halves, put together as the formula says. */
  @Test
  void denoisersOfTwoAnswers() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Mlp.Config toy = Mlp.Config.toy(2, 0);
      Mlp.Config two =
          new Mlp.Config(2, 4, toy.width(), toy.depth(), 0, toy.time(), toy.timeWidth(), false);
      Mlp network = new Mlp(two, device, Rng.of(4));
      Tensor x = Rng.of(1).normal(device, Shape.of(3, 2));
      Tensor sigma = Tensor.of(device, Shape.of(3), .1f, 1f, 10f);
      Preconditioning both = Preconditioning.Vp.BOTH;
      float[] actual = new NetworkDenoiser(network, both).denoise(x, sigma, null).toFloats();
      float[] in = x.toFloats();
      float[] expected = new float[6];
      for (int half = 0; half < 2; half++) {
        NetworkDenoiser.Coefficients c = NetworkDenoiser.Coefficients.of(both, sigma);
        Var scaled = RowOps.scale(c.in(), Var.constant(x));
        float[] raw =
            network
                .forward(scaled, Condition.of(c.noise(), null), Dropout.off())
                .value()
                .toFloats();
        for (int i = 0; i < 6; i++) {
          double s = sigma.toFloats()[i / 2];
          double answer = raw[4 * (i / 2) + 2 * half + i % 2];
          double a2 = 1 / (1 + s * s);
          expected[i] += (float) (half == 0 ? (1 - a2) * answer : a2 * (in[i] - s * answer));
        }
      }
      assertArrayEquals(expected, actual, 1e-4f);
      Mlp single = new Mlp(toy, device, Rng.of(4));
      ShapeException e =
          assertThrows(
              ShapeException.class,
              () -> new NetworkDenoiser(single, both).denoise(x, sigma, null));
      assertTrue(e.getMessage().contains("twice the data's channels"), e.getMessage());
    }
  }
}
