package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import org.junit.jupiter.api.Test;

/** The gradient of distribution matching is that of a divergence. */
class MatchingGradientTest {
  private static final double M = -.5;
  private static final double V = .25;
  private static final Denoiser TEACHER =
      ExactDenoisers.gaussian(new double[] {M}, new double[] {V});

  /** The step x − target of every sample, with the exact critic of N(b, a²). */
  private static float[] steps(Tensor x, double a, double b, double sigma, long seed) {
    Denoiser critic = ExactDenoisers.gaussian(new double[] {b}, new double[] {a * a});
    Tensor level = Tensor.full(x.device(), Shape.of(x.dim(0)), (float) sigma);
    Tensor noisy = x.add(Rng.of(seed).normal(x.device(), x.shape()).mul((float) sigma));
    Tensor target =
        MatchingGradient.target(
            x, TEACHER.denoise(noisy, level, null), critic.denoise(noisy, level, null), false);
    return x.sub(target).toFloats();
  }

  /**
   * With exact critic N(b, v) and teacher N(m, v) the step is σ² ∂KL/∂b = σ² (b − m)/(v + σ²), for
   * every x.
   */
  @Test
  void matchingGradientIsThatOfTheDivergence() {
    double b = 1.5;
    try (Scope scope = Scope.open()) {
      Tensor x = Rng.of(2).normal(Device.cpu(), Shape.of(50, 1));
      for (double sigma : new double[] {.01, .3, 1, 5, 60}) {
        for (float step : steps(x, Math.sqrt(V), b, sigma, 3)) {
          assertEquals(sigma * sigma * (b - M) / (V + sigma * sigma), step, 2e-6);
        }
      }
    }
  }

  /**
   * For x = a z + b: E ∂b = σ² (b − m)/(v + σ²) and E ∂a = σ² a (a² − v)/((v + σ²)(a² + σ²)), which
   * is σ² ∂KL/∂(a, b); a mean of 200,000 samples errs by less than five of its deviations.
   */
  @Test
  void theExpectedGradientIsThatOfTheDivergence() {
    int n = 200_000;
    double a = .9;
    double b = .3;
    try (Scope scope = Scope.open()) {
      Tensor z = Rng.of(5).normal(Device.cpu(), Shape.of(n, 1));
      float[] drawn = z.toFloats();
      for (double sigma : new double[] {.1, .5, 2, 10}) {
        float[] step = steps(z.mul((float) a).add((float) b), a, b, sigma, 6);
        double[] sum = new double[2];
        double[] squares = new double[2];
        for (int i = 0; i < n; i++) {
          double[] each = {step[i] * drawn[i], step[i]};
          for (int k = 0; k < 2; k++) {
            sum[k] += each[k] / n;
            squares[k] += each[k] * each[k] / n;
          }
        }
        double s2 = sigma * sigma;
        double ofA = s2 * a * (a * a - V) / ((V + s2) * (a * a + s2));
        double ofB = s2 * (b - M) / (V + s2);
        assertEquals(ofA, sum[0], 5 * Math.sqrt(squares[0] / n), "∂a at " + sigma);
        assertEquals(ofB, sum[1], 5 * Math.sqrt(squares[1] / n), "∂b at " + sigma);
      }
    }
  }

  /** Gradient flow with the critic exact at all times ends at b = m, a = √v. */
  @Test
  void gradientFlowReachesTheTeacher() {
    double a = 2;
    double b = 1;
    int n = 256;
    try (Scope scope = Scope.open()) {
      for (int k = 0; k < 300; k++) {
        try (Scope step = Scope.open()) {
          Tensor z = Rng.of(k).normal(Device.cpu(), Shape.of(n, 1));
          float[] drawn = z.toFloats();
          double sigma = Math.exp(-1.2 + 1.2 * Rng.of(k).split(1).nextDouble());
          float[] moved = steps(z.mul((float) a).add((float) b), a, b, sigma, 1000 + k);
          for (int i = 0; i < n; i++) {
            a -= .1 * moved[i] * drawn[i] / n;
            b -= .1 * moved[i] / n;
          }
        }
      }
    }
    // Noise of the last steps: a tenth of √(1/256), whatever is left of the way is smaller.
    assertEquals(M, b, .02);
    assertEquals(Math.sqrt(V), a, .02);
  }

  /**
   * Overshoot of the generator's mean b from 3 to 0; the critic's c starts there and follows it.
   */
  private static double overshoot(double ratio) {
    double g = .02;
    double b = 3;
    double c = 0;
    double least = 3;
    for (int k = 0; k < 5000; k++) {
      double moved = b - g * c;
      c += ratio * g * (b - c);
      b = moved;
      least = Math.min(least, b);
    }
    return -Math.min(0, least) / 3;
  }

  /**
   * b' = −g (c − m), c' = κ (b − c) does not oscillate if κ ≥ 4g: why the critic has more steps.
   * The closed form of the overshoot is exp(−π/√(4g/κ − 1)); five steps of Euler's in a hundred
   * leave a percent.
   */
  @Test
  void aCriticFourTimesAsFastDoesNotOvershoot() {
    for (double ratio : new double[] {.5, 1, 2}) {
      double exact = Math.exp(-Math.PI / Math.sqrt(4 / ratio - 1));
      assertEquals(exact, overshoot(ratio), .01, "κ/g = " + ratio);
    }
    for (double ratio : new double[] {4, 5, 10}) {
      assertEquals(0, overshoot(ratio), 1e-4);
    }
  }
}
