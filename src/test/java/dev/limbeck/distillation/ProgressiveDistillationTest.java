package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.limbeck.distillation.ProgressiveDistillation.Config;
import dev.limbeck.distillation.ProgressiveDistillation.Weighting;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class ProgressiveDistillationTest {
  private static final Denoiser MIXTURE =
      ExactDenoisers.mixture(
          new ExactDenoisers.Component(1, new double[] {-1, 0}, new double[] {.04, .1}, 0),
          new ExactDenoisers.Component(2, new double[] {1, .5}, new double[] {.09, .02}, 1));

  /** The student that learnt its target perfectly, on the nodes of its grid. */
  private static Denoiser perfectStudent(Denoiser teacher, double[] levels) {
    double[] half = NoiseLevels.halve(levels);
    return (x, sigma, labels) -> {
      float level = sigma.toFloats()[0];
      int interval = 0;
      while (Math.abs(half[interval] - level) > 1e-5 * level) {
        interval++;
      }
      int[] intervals = new int[x.dim(0)];
      Arrays.fill(intervals, interval);
      StepInput in = new StepInput(0, Rng.of(0), x, null);
      return ProgressiveDistillation.target(
          teacher, ProgressiveDistillation.Solver.EULER, x, levels, intervals, in, labels);
    };
  }

  static Stream<Arguments> grids() {
    return Stream.of(
        Arguments.of("cosine", NoiseLevels.cosine(64)),
        Arguments.of("shifted cosine", NoiseLevels.shiftedCosine(64, 2, 80)),
        Arguments.of("Karras", NoiseLevels.karras(65)),
        Arguments.of("Karras to 0", NoiseLevels.karrasToZero(64)));
  }

  /** Halving from 64 steps to one leaves every sample where the first teacher put it. */
  @ParameterizedTest
  @MethodSource("grids")
  void perfectStudentsLandOnTheTeachersSamples(String grid, double[] levels) {
    try (Scope scope = Scope.open()) {
      Tensor x = Rng.of(3).normal(Device.cpu(), Shape.of(20, 2)).mul((float) levels[0]);
      float[] expected = Samplers.euler(MIXTURE, x, levels, null).toFloats();
      Denoiser student = MIXTURE;
      while (levels.length > 2) {
        student = perfectStudent(student, levels);
        levels = NoiseLevels.halve(levels);
        float[] landed = Samplers.euler(student, x, levels, null).toFloats();
        // Each halving divides by 1 − σ''/σ, which magnifies rounding by up to the step count.
        assertArrayEquals(expected, landed, 5e-4f, grid + " at " + (levels.length - 1));
      }
    }
  }

  /** The table of DDIM on N(0, 0.25): 64 steps give .976187 of the deviation, and so does one. */
  @Test
  void oneStepStudentKeepsTheTeachersDeviation() {
    Denoiser student = ExactDenoisers.gaussian(new double[] {0}, new double[] {.25});
    double[] levels = NoiseLevels.cosine(64);
    double start = levels[0];
    try (Scope scope = Scope.open()) {
      while (levels.length > 2) {
        student = perfectStudent(student, levels);
        levels = NoiseLevels.halve(levels);
      }
      Tensor x = Tensor.of(Device.cpu(), Shape.of(1, 1), (float) start);
      float out = Samplers.euler(student, x, levels, null).item();
      assertEquals(.976187, out / .5, 1e-5);
    }
  }

  /** A first teacher with Heun's steps: one student step lands where two of Heun's do. */
  @Test
  void heunTeacher() {
    double[] levels = NoiseLevels.karrasToZero(8);
    double[] half = NoiseLevels.halve(levels);
    try (Scope scope = Scope.open()) {
      Tensor x = Rng.of(3).normal(Device.cpu(), Shape.of(20, 2)).mul((float) levels[0]);
      for (int i = 0; i < 4; i++) {
        int[] intervals = new int[20];
        Arrays.fill(intervals, i);
        StepInput in = new StepInput(0, Rng.of(0), x, null);
        double[] two = Arrays.copyOfRange(levels, 2 * i, 2 * i + 3);
        float[] expected =
            Samplers.heun(MIXTURE, x, two, null, Samplers.Churn.none(), null).toFloats();
        Denoiser student =
            (state, sigma, labels) ->
                ProgressiveDistillation.target(
                    MIXTURE,
                    ProgressiveDistillation.Solver.HEUN,
                    state,
                    levels,
                    intervals,
                    in,
                    labels);
        double[] one = Arrays.copyOfRange(half, i, i + 2);
        assertArrayEquals(expected, Samplers.euler(student, x, one, null).toFloats(), 1e-3f);
        x = Tensor.of(x.device(), x.shape(), expected);
      }
    }
  }

  @Test
  void weightings() {
    assertEquals(1, Weighting.TRUNCATED_SNR.of(2));
    assertEquals(4, Weighting.TRUNCATED_SNR.of(.5));
    assertEquals(5, Weighting.SNR_PLUS_ONE.of(.5));
  }

  @Test
  void stepsMustHalve() {
    assertThrows(
        IllegalArgumentException.class,
        () ->
            new Config(
                NoiseLevels.karras(13),
                5,
                1,
                1,
                1,
                ProgressiveDistillation.Solver.EULER,
                Weighting.CONSTANT));
    assertEquals(
        3,
        new Config(
                NoiseLevels.karrasToZero(32),
                4,
                1,
                1,
                1,
                ProgressiveDistillation.Solver.EULER,
                Weighting.CONSTANT)
            .stages());
  }
}
