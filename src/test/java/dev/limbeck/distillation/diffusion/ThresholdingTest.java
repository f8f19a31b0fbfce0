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

class ThresholdingTest {
  /** Answers its input: what comes out is what the rule makes of it. */
  private static final Denoiser IDENTITY = (x, sigma, labels) -> x;

  private static float[] apply(Denoiser rule, Shape shape, float... values) {
    try (Scope scope = Scope.open()) {
      Tensor x = Tensor.of(Device.cpu(), shape, values);
      Tensor made = rule.denoise(x, Samplers.level(x, 1), null);
      assertEquals(shape, made.shape());
      assertArrayEquals(values, x.toFloats());
      return made.toFloats();
    }
  }

  @Test
  void clippingBoundsEachNumber() {
    Denoiser rule = Thresholding.clipped(IDENTITY, -1, 1);
    assertArrayEquals(
        new float[] {-1, -.5f, .25f, 1}, apply(rule, Shape.of(2, 2), -3, -.5f, .25f, 1.5f));
  }

  @Test
  void channelsHaveBoundsOfTheirOwn() {
    Denoiser clip = Thresholding.clipped(IDENTITY, new double[] {-1, 0}, new double[] {1, 5});
    assertArrayEquals(new float[] {-1, 0, 1, 5}, apply(clip, Shape.of(1, 2, 2), -3, -3, 7, 7));
    Denoiser fold = Thresholding.reflected(IDENTITY, new double[] {-1, 0}, new double[] {1, 5});
    assertArrayEquals(
        new float[] {1, 3, -.5f, 3}, apply(fold, Shape.of(1, 2, 2), -3, -3, 2.5f, 7), 1e-5f);
    assertThrows(IllegalArgumentException.class, () -> apply(clip, Shape.of(1, 3), 0, 0, 0));
  }

  /** The rule written out for one sample after another. */
  @Test
  void dynamicThresholdingDividesByTheQuantile() {
    int width = 41;
    float[] values = new float[3 * width];
    Rng.of(1).normal(values);
    for (int i = 0; i < width; i++) {
      values[i] *= .1f; // within bounds: left alone
      values[2 * width + i] *= 10f;
    }
    double p = .9;
    double[] limits = {Double.POSITIVE_INFINITY, 2};
    for (double most : limits) {
      float[] made = apply(Thresholding.dynamic(IDENTITY, p, 1, most), Shape.of(3, width), values);
      for (int row = 0; row < 3; row++) {
        float[] sorted = Arrays.copyOfRange(values, row * width, (row + 1) * width);
        for (int i = 0; i < width; i++) {
          sorted[i] = Math.abs(sorted[i]);
        }
        Arrays.sort(sorted);
        double q = Math.min(most, Math.max(1, sorted[36])); // 0.9 of 40 intervals
        for (int i = 0; i < width; i++) {
          double x = values[row * width + i];
          assertEquals(Math.max(-q, Math.min(q, x)) / q, made[row * width + i], 1e-5);
        }
      }
    }
    assertThrows(IllegalArgumentException.class, () -> Thresholding.dynamic(IDENTITY, 2, 1, 3));
    assertThrows(IllegalArgumentException.class, () -> Thresholding.dynamic(IDENTITY, .9, 1, .5));
  }

  @Test
  void reflectionFolds() {
    Denoiser rule = Thresholding.reflected(IDENTITY, -1, 1);
    float[] values = new float[400];
    for (int i = 0; i < values.length; i++) {
      values[i] = (i - 200) * .37f;
    }
    float[] made = apply(rule, Shape.of(4, 100), values);
    for (int i = 0; i < values.length; i++) {
      double expected = 2 * ReflectedDiffusion.reflect((values[i] + 1) / 2.0) - 1;
      assertEquals(expected, made[i], 2e-5); // floats of size 74 have a last place of 8e-6
    }
  }

  /** A sampler whose estimates are clipped ends inside, also where guidance drives them out. */
  @Test
  void clippedSamplesStayInside() {
    Denoiser teacher =
        ExactDenoisers.mixture(
            new ExactDenoisers.Component(1, new double[] {-.7}, new double[] {.02}, 0),
            new ExactDenoisers.Component(1, new double[] {.7}, new double[] {.02}, 1));
    double[] sigmas = NoiseLevels.toZero(NoiseLevels.karras(12));
    try (Scope scope = Scope.open()) {
      Tensor noise = Rng.of(4).normal(Device.cpu(), Shape.of(200, 1));
      Tensor labels = Tensor.constant(Device.cpu(), Shape.of(200), new int[200]);
      Denoiser guided = teacher.guided(8);
      assertTrue(outside(Samplers.eulerOn(sigmas).sample(guided, noise, labels, null)) > 20);
      for (Denoiser rule :
          new Denoiser[] {
            Thresholding.clipped(guided, -1, 1),
            Thresholding.dynamic(guided, .995, 1, Double.POSITIVE_INFINITY),
            Thresholding.reflected(guided, -1, 1)
          }) {
        Tensor made = Samplers.eulerOn(sigmas).sample(rule, noise, labels, null);
        assertEquals(0, outside(made));
      }
    }
  }

  private static int outside(Tensor x) {
    int count = 0;
    for (float each : x.toFloats()) {
      count += Math.abs(each) > 1 ? 1 : 0;
    }
    return count;
  }
}
