package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.Samplers.Method;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Noise of one Brownian path: one picture of a seed, whatever the steps, and from any sampler of
 * the same SDE. Data are N(0, 0.25), and so nearly are the samples of one start.
 */
class SamplerPathTest {
  private static final double HIGH = 10;
  private static final double LOW = .002;

  private static final Denoiser EXACT =
      ExactDenoisers.gaussian(new double[] {0}, new double[] {.25});

  /** Samples of the same starts, with the noise of this seed. */
  private static float[] draw(Sampler sampler, long seed) {
    try (Scope scope = Scope.open()) {
      Tensor noise = Rng.of(3).normal(Device.cpu(), Shape.of(200, 1));
      return sampler.sample(EXACT, noise, null, Rng.of(seed)).toFloats();
    }
  }

  private static double distance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += Math.pow(a[i] - b[i], 2);
    }
    return Math.sqrt(sum / a.length);
  }

  private static Sampler onGrid(String settings, int steps) {
    double[] sigmas = NoiseLevels.toZero(NoiseLevels.karras(steps + 1, LOW, HIGH, 7));
    return Samplers.of(SamplerSettings.parse(settings), sigmas);
  }

  private static Sampler adaptive(SamplerSettings settings) {
    return Samplers.of(settings, HIGH, LOW, 0);
  }

  private static void assertOnePicture(Sampler coarse, Sampler fine) {
    float[] made = draw(coarse, 4);
    double same = distance(made, draw(fine, 4));
    double other = distance(made, draw(coarse, 5));
    String told = Samplers.settings(coarse) + ": " + same + " apart, other seeds " + other;
    assertTrue(same > 0 && same < other / 4, told);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "double_steps",
        "euler:s_churn=5",
        "heun:s_churn=5",
        "dpm_2:s_churn=5",
        "heun:s_churn=5,s_tmin=0.05,s_tmax=5,s_noise=1.1"
      })
  void twiceTheStepsGiveNearlyTheSamePicture(String settings) {
    assertOnePicture(onGrid(settings, 40), onGrid(settings, 80));
  }

  /**
   * The steps are told by what two orders of the ODE's part differ by; noise wants more of them.
   */
  @ParameterizedTest
  @CsvSource({"eta=1, .01, .0001", "'eta=1,order=2', .05, .002", "eta=0.5, .0001, .000005"})
  void tighterTolerancesGiveNearlyTheSamePicture(String settings, double loose, double tight) {
    Sampler[] samplers = new Sampler[2];
    for (int k = 0; k < 2; k++) {
      double tolerance = k == 0 ? loose : tight;
      samplers[k] =
          adaptive(
              SamplerSettings.parse("dpm_adaptive:" + settings)
                  .with(Tuning.RTOL, tolerance)
                  .with(Tuning.ATOL, tolerance / 5));
    }
    assertOnePicture(samplers[0], samplers[1]);
    assertTrue(samplers[1].evaluations() > 2 * samplers[0].evaluations());
  }

  /** The slope of the log distance from the picture of another sampler's many steps. */
  private static double order(Sampler coarse, Sampler fine, double ratio, String limit) {
    float[] picture = draw(onGrid(limit, 640), 4);
    double far = distance(draw(coarse, 4), picture);
    double near = distance(draw(fine, 4), picture);
    return Math.log(far / near) / Math.log(ratio);
  }

  /** DDIM over two steps and noise back up by one is the SDE of η = 1 in the limit. */
  @ParameterizedTest
  @ValueSource(strings = {"euler_ancestral", "dpmpp_2m_sde"})
  void doubleStepsLeadToTheSdesPicture(String limit) {
    double slope = order(onGrid("double_steps", 20), onGrid("double_steps", 80), 4, limit);
    assertEquals(1, slope, .2);
  }

  /** Steps of one size each, which a control without coefficients keeps. */
  @ParameterizedTest
  @CsvSource({"2, 1", "3, 1", "3, .5"})
  void adaptiveStepsLeadToTheSdesPicture(int order, double eta) {
    SamplerSettings settings =
        Method.DPM_ADAPTIVE
            .settings()
            .with(Tuning.ORDER, order)
            .with(Tuning.ETA, eta)
            .with(Tuning.ICOEFF, 0);
    Sampler coarse = adaptive(settings.with(Tuning.H_INIT, .4));
    Sampler fine = adaptive(settings.with(Tuning.H_INIT, .1));
    assertEquals(1, order(coarse, fine, 4, "euler_ancestral:eta=" + eta), .2);
  }

  /**
   * Churn's noises, told from what a model that always answers 0 is asked: unit noise in each step,
   * the last to σ = 0 too, and independent of that of the others. A γ of 1/4 is noise of 3/4 of a
   * level, as 1.25² = 1 + 0.75².
   */
  @Test
  void noisesOfChurnAreIndependent() {
    int n = 40_000;
    // The later levels lie closer than a step of churn goes up.
    double[] sigmas = {10, 3, 1, .9, 0};
    List<float[]> noises = new ArrayList<>();
    float[] state = new float[n];
    Denoiser nothing =
        (x, sigma, labels) -> {
          int i = noises.size();
          float[] raised = x.toFloats();
          float[] noise = new float[n];
          for (int j = 0; j < n; j++) {
            noise[j] = (float) ((raised[j] - state[j]) / (.75 * sigmas[i]));
            state[j] = (float) (raised[j] * sigmas[i + 1] / (1.25 * sigmas[i]));
          }
          noises.add(noise);
          return Tensor.zeros(x.device(), x.shape());
        };
    SamplerSettings settings = Method.EULER.settings().with(Tuning.S_CHURN, 1);
    try (Scope scope = Scope.open()) {
      Tensor still = Tensor.zeros(Device.cpu(), Shape.of(n, 1));
      Samplers.of(settings, sigmas).sample(nothing, still, null, Rng.of(4));
    }
    assertEquals(4, noises.size());
    for (int i = 0; i < 4; i++) {
      for (int j = 0; j <= i; j++) {
        double moment = 0;
        for (int k = 0; k < n; k++) {
          moment += (double) noises.get(i)[k] * noises.get(j)[k] / n;
        }
        // Four deviations of at most √2/√n.
        assertEquals(i == j ? 1 : 0, moment, .028, i + " and " + j);
      }
    }
  }
}
