package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.Samplers.Method;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Edits with exact denoisers, whose results are known. */
class EditingTest {
  private static final int N = 500;

  /** Class 0 lies below, class 1 above; each has a mode on the left and one on the right. */
  private static final Denoiser CORNERS =
      ExactDenoisers.mixture(
          corner(-1, -1, 0), corner(1, -.5, 0), corner(-1, .5, 1), corner(1, 1, 1));

  private static ExactDenoisers.Component corner(double x, double y, int label) {
    return new ExactDenoisers.Component(1, new double[] {x, y}, new double[] {.01, .01}, label);
  }

  private static Tensor points(double x, double y) {
    float[] all = new float[2 * N];
    for (int i = 0; i < N; i++) {
      all[2 * i] = (float) x;
      all[2 * i + 1] = (float) y;
    }
    return Tensor.of(Device.cpu(), Shape.of(N, 2), all);
  }

  private static Tensor labels(int label) {
    int[] all = new int[N];
    Arrays.fill(all, label);
    return Tensor.constant(Device.cpu(), Shape.of(N), all);
  }

  private static double share(float[] points, double x, double y) {
    int near = 0;
    for (int i = 0; i < N; i++) {
      near += Math.hypot(points[2 * i] - x, points[2 * i + 1] - y) < .4 ? 1 : 0;
    }
    return (double) near / N;
  }

  /** The known coordinate says which mode, and the mode says what the open one is. */
  @ParameterizedTest
  @EnumSource(
      value = Method.class,
      names = {"EULER", "RENOISING"})
  void inpainting(Method method) {
    Sampler sampler = Samplers.of(method, NoiseLevels.shiftedCosine(4, .5, 80));
    if (method == Method.RENOISING) {
      sampler = Samplers.of(method, Arrays.copyOf(NoiseLevels.shiftedCosine(4, .5, 80), 4));
    }
    for (double side : new double[] {-1, 1}) {
      try (Scope scope = Scope.open()) {
        Tensor mask = points(1, 0);
        float[] made =
            Editing.inpaint(CORNERS, sampler, points(side, 7), mask, labels(0), Rng.of(2))
                .toFloats();
        for (int i = 0; i < N; i++) {
          assertEquals(side, made[2 * i], 1e-6, "what is known stays");
        }
        double share = share(made, side, side < 0 ? -1 : -.5);
        assertTrue(share > .95, method + " at " + side + ": " + share);
      }
    }
  }

  /** Little noise leaves a point in its mode; noise that hides the modes draws the class anew. */
  @Test
  void variationKeepsWhatTheNoiseDoesNotHide() {
    Sampler whole = Samplers.eulerOn(20, 8, 3, 1, .5, .25, .1, 0);
    try (Scope scope = Scope.open()) {
      Tensor given = points(-1, -1);
      float[] near =
          Editing.vary(CORNERS, Editing.from(whole, 5), given, labels(0), Rng.of(3)).toFloats();
      assertTrue(share(near, -1, -1) > .99, "near: " + share(near, -1, -1));
      float[] other =
          Editing.vary(CORNERS, Editing.from(whole, 3), given, labels(1), Rng.of(3)).toFloats();
      // Noise of deviation 1 hides the class, and of left and right leaves about 2 in 3.
      assertTrue(share(other, -1, .5) > .6, "other class: " + share(other, -1, .5));
      assertTrue(share(other, -1, .5) + share(other, 1, 1) > .95);
      float[] far =
          Editing.vary(CORNERS, Editing.from(whole, 0), given, labels(1), Rng.of(3)).toFloats();
      assertEquals(.5, share(far, 1, 1), .1);
    }
  }

  @Test
  void partsOfASampler() {
    Sampler whole = Samplers.eulerOn(20, 8, 3, 0);
    assertArrayEquals(new double[] {8, 3, 0}, Editing.levels(Editing.from(whole, 1)));
    assertEquals(2, Editing.from(whole, 1).evaluations());
  }

  /** Between two normal distributions the way there and back is an affine map. */
  @Test
  void transferBetweenNormalDistributions() {
    double[] means = {-.4, .7};
    double[] variances = {.04, .25};
    Denoiser exact =
        ExactDenoisers.mixture(
            new ExactDenoisers.Component(
                1, new double[] {means[0]}, new double[] {variances[0]}, 0),
            new ExactDenoisers.Component(
                1, new double[] {means[1]}, new double[] {variances[1]}, 1));
    double[] ascending = NoiseLevels.exponential(800, .002, 80);
    for (int i = 0, j = ascending.length - 1; i < j; i++, j--) {
      double swapped = ascending[i];
      ascending[i] = ascending[j];
      ascending[j] = swapped;
    }
    Sampler sampler = Samplers.eulerOn(NoiseLevels.toZero(NoiseLevels.exponential(800, .002, 80)));
    try (Scope scope = Scope.open()) {
      float[] given = {-.8f, -.4f, -.1f};
      Tensor x = Tensor.of(Device.cpu(), Shape.of(3, 1), given);
      Tensor from = Tensor.constant(Device.cpu(), Shape.of(3), 0, 0, 0);
      Tensor to = Tensor.constant(Device.cpu(), Shape.of(3), 1, 1, 1);
      float[] back = Editing.transfer(exact, ascending, exact, sampler, x, from, from).toFloats();
      assertArrayEquals(given, back, .01f);
      float[] there = Editing.transfer(exact, ascending, exact, sampler, x, from, to).toFloats();
      for (int i = 0; i < 3; i++) {
        double scaled = Math.sqrt(variances[1] / variances[0]) * (given[i] - means[0]);
        // 800 steps of Euler's method, each way.
        assertEquals(means[1] + scaled, there[i], .02);
      }
    }
  }
}
