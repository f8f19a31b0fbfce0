package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.Samplers.Method;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Single samplers against numbers and formulas that were found without them. */
class SamplerTablesTest {
  private static final Denoiser EXACT =
      ExactDenoisers.gaussian(new double[] {0}, new double[] {.25});

  private static final Denoiser MIXTURE =
      ExactDenoisers.mixture(
          new ExactDenoisers.Component(1, new double[] {-1}, new double[] {.04}, 0),
          new ExactDenoisers.Component(2, new double[] {1.5}, new double[] {.25}, 1));

  private static double unit(Sampler sampler) {
    try (Scope scope = Scope.open()) {
      Tensor one = Tensor.of(Device.cpu(), Shape.of(1, 1), 1f);
      return sampler.sample(EXACT, one, null, Rng.of(1)).item();
    }
  }

  /** Deviation of UniPC-2's samples over that of the data, from noise at 80. */
  @ParameterizedTest
  @CsvSource({
    "5, .874635, 2.784488",
    "10, 1.189867, 2.274533",
    "18, 1.048368, 1.133383",
    "40, 1.003752, 1.006793",
    "80, 1.000417, 1.000712"
  })
  void uniPc(int n, double bh2, double bh1) {
    double[] sigmas = NoiseLevels.toZero(NoiseLevels.karras(n));
    SamplerSettings settings = Method.UNIPC.settings();
    assertEquals(bh2, unit(Samplers.of(settings, sigmas)) / .5, 1e-5);
    SamplerSettings other = settings.with(Tuning.VARIANT, "bh1");
    assertEquals(bh1, unit(Samplers.of(other, sigmas)) / .5, 1e-5);
  }

  /** Meng et al.'s sampler on the cosine schedule: deviation of samples over that of the data. */
  @ParameterizedTest
  @CsvSource({"2, .400000", "4, .549410", "8, .668401", "16, .797924", "64, .940808"})
  void doubleSteps(int n, double expected) {
    int count = 40_000;
    double[] sigmas = NoiseLevels.cosine(n);
    Sampler sampler = Samplers.of(Method.DOUBLE_STEPS.settings().with(Tuning.START, "vp"), sigmas);
    double square = 0;
    try (Scope scope = Scope.open()) {
      Tensor noise = Rng.of(2).normal(Device.cpu(), Shape.of(count, 1));
      for (float x : sampler.sample(EXACT, noise, null, Rng.of(3)).toFloats()) {
        square += (double) x * x;
      }
    }
    // Four deviations of 1/√(2n) = 0.35 %.
    assertEquals(1, Math.sqrt(square / count) / .5 / expected, .014);
  }

  /** DDIM written for z = a x, with η, against the sampler on x, on DDPM's own table. */
  @ParameterizedTest
  @ValueSource(doubles = {0, .4, 1})
  void ddimIsThatOfTheVariancePreservingProcess(double eta) {
    double[] table = DiscreteLevels.ddpm();
    double[] sigmas = DiscreteLevels.at(table, 999, 700, 350, 120, 20);
    SamplerSettings settings =
        Method.DDIM.settings().with(Tuning.ETA, eta).with(Tuning.START, "vp");
    try (Scope scope = Scope.open()) {
      Tensor z = Tensor.of(Device.cpu(), Shape.of(2, 1), .8f, -1.3f);
      BrownianPath path = new BrownianPath(Rng.of(5).split(-1), 0, 1);
      Tensor state = z;
      for (int i = 0; i + 1 < sigmas.length; i++) {
        double at = a(sigmas[i]);
        double bt = sigmas[i] * at;
        double as = a(sigmas[i + 1]);
        double bs = sigmas[i + 1] * as;
        Tensor clean =
            MIXTURE.denoise(state.mul((float) (1 / at)), Samplers.level(state, sigmas[i]), null);
        Tensor epsilon = Samplers.combine(1 / bt, state, -at / bt, clean);
        double beta = bs * bs / (bt * bt) * (1 - at * at / (as * as));
        double rest = Math.sqrt(bs * bs - eta * eta * beta);
        Tensor next = Samplers.combine(as, clean, rest, epsilon);
        if (eta > 0 && bs > 0) {
          Tensor n = path.unit(z, sigmas[i], sigmas[i + 1]);
          next.addInPlace((float) (eta * Math.sqrt(beta)), n);
        }
        state = next;
      }
      float[] made = Samplers.of(settings, sigmas).sample(MIXTURE, z, null, Rng.of(5)).toFloats();
      assertArrayEquals(state.toFloats(), made, 2e-5f);
    }
  }

  private static double a(double sigma) {
    return 1 / Math.sqrt(1 + sigma * sigma);
  }

  /** LMS of order 2 on even levels is Adams and Bashforth's 3/2 and −1/2. */
  @Test
  void multistepCoefficientsAreAdamsAndBashforths() {
    double[] even = {5, 4, 3, 2, 1};
    double[][] known = {
      {1},
      {3 / 2.0, -1 / 2.0},
      {23 / 12.0, -16 / 12.0, 5 / 12.0},
      {55 / 24.0, -59 / 24.0, 37 / 24.0, -9 / 24.0}
    };
    for (int order = 1; order <= 4; order++) {
      for (int j = 0; j < order; j++) {
        double c = MultistepSamplers.coefficient(even, 3, j, order, TimeScale.SIGMA);
        assertEquals(-known[order - 1][j], c, 1e-12);
      }
    }
  }

  /** Extrapolation in any clock is exact for a constant: the coefficients sum to the step. */
  @Test
  void multistepCoefficientsSumToTheStep() {
    double[] sigmas = {80, 30, 9, 1, .1, 0};
    for (TimeScale scale : TimeScale.values()) {
      int last = scale == TimeScale.LOG ? 3 : 4;
      for (int i = 2; i <= last; i++) {
        double sum = 0;
        for (int j = 0; j < 3; j++) {
          sum += MultistepSamplers.coefficient(sigmas, i, j, 3, scale);
        }
        assertEquals(sigmas[i + 1] - sigmas[i], sum, 1e-9 * sigmas[i], scale + " at " + i);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"0, ''", "1, 1", "2, 2", "3, 2 1", "4, 3 1", "5, 3 2", "6, 3 2 1", "8, 3 3 2"})
  void fastMakesItsEvaluationsOfOrderThree(int evaluations, String orders) {
    StringBuilder text = new StringBuilder();
    for (int order : DpmSolver.orders(evaluations)) {
      text.append(text.isEmpty() ? "" : " ").append(order);
    }
    assertEquals(orders, text.toString());
  }

  /** Tighter tolerances take more evaluations and err less, and none is taken in vain. */
  @ParameterizedTest
  @ValueSource(ints = {2, 3})
  void adaptiveStepsHeedTheirTolerance(int order) {
    double[] sigmas = {80, .01};
    double exact = 80 * Math.sqrt((.25 + 1e-4) / (.25 + 6400));
    double[] errors = new double[3];
    int[] evaluations = new int[3];
    double[] tolerances = {.05, .005, .0005};
    for (int k = 0; k < 3; k++) {
      Sampler sampler =
          Samplers.of(
              Method.DPM_ADAPTIVE
                  .settings()
                  .with(Tuning.ORDER, order)
                  .with(Tuning.RTOL, tolerances[k])
                  .with(Tuning.ATOL, tolerances[k] / 10),
              sigmas);
      errors[k] = Math.abs(unit(sampler) / exact - 1);
      evaluations[k] = sampler.evaluations();
    }
    assertTrue(errors[0] < .3 && errors[1] < errors[0] / 3 && errors[2] < errors[1] / 3);
    assertTrue(evaluations[0] < evaluations[1] && evaluations[1] < evaluations[2]);
    assertEquals(0, evaluations[0] % order);
  }

  @Test
  void adaptiveStepsThatGoNowhereAreTold() {
    Denoiser broken = (x, sigma, labels) -> x.mul(Float.NaN);
    Sampler sampler = Samplers.of(Method.DPM_ADAPTIVE, 80, .01);
    try (Scope scope = Scope.open()) {
      Tensor one = Tensor.of(Device.cpu(), Shape.of(1, 1), 1f);
      Exception told =
          assertThrows(
              IllegalStateException.class, () -> sampler.sample(broken, one, null, Rng.of(1)));
      assertTrue(told.getMessage().contains("not finite"), told.getMessage());
    }
  }

  /** Both ways up to the error of the method, and into another class by another label. */
  @Test
  void encodingIsUndoneBySampling() {
    double[] up = new double[161];
    double[] down = NoiseLevels.karras(161, .01, 20, 7);
    for (int i = 0; i < up.length; i++) {
      up[i] = down[up.length - 1 - i];
    }
    try (Scope scope = Scope.open()) {
      float[] data = {-1.2f, -.9f, 1f, 2.1f};
      Tensor x = Tensor.of(Device.cpu(), Shape.of(4, 1), data);
      Tensor euler = Encoding.euler(MIXTURE, x, up, null);
      Tensor heun = Encoding.heun(MIXTURE, x, up, null);
      Tensor multistep = Encoding.multistep(MIXTURE, x, up, null);
      // Every second step of the grid leaves four times the error of second-order methods.
      assertArrayEquals(heun.toFloats(), multistep.toFloats(), .05f);
      assertArrayEquals(heun.toFloats(), euler.toFloats(), 1.5f);
      Samplers.Churn still = Samplers.Churn.none();
      float[] back = Samplers.heun(MIXTURE, heun, down, null, still, null).toFloats();
      assertArrayEquals(data, back, .01f);
      float[] rough = Samplers.euler(MIXTURE, euler, down, null).toFloats();
      assertArrayEquals(data, rough, .15f);

      Tensor first = Tensor.of(Device.cpu(), Shape.of(4), 0, 0, 0, 0);
      Tensor second = Tensor.of(Device.cpu(), Shape.of(4), 1, 1, 1, 1);
      Tensor code = Encoding.heun(MIXTURE, x, up, first);
      float[] translated = Samplers.heun(MIXTURE, code, down, second, still, null).toFloats();
      for (int i = 0; i < data.length; i++) {
        // The flow of one normal distribution after the inverse one of the other, to σ = 0.01.
        double normal = (data[i] + 1) / Math.sqrt(.04 + 1e-4) * Math.sqrt(.04 + 400) - 1;
        double expected = 1.5 + (normal - 1.5) * Math.sqrt((.25 + 1e-4) / (.25 + 400));
        assertEquals(expected, translated[i], .01);
      }
    }
  }

  @Test
  void encodingStartsFromCleanDataToo() {
    double[] down = NoiseLevels.karrasToZero(80);
    double[] up = new double[81];
    for (int i = 0; i < up.length; i++) {
      up[i] = down[80 - i];
    }
    try (Scope scope = Scope.open()) {
      Tensor x = Tensor.of(Device.cpu(), Shape.of(2, 1), .3f, -.6f);
      for (Tensor code :
          new Tensor[] {
            Encoding.euler(EXACT, x, up, null),
            Encoding.heun(EXACT, x, up, null),
            Encoding.multistep(EXACT, x, up, null)
          }) {
        // The exact code is x √((0.25 + 80²)/0.25), 160 x; Euler's is 4 % off.
        assertEquals(160, code.toFloats()[0] / .3, 8);
        assertEquals(-2, code.toFloats()[1] / code.toFloats()[0], 1e-5);
      }
      assertThrows(
          IllegalArgumentException.class,
          () -> Encoding.euler(EXACT, x, new double[] {2, 1}, null));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "magic 80 0 | there is no sampler",
        "euler:eta=1 80 0 | euler has no \"eta\", it has s_churn",
        "ddim:eta 80 0 | key=value",
        "ddim:eta=2 80 0 | between 0.0 and 1.0, not 2.0",
        "ddim:eta=much 80 0 | has to be a number",
        "unipc:order=4 80 0 | order is between 1 and 3",
        "unipc:order=1.5 80 0 | order is between 1 and 3",
        "unipc:variant=bh3 80 0 | one of bh2, bh1",
        "tcd:time=log 80 0 | one of vp, cosine, sigma, not log",
        "dpm_adaptive:order=1 80 0 | order is between 2 and 3",
        "euler 80 | at least one step",
        "euler 1 2 | noise levels have to fall",
        "euler 1 -1 | noise levels have to fall",
        "euler 80 x | x",
      })
  void whatIsNoSamplerIsRefused(String text, String said) {
    Exception told = assertThrows(IllegalArgumentException.class, () -> Samplers.parse(text));
    assertTrue(told.getMessage().contains(said), told.getMessage());
  }

  @Test
  void textsOfEarlierFilesAreRead() {
    assertEquals(1, Samplers.parse("renoising 80.0").evaluations());
    assertEquals(4, Samplers.parse("renoising 80.0 2.5 1.0 0.5").evaluations());
    assertEquals(2, Samplers.parse("euler 80.0 2.5 0.0").evaluations());
    assertEquals(3, Samplers.parse("heun 80.0 2.5 0.0").evaluations());
    assertEquals("dpm_solver_2m 80.0 2.5 0.0", Samplers.parse("dpm_solver_2m 80.0 2.5 0").text());
    assertEquals(Method.values().length, Samplers.list().size());
    SamplerSettings read = SamplerSettings.parse("DPMPP-2M-SDE:eta=0.5,solver=heun");
    assertEquals("dpmpp_2m_sde:eta=0.5,solver=heun", read.text());
  }
}
