package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ReflectedDiffusionTest {
  private static final double SWITCH_SIGMA = Math.sqrt(2 * ReflectedDiffusion.SWITCH);

  /** Where the one series takes over, both have the same density and score. */
  @Test
  void bothSeriesAgreeAtTheSwitch() {
    for (double factor : new double[] {.97, 1, 1.05}) {
      double sigma = SWITCH_SIGMA * factor;
      for (double y : new double[] {0, .05, .3, .5, .8, 1}) {
        for (double x : new double[] {0, .01, .25, .6, .99, 1}) {
          double[] images = ReflectedDiffusion.images(x, y, sigma);
          double[] cosines = ReflectedDiffusion.cosines(x, y, sigma);
          assertEquals(Math.exp(images[0]), Math.exp(cosines[0]), 1e-10);
          if (Math.abs(x - y) < .4) {
            // Far away the density is below 1e-3, and cosines cancel to it.
            assertEquals(images[1], cosines[1], 1e-8);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {.01, .05, .14, .142, .5, 5})
  void theKernelIsADensityAndItsScoreTheSlope(double sigma) {
    double h = 1e-5 * Math.min(sigma, .1);
    for (double y : new double[] {0, .03, .4, 1}) {
      int n = 20_000;
      double sum = 0;
      for (int i = 0; i < n; i++) {
        sum += Math.exp(ReflectedDiffusion.logDensity((i + .5) / n, y, sigma)) / n;
      }
      assertEquals(1, sum, 1e-6);
      for (double off : new double[] {-1.5, -.4, 0, .3, 1.2}) {
        double x = ReflectedDiffusion.reflect(y + off * Math.min(sigma, .3));
        double score = ReflectedDiffusion.score(x, y, sigma);
        double slope =
            (ReflectedDiffusion.logDensity(x + h, y, sigma)
                    - ReflectedDiffusion.logDensity(x - h, y, sigma))
                / (2 * h);
        assertEquals(slope, score, 1e-4 / sigma);
      }
      // No flow through the faces; cosines cancel to densities of e^-25 on the far one.
      assertEquals(0, ReflectedDiffusion.score(0, y, sigma), 1e-7 / sigma);
      assertEquals(0, ReflectedDiffusion.score(1, y, sigma), 1e-7 / sigma);
    }
  }

  @Test
  void reflectionIsATriangleWave() {
    double[] in = {0, .4, 1, 1.2, 2, 2.3, -.3, -1.6, 7.25};
    double[] out = {0, .4, 1, .8, 0, .3, .3, .4, .75};
    float[] floats = new float[in.length];
    float[] expected = new float[in.length];
    for (int i = 0; i < in.length; i++) {
      assertEquals(out[i], ReflectedDiffusion.reflect(in[i]), 1e-12);
      floats[i] = (float) in[i];
      expected[i] = (float) out[i];
    }
    try (Scope scope = Scope.open()) {
      Tensor x = Tensor.of(Device.cpu(), Shape.of(3, 3), floats);
      assertArrayEquals(expected, ReflectedDiffusion.reflect(x).toFloats(), 1e-6f);
    }
  }

  /** Noised data have the kernel's law: ten cells, and the mean of the score is ∫ p'. */
  @ParameterizedTest
  @ValueSource(doubles = {.1, .4, 3})
  void noisedDataFollowTheKernel(double sigma) {
    int n = 40_000;
    float y = .15f;
    try (Scope scope = Scope.open()) {
      Tensor clean = Tensor.full(Device.cpu(), Shape.of(n, 1), y);
      Tensor noise = Rng.of(6).normal(Device.cpu(), Shape.of(n, 1));
      float[] x = ReflectedDiffusion.noised(clean, sigma, noise).toFloats();
      int[] counts = new int[10];
      for (float each : x) {
        counts[Math.min(9, (int) (10 * each))]++;
      }
      for (int cell = 0; cell < 10; cell++) {
        double mass = 0;
        for (int i = 0; i < 1000; i++) {
          double at = (cell + (i + .5) / 1000) / 10;
          mass += Math.exp(ReflectedDiffusion.logDensity(at, y, sigma)) / 10_000;
        }
        // Four deviations of a share, at most 0.0025.
        assertEquals(mass, (double) counts[cell] / n, .01);
      }
      double[] sigmas = new double[n];
      Arrays.fill(sigmas, sigma);
      float[] target = ReflectedDiffusion.target(x, clean.toFloats(), sigmas);
      double sum = 0;
      for (float each : target) {
        sum += each * sigma / n;
      }
      double ends =
          Math.exp(ReflectedDiffusion.logDensity(1, y, sigma))
              - Math.exp(ReflectedDiffusion.logDensity(0, y, sigma));
      // σ S has at most unit deviation: four of 1/√n.
      assertEquals(ends * sigma, sum, .02);
      assertThrows(
          IllegalArgumentException.class, () -> ReflectedDiffusion.target(x, new float[3], sigmas));
    }
  }

  /** Two points in the square, one three times as likely: the SDE and the ODE find both. */
  @Test
  void samplersReachTheData() {
    double[][] points = {{.1, .2}, {.9, .6}, {.9, .6}, {.9, .6}};
    ReflectedDiffusion.Score score = ReflectedDiffusion.empirical(points);
    int n = 1000;
    try (Scope scope = Scope.open()) {
      Tensor x = Rng.of(8).uniform(Device.cpu(), Shape.of(n, 2));
      double[] fine = NoiseLevels.exponential(150, .01, 5);
      double[] coarse = NoiseLevels.exponential(60, .01, 5);
      check(ReflectedDiffusion.sampleSde(score, x, fine, null, Rng.of(9), 0).toFloats());
      check(ReflectedDiffusion.sampleOde(score, x, coarse, null).toFloats());
    }
  }

  private static void check(float[] made) {
    int first = 0;
    int n = made.length / 2;
    for (int i = 0; i < n; i++) {
      boolean isFirst = made[2 * i] < .5;
      first += isFirst ? 1 : 0;
      // The last level is 0.01, five deviations and the last step's error.
      assertEquals(isFirst ? .1 : .9, made[2 * i], .08);
      assertEquals(isFirst ? .2 : .6, made[2 * i + 1], .08);
    }
    // A quarter, with a deviation of 1.4 %; coarse steps at large noise add some bias.
    assertTrue(Math.abs((double) first / n - .25) < .06, first + " of " + n);
  }
}
