package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.distillation.MatchingConfig.Adversarial;
import dev.limbeck.distillation.MatchingConfig.Inputs;
import dev.limbeck.distillation.MatchingConfig.Match;
import dev.limbeck.distillation.MatchingConfig.Metric;
import dev.limbeck.distillation.MatchingConfig.Normaliser;
import dev.limbeck.distillation.MatchingConfig.Reduction;
import dev.limbeck.distillation.MatchingConfig.Regression;
import dev.limbeck.distillation.MatchingConfig.Transport;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Generators that translate samples of a source, and what it costs them to move these. */
class TransportTest {
  private static final double[][] SOURCE = {{1, .3}, {.3, .5}};
  private static final Normal TARGET =
      new Normal(new double[] {2, -1}, new double[][] {{.4, -.2}, {-.2, .9}});

  /** A normal distribution in the plane, and its exact denoiser m + S (S + σ²)⁻¹ (x − m). */
  private record Normal(double[] mean, double[][] covariance) implements Denoiser {
    @Override
    public Tensor denoise(Tensor x, Tensor sigma, Tensor labels) {
      float[] noisy = x.toFloats();
      float[] levels = sigma.toFloats();
      float[] clean = new float[noisy.length];
      for (int i = 0; i < levels.length; i++) {
        double variance = (double) levels[i] * levels[i];
        double[][] s = covariance;
        double a = s[0][0] + variance;
        double d = s[1][1] + variance;
        double det = a * d - s[0][1] * s[0][1];
        double u = noisy[2 * i] - mean[0];
        double v = noisy[2 * i + 1] - mean[1];
        double p = (d * u - s[0][1] * v) / det;
        double q = (a * v - s[0][1] * u) / det;
        clean[2 * i] = (float) (mean[0] + s[0][0] * p + s[0][1] * q);
        clean[2 * i + 1] = (float) (mean[1] + s[0][1] * p + s[1][1] * q);
      }
      return Tensor.of(x.device(), x.shape(), clean);
    }
  }

  /** x ↦ A x + b, as (A row by row, b). */
  private record Affine(double[] of) {
    Tensor map(Tensor x) {
      float[] from = x.toFloats();
      float[] to = new float[from.length];
      for (int i = 0; i < to.length; i += 2) {
        to[i] = (float) (of[0] * from[i] + of[1] * from[i + 1] + of[4]);
        to[i + 1] = (float) (of[2] * from[i] + of[3] * from[i + 1] + of[5]);
      }
      return Tensor.of(x.device(), x.shape(), to);
    }

    /** What it makes of the source. */
    Normal image() {
      double[][] s = new double[2][2];
      for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++) {
          for (int k = 0; k < 4; k++) {
            s[i][j] += of[2 * i + k / 2] * SOURCE[k / 2][k % 2] * of[2 * j + k % 2];
          }
        }
      }
      return new Normal(new double[] {of[4], of[5]}, s);
    }

    /** E ‖A x + b − x‖² = tr (A − 1) S (A − 1)ᵀ + ‖b‖². */
    double cost() {
      Normal moved = new Affine(new double[] {of[0] - 1, of[1], of[2], of[3] - 1, 0, 0}).image();
      return moved.covariance[0][0] + moved.covariance[1][1] + of[4] * of[4] + of[5] * of[5];
    }
  }

  /** Samples of the source by its Cholesky factor. */
  private static Tensor source(long seed, int n) {
    float[] z = Rng.of(seed).normal(Device.cpu(), Shape.of(n, 2)).toFloats();
    for (int i = 0; i < z.length; i += 2) {
      z[i + 1] = (float) (.3 * z[i] + Math.sqrt(.41) * z[i + 1]);
    }
    return Tensor.of(Device.cpu(), Shape.of(n, 2), z);
  }

  private static MatchingConfig config(SigmaDraw noise, Reduction reduction, double lambda) {
    return Matchings.only(new Match(noise, Normaliser.NONE, false, reduction))
        .withLevels(1)
        .withInputs(Inputs.SOURCE)
        .withTransport(new Transport(lambda));
  }

  /** 24 levels from 10 to 0.02, in equal ratios. */
  private static SigmaDraw levels() {
    double[] sigma = new double[24];
    for (int i = 0; i < sigma.length; i++) {
      sigma[i] = 10 * Math.pow(.002, i / 23.0);
    }
    return new SigmaDraw.Table(sigma, 0);
  }

  /**
   * For each sample D_f − D_r + 2λ (x − x_S), over their number, and with the mean over that of the
   * coordinates too; the loss is its integral.
   */
  @Test
  void theGradientIsTheMatchsAndTheWayBack() {
    int n = 7;
    double lambda = .3;
    double sigma = .8;
    Normal believed = new Normal(new double[] {1, 1}, new double[][] {{.5, .1}, {.1, .2}});
    try (Scope scope = Scope.open()) {
      Tensor given = source(1, n);
      Tensor x = given.mul(.7f).add(.4f);
      StepInput in = new StepInput(0, Rng.of(2), given, null);
      Tensor noisy = x.add(in.noise("match").mul((float) sigma));
      Tensor level = Samplers.level(x, sigma);
      float[] step =
          believed.denoise(noisy, level, null).sub(TARGET.denoise(noisy, level, null)).toFloats();
      float[] moved = x.sub(given).toFloats();
      SigmaDraw one = new SigmaDraw.Table(new double[] {sigma}, 0);
      for (Reduction reduction : Reduction.values()) {
        double shared = reduction == Reduction.SUM ? n : 2 * n;
        MatchingConfig config = config(one, reduction, lambda);
        Matchings.Found found = Matchings.found(config, in, given, x, TARGET, believed);
        double loss = 0;
        for (int i = 0; i < step.length; i++) {
          double slope = (step[i] + 2 * lambda * moved[i]) / shared;
          assertEquals(slope, found.gradient()[i], 1e-6, reduction + ", " + i);
          loss += (step[i] * step[i] / 2 + lambda * moved[i] * moved[i]) / shared;
        }
        assertEquals(loss, found.loss(), 1e-6 * loss, reduction.name());
      }
    }
  }

  /** Descends from the identity, the critic being exact at all times. */
  private static Affine descended(double lambda) {
    MatchingConfig config = config(levels(), Reduction.SUM, lambda);
    int n = 2048;
    int steps = 400;
    double[] at = {1, 0, 0, 1, 0, 0};
    double[] mean = new double[6];
    for (int k = 0; k < steps; k++) {
      try (Scope scope = Scope.open()) {
        Tensor given = source(10_000 + k, n);
        Affine made = new Affine(at);
        StepInput in = new StepInput(k, Rng.of(3).split(k), given, null);
        float[] slope =
            Matchings.found(config, in, given, made.map(given), TARGET, made.image()).gradient();
        float[] x = given.toFloats();
        for (int i = 0; i < slope.length; i++) {
          int row = i % 2;
          at[2 * row] -= .4 * slope[i] * x[i - row];
          at[2 * row + 1] -= .4 * slope[i] * x[i - row + 1];
          at[4 + row] -= .4 * slope[i];
        }
        for (int j = 0; j < 6 && k >= steps / 2; j++) {
          mean[j] += at[j] * 2 / steps;
        }
      }
    }
    return new Affine(mean);
  }

  /**
   * Where the descent ends for a normal source and a normal target, found by minimising the exact
   * objective: nearer to the optimal transport, which costs 5.388, the less transport counts.
   */
  @Test
  void linearTranslationsEndWhereTheyShould() {
    double[] lambdas = {1, .2, .05};
    double[][] exact = {
      {.96915, -.02762, -.02762, 1.02504, .35998, -.14467},
      {.89506, -.10688, -.10690, 1.11073, 1.04521, -.46096},
      {.80328, -.23425, -.23425, 1.27548, 1.62748, -.77528}
    };
    double[] costs = {.15302, 1.33886, 3.39763};
    for (int k = 0; k < lambdas.length; k++) {
      assertEquals(costs[k], new Affine(exact[k]).cost(), 1e-4);
      Affine found = descended(lambdas[k]);
      // Half a million samples are averaged over.
      assertArrayEquals(exact[k], found.of, .006, "λ = " + lambdas[k]);
      assertEquals(found.of[1], found.of[2], .006, "an optimal transport's matrix is symmetric");
    }
  }

  private static DistributionMatching method(CpuDevice device, double lambda, int classes) {
    MatchingConfig config = config(levels(), Reduction.MEAN, lambda);
    DistributionMatching method =
        new DistributionMatching("test", config, Matchings.points(device, classes), 8);
    Matchings.disturb(method, "critic");
    return method;
  }

  private static double[] losses(DistributionMatching method, StepInput in) {
    double[] losses = new double[2];
    method.begin(in.step());
    for (int i = 0; i < 2; i++) {
      Objective objective = method.objectives().get(i);
      try (Tape tape = Tape.open(objective.optimizers().get(0).params().list())) {
        losses[i] = objective.loss(tape, in).value().item();
      }
    }
    return losses;
  }

  /** The generator is given the batch as it is; the critic learns what that becomes. */
  @Test
  void theLoopTranslatesItsBatches() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Tensor given = Tensor.of(device, Shape.of(8, 2), source(4, 8).toFloats());
      StepInput in = new StepInput(0, Rng.of(5), given, null);
      DistributionMatching method = method(device, .7, 0);
      double[] with = losses(method, in);
      double[] without = losses(method(device, 0, 0), in);
      Tensor made = method.translate(given, null);
      double cost = .7 * Matchings.meanSquare(made.sub(given));
      assertTrue(cost > .01, "it has moved: " + cost);
      assertEquals(cost, with[0] - without[0], 1e-5 * with[0]);

      double loss = Matchings.denoisingLoss(method, in, made);
      assertEquals(loss, with[1], 1e-4 * loss);
      assertEquals(with[1], without[1]);

      Tensor start = given.mul(1 / (float) method.config().levels()[0]);
      float[] sampled =
          method.sampler().sample(method.student(), start, null, Rng.of(0)).toFloats();
      assertArrayEquals(made.toFloats(), sampled, 1e-6f);
    }
  }

  /** A sample of the source is asked to become one of its own class. */
  @Test
  void classesAreTheBatchs() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Tensor given = Tensor.of(device, Shape.of(8, 2), source(4, 8).toFloats());
      double[] found = new double[2];
      for (int c = 0; c < 2; c++) {
        int[] all = new int[8];
        Arrays.fill(all, c);
        Tensor labels = Tensor.of(device, Shape.of(8), all);
        found[c] = losses(method(device, 0, 3), new StepInput(0, Rng.of(5), given, labels))[1];
      }
      assertNotEquals(found[0], found[1]);
    }
  }

  private static void assertRefused(String part, Runnable made) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, made::run);
    assertTrue(e.getMessage().contains(part), e.getMessage());
  }

  @Test
  void whatDoesNotGoWithASourceIsRefused() {
    MatchingConfig plain = Dmd2.Config.paper().loop().withAdversarial(Adversarial.none());
    assertRefused(
        "the inputs SIMULATED have none: it needs the inputs SOURCE",
        () -> plain.withTransport(new Transport(1)));
    for (double wrong : new double[] {-1, Double.NaN, Double.POSITIVE_INFINITY}) {
      assertRefused("has to be 0 or more, not " + wrong, () -> new Transport(wrong));
    }
    assertRefused(
        "at one noise level, not at [80.0, 1.0]",
        () -> plain.withLevels(80, 1).withInputs(Inputs.SOURCE));
    MatchingConfig source = plain.withInputs(Inputs.SOURCE);
    assertRefused(
        "its generatorWeight has to be 0, not 0.003",
        () -> source.withAdversarial(Adversarial.of(3e-3, 1e-2)));
    assertRefused(
        "its weight has to be 0, not 0.25",
        () -> source.withRegression(new Regression(.25, 10, new double[] {80, 1, 0}, Metric.L2)));
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Teacher teacher = Matchings.points(device, 0);
      DistributionMatching translates = new DistributionMatching("test", source, teacher, 8);
      assertRefused("SIMULATED and NOISED_DATA do", () -> translates.drawFrom(NoisyInputs.FORWARD));
      DistributionMatching draws = new DistributionMatching("test", plain, teacher, 8);
      Tensor any = Tensor.zeros(device, Shape.of(1, 2));
      IllegalStateException e =
          assertThrows(IllegalStateException.class, () -> draws.translate(any, null));
      assertTrue(e.getMessage().contains("one with SIMULATED does not"), e.getMessage());
    }
  }
}
