package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.Samplers.Churn;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Samplers with the exact denoiser of N(0, 0.25): their numerical error is known exactly. */
class SamplersTest {
  private static final double DEVIATION = 0.5;

  private static final Denoiser EXACT =
      ExactDenoisers.gaussian(new double[] {0}, new double[] {DEVIATION * DEVIATION});

  /** Output over input: everything is linear in the state. */
  private static double factor(double start, ToDoubleFunction<Tensor> sampler) {
    try (Scope scope = Scope.open()) {
      Tensor x = Tensor.of(Device.cpu(), Shape.of(1, 1), (float) start);
      return sampler.applyAsDouble(x) / start;
    }
  }

  /** The exact flow from σ to r scales by √((v+r²)/(v+σ²)). */
  private static double exactFactor(double sigma, double r) {
    double v = DEVIATION * DEVIATION;
    return Math.sqrt((v + r * r) / (v + sigma * sigma));
  }

  private static Churn still() {
    return Churn.none();
  }

  @ParameterizedTest
  @CsvSource({
    "2, .010250, 80.0028", "11, .752777, 1.174619", "18, .846086, 1.055278",
    "40, .929727, 1.009782", "151, .981233, 1.000635", "321, .991159, 1.000138",
    "1281, .997782, 1.000009"
  })
  void consistencyGrid(int n, double euler, double heun) {
    double[] sigmas = NoiseLevels.karras(n);
    double exact = exactFactor(80, .002);
    double e = factor(80, x -> Samplers.euler(EXACT, x, sigmas, null).item()) / exact;
    double h = factor(80, x -> Samplers.heun(EXACT, x, sigmas, null, still(), null).item()) / exact;
    assertEquals(euler, e, 1e-5);
    assertEquals(heun, h, 1e-5 * heun);
  }

  @ParameterizedTest
  @CsvSource({
    "5, .467258, 2.515773, .865304", "10, .730426, 1.219596, 1.158773",
    "18, .846063, 1.055249, 1.062280", "40, .929702, 1.009754, 1.010385",
    "80, .964641, 1.002291, 1.002360"
  })
  void samplingToZero(int n, double euler, double heun, double dpm) {
    double[] sigmas = NoiseLevels.toZero(NoiseLevels.karras(n));
    // x = 80 n with unit n, over the deviation of the data.
    double unit = 80 / DEVIATION;
    assertEquals(
        euler, unit * factor(80, x -> Samplers.euler(EXACT, x, sigmas, null).item()), 1e-5);
    assertEquals(
        heun,
        unit * factor(80, x -> Samplers.heun(EXACT, x, sigmas, null, still(), null).item()),
        1e-5 * heun);
    assertEquals(
        dpm, unit * factor(80, x -> Samplers.dpmSolver2M(EXACT, x, sigmas, null).item()), 1e-5);
  }

  /** DDIM on the cosine schedule: the variance-preserving start is z = n, so x = n/a. */
  @ParameterizedTest
  @CsvSource({
    "1, .000023",
    "2, .400005",
    "4, .666877",
    "8, .822747",
    "16, .907853",
    "64, .976187",
    "256, .993994",
    "1024, .998495"
  })
  void cosineSchedule(int n, double expected) {
    double[] sigmas = NoiseLevels.cosine(n);
    double a = 1 / Math.sqrt(1 + sigmas[0] * sigmas[0]);

    double factor = factor(1 / a, x -> Samplers.euler(EXACT, x, sigmas, null).item()) / a;
    assertEquals(expected, factor / DEVIATION, 1e-5);
  }

  @Test
  void convergenceOrders() {
    assertEquals(1, order((x, s) -> Samplers.euler(EXACT, x, s, null)), .1);
    assertEquals(2, order((x, s) -> Samplers.heun(EXACT, x, s, null, still(), null)), .15);
    assertEquals(2, order((x, s) -> Samplers.dpmSolver2M(EXACT, x, s, null)), .25);
  }

  @FunctionalInterface
  private interface OnGrid {
    Tensor sample(Tensor x, double[] sigmas);
  }

  /** The slope of log error against log steps between 20 and 80 steps from σ = 10 to 0.1. */
  private static double order(OnGrid sampler) {
    double exact = exactFactor(10, .1);
    double[] error = new double[2];
    for (int k = 0; k < 2; k++) {
      double[] sigmas = NoiseLevels.karras(k == 0 ? 21 : 81, .1, 10, 7);
      error[k] = Math.abs(factor(10, x -> sampler.sample(x, sigmas).item()) / exact - 1);
    }
    return Math.log(error[0] / error[1]) / Math.log(4);
  }

  /** With an exact denoiser churn changes the path, not the distribution. */
  @Test
  void churnPreservesTheMarginal() {
    int n = 20_000;
    double[] sigmas = NoiseLevels.toZero(NoiseLevels.karras(120));
    try (Scope scope = Scope.open()) {
      Rng rng = Rng.of(5);
      Tensor x = rng.split(1).normal(Device.cpu(), Shape.of(n, 1)).mul(80f);
      Churn churn = new Churn(40, .05, 50, 1);
      float[] out = Samplers.heun(EXACT, x, sigmas, null, churn, rng.split(2)).toFloats();
      double square = 0;
      for (float v : out) {
        square += (double) v * v;
      }
      // The deviation of n normal numbers is known to 1/√(2n) = 0.5 %; 4 of these.
      assertEquals(DEVIATION, Math.sqrt(square / n), DEVIATION * .02);
    }
  }

  @Test
  void mixtureSamplesLandOnItsModes() {
    Denoiser mixture =
        ExactDenoisers.mixture(
            new ExactDenoisers.Component(1, new double[] {-2}, new double[] {.01}, 0),
            new ExactDenoisers.Component(3, new double[] {2}, new double[] {.01}, 1));
    try (Scope scope = Scope.open()) {
      int n = 4000;
      Tensor x = Rng.of(7).normal(Device.cpu(), Shape.of(n, 1)).mul(80f);
      double[] sigmas = NoiseLevels.toZero(NoiseLevels.karras(64));
      float[] out = Samplers.heun(mixture, x, sigmas, null, still(), null).toFloats();
      int right = 0;
      for (float v : out) {
        assertTrue(Math.abs(Math.abs(v) - 2) < .6, "no sample lies between the modes: " + v);
        right += v > 0 ? 1 : 0;
      }
      // A share of 3/4 of 4000 has a deviation of 0.7 %; the grid adds some bias.
      assertEquals(.75, (double) right / n, .03);
    }
  }
}
