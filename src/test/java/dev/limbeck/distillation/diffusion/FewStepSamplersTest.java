package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.distillation.diffusion.Samplers.Method;
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

/** The noise that samplers of flow maps add, number for number. */
class FewStepSamplersTest {
  private static final int ROWS = 5;
  private static final int FIRST_ROW = 3;

  /** What a model that always answers this has been asked, and the sample, last. */
  private static List<float[]> asked(SamplerSettings settings, float answer, double... sigmas) {
    List<float[]> all = new ArrayList<>();
    Denoiser constant =
        (x, sigma, labels) -> {
          all.add(x.toFloats());
          return Tensor.full(x.device(), x.shape(), answer);
        };
    try (Scope scope = Scope.open()) {
      Tensor noise = Tensor.zeros(Device.cpu(), Shape.of(ROWS, 2));
      all.add(
          Samplers.of(settings, sigmas)
              .sample(constant, noise, null, Rng.of(9), FIRST_ROW)
              .toFloats());
    }
    return all;
  }

  /** The answer and the unit noise of a step, of this deviation. */
  private static float[] noisy(float answer, double deviation, int step) {
    try (Scope scope = Scope.open()) {
      float[] n =
          Rng.of(9).split(step).normalRows(Device.cpu(), Shape.of(ROWS, 2), FIRST_ROW).toFloats();
      for (int i = 0; i < n.length; i++) {
        n[i] = (float) (answer + deviation * n[i]);
      }
      return n;
    }
  }

  /**
   * Pythagorean numbers: √(1 − 0.6²) = 0.8 and √(0.65² − 0.6²) = 0.25 of noise above ε = 0.6, and
   * √(1.3² − 0.5²) = 1.2 and √(0.65² − 0.5²) = √0.1725 above 0.5; the whole level where ε is 0, as
   * with methods that have none.
   */
  @ParameterizedTest
  @CsvSource({
    "'consistency:epsilon=0.6', 1, .65, .8, .25",
    "'consistency:epsilon=0.6,s_noise=0.5', 1, .65, .4, .125",
    "'consistency:epsilon=0.5', 1.3, .65, 1.2, .4153312",
    "'consistency:epsilon=0', 1, .65, 1, .65",
    "renoising, 1, .65, 1, .65",
    "'lcm:s_noise=0.5', 1, .65, .5, .325"
  })
  void noiseIsThatOfTheFormula(
      String settings, double second, double third, double one, double two) {
    float answer = .75f;
    List<float[]> asked = asked(SamplerSettings.parse(settings), answer, 80, second, third, 0);
    // Three levels are denoised, and the last answer is the sample.
    assertEquals(4, asked.size());
    assertArrayEquals(noisy(answer, one, 0), asked.get(1), 1e-6f);
    assertArrayEquals(noisy(answer, two, 1), asked.get(2), 1e-6f);
    assertArrayEquals(noisy(answer, 0, 2), asked.get(3));
  }

  /** At ε and below it a consistency function changes nothing: it is not asked there. */
  @Test
  void levelsUpToEpsilonAreNotDenoised() {
    SamplerSettings settings = Method.CONSISTENCY.settings().with(Tuning.EPSILON, .6);
    assertEquals(3, asked(settings, 0, 80, 1, .6, .3, 0).size());
    assertEquals(5, asked(settings.with(Tuning.EPSILON, 0), 0, 80, 1, .6, .3, 0).size());
    assertEquals(2, Samplers.of(settings, 80, 1, .6, .3, 0).evaluations());
  }

  /** ε is EDM's smallest level unless told: √(0.0025² − 0.002²) = 0.0015. */
  @Test
  void epsilonIsTheSmallestLevel() {
    List<float[]> asked = asked(Method.CONSISTENCY.settings(), 0, 80, .0025);
    assertArrayEquals(noisy(0, .0015, 0), asked.get(1), 1e-8f);
  }

  /** Without its noise a trajectory step is DDIM's, whatever clock γ would be counted on. */
  @ParameterizedTest
  @ValueSource(strings = {"vp", "cosine", "sigma"})
  void trajectoriesWithoutNoiseAreDdims(String time) {
    SamplerSettings tcd = Method.TCD.settings().with(Tuning.GAMMA, 0).with(Tuning.TIME, time);
    double[] sigmas = {80, 20, 6, 2, .7, .2, .05};
    Denoiser exact = ExactDenoisers.gaussian(new double[] {.5, -1}, new double[] {.25, .04});
    try (Scope scope = Scope.open()) {
      Tensor noise = Rng.of(3).normal(Device.cpu(), Shape.of(ROWS, 2));
      float[] expected = Samplers.eulerOn(sigmas).sample(exact, noise, null, null).toFloats();
      float[] made = Samplers.of(tcd, sigmas).sample(exact, noise, null, Rng.of(9)).toFloats();
      assertArrayEquals(expected, made);
    }
  }
}
