package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.distillation.MatchingConfig.Match;
import dev.limbeck.distillation.MatchingConfig.Normaliser;
import dev.limbeck.distillation.MatchingConfig.Reduction;
import dev.limbeck.distillation.MatchingConfig.SigmaWeight;
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

  // ---- the loss ----

  private static final int ROWS = 5;
  private static final double[] MEAN = {.5, -.3};
  private static final double[] VARIANCE = {.25, .09};
  private static final double[] BELIEVED_MEAN = {0, .4};
  private static final double[] BELIEVED_VARIANCE = {.16, .5};
  private static final double[] LEVELS = {3, .7, .05};

  private static Tensor points() {
    return Rng.of(11).normal(Device.cpu(), Shape.of(ROWS, 2));
  }

  /** m + v/(v + σ²) (y − m). */
  private static double clean(double mean, double variance, double y, double sigma) {
    return mean + variance / (variance + sigma * sigma) * (y - mean);
  }

  /** D_r, then D_f, at the noise that the loss draws itself. */
  private static double[][] estimates(StepInput in, float[] x, double[] sigma) {
    float[] noise = in.noise("match").toFloats();
    double[][] of = new double[2][x.length];
    for (int i = 0; i < x.length; i++) {
      double s = sigma[i / 2];
      double y = x[i] + s * noise[i];
      of[0][i] = clean(MEAN[i % 2], VARIANCE[i % 2], y, s);
      of[1][i] = clean(BELIEVED_MEAN[i % 2], BELIEVED_VARIANCE[i % 2], y, s);
    }
    return of;
  }

  /** What the difference of the estimates of one sample is multiplied by. */
  private interface Factor {
    /**
     * For a sample.
     *
     * @param error mean |x − D_r|
     */
    double of(double sigma, double error);
  }

  /** Both reductions' slopes, the sample's factor being a constant of the gradient. */
  private static void assertLoss(
      Normaliser normaliser, boolean vpFactor, SigmaWeight weight, Factor factor) {
    SigmaDraw noise = new SigmaDraw.Table(LEVELS, 0);
    try (Scope scope = Scope.open()) {
      Tensor points = points();
      float[] x = points.toFloats();
      StepInput in = new StepInput(0, Rng.of(12), points, null);
      double[] sigma = noise.draw(in, "match");
      double[][] estimates = estimates(in, x, sigma);
      for (Reduction reduction : Reduction.values()) {
        MatchingConfig config =
            Matchings.only(new Match(noise, normaliser, vpFactor, reduction, weight));
        Matchings.Found found =
            Matchings.found(
                config,
                in,
                points,
                points,
                ExactDenoisers.gaussian(MEAN, VARIANCE),
                ExactDenoisers.gaussian(BELIEVED_MEAN, BELIEVED_VARIANCE));
        double shared = reduction == Reduction.SUM ? ROWS : 2 * ROWS;
        for (int i = 0; i < x.length; i++) {
          int first = i - i % 2;
          double error =
              (Math.abs(x[first] - estimates[0][first])
                      + Math.abs(x[first + 1] - estimates[0][first + 1]))
                  / 2;
          double slope =
              factor.of(sigma[i / 2], error) * (estimates[1][i] - estimates[0][i]) / shared;
          String which = normaliser + " " + weight + " " + reduction + ", " + i;
          assertEquals(slope, found.gradient()[i], 2e-5 * Math.abs(slope) + 1e-6, which);
        }
      }
    }
  }

  /** DMD's equation 8 divides each sample's difference by mean |x − D_r|, over all coordinates. */
  @Test
  void eachSampleIsDividedByItsOwnError() {
    assertLoss(Normaliser.PER_SAMPLE, false, SigmaWeight.SQUARED, (s, error) -> 1 / (error + 1e-5));
    assertLoss(
        Normaliser.PER_SAMPLE,
        true,
        SigmaWeight.SQUARED,
        (s, error) -> 1 / Math.sqrt(1 + s * s) / (error + 1e-5));
  }

  @Test
  void theExpectedErrorIsThatOfTheLevel() {
    assertLoss(
        Normaliser.EXPECTED,
        false,
        SigmaWeight.SQUARED,
        (s, error) -> Math.sqrt(s * s + .25) / (s * .5));
  }

  @Test
  void weightsMultiplyTheDivergence() {
    assertLoss(Normaliser.NONE, false, SigmaWeight.SQUARED, (s, error) -> 1);
    assertLoss(Normaliser.NONE, false, SigmaWeight.UNIT, (s, error) -> 1 / (s * s));
    assertLoss(
        Normaliser.NONE, false, SigmaWeight.EDM, (s, error) -> (s * s + .25) / (s * s * .25));
    assertLoss(
        Normaliser.PER_SAMPLE, false, SigmaWeight.UNIT, (s, error) -> 1 / (s * s) / (error + 1e-5));
  }

  /** Half the squared step: one sample of one coordinate, by hand. */
  @Test
  void theLossIsHalfTheSquaredStep() {
    SigmaDraw noise = new SigmaDraw.Table(new double[] {1}, 0);
    try (Scope scope = Scope.open()) {
      Tensor x = Tensor.of(Device.cpu(), Shape.of(1, 1), new float[] {2});
      StepInput in = new StepInput(0, Rng.of(13), x, null);
      // Of equal variance, D_f − D_r = σ²/(v + σ²) (1 − m) whatever the noise.
      Denoiser critic = ExactDenoisers.gaussian(new double[] {1}, new double[] {V});
      MatchingConfig config =
          Matchings.only(new Match(noise, Normaliser.NONE, false, Reduction.MEAN));
      double step = 1.5 / 1.25;
      assertEquals(
          step * step / 2, Matchings.found(config, in, x, x, TEACHER, critic).loss(), 1e-6);
    }
  }

  /**
   * ∂KL/∂(b, a) between N(b, a² + σ²) and N(0.7, 0.5² + σ²) for x = a z + b, a = 1.1, b = −0.2, at
   * two levels: without a weight the loss has just these slopes.
   */
  @Test
  void theUnitWeightGivesTheDivergenceItself() {
    int n = 200_000;
    double[][] known = {{.3, -2.647059, 2.389140}, {1, -.72, .382262}};
    Denoiser teacher = ExactDenoisers.gaussian(new double[] {.7}, new double[] {.25});
    Denoiser critic = ExactDenoisers.gaussian(new double[] {-.2}, new double[] {1.21});
    try (Scope scope = Scope.open()) {
      Tensor z = Rng.of(14).normal(Device.cpu(), Shape.of(n, 1));
      float[] drawn = z.toFloats();
      Tensor x = z.mul(1.1f).add(-.2f);
      StepInput in = new StepInput(0, Rng.of(15), x, null);
      for (double[] each : known) {
        SigmaDraw noise = new SigmaDraw.Table(new double[] {each[0]}, 0);
        MatchingConfig config =
            Matchings.only(
                new Match(noise, Normaliser.NONE, false, Reduction.MEAN, SigmaWeight.UNIT));
        float[] slope = Matchings.found(config, in, x, x, teacher, critic).gradient();
        double[] sum = new double[2];
        double[] squares = new double[2];
        for (int i = 0; i < n; i++) {
          double[] of = {slope[i], slope[i] * drawn[i]};
          for (int k = 0; k < 2; k++) {
            sum[k] += of[k];
            squares[k] += of[k] * of[k];
          }
        }
        for (int k = 0; k < 2; k++) {
          assertEquals(each[k + 1], sum[k], 4 * Math.sqrt(squares[k]), "at " + each[0]);
        }
      }
    }
  }
}
