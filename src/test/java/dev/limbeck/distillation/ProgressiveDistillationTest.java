package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.ProgressiveDistillation.Config;
import dev.limbeck.distillation.ProgressiveDistillation.Weighting;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
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

  /** In units of e_x, the error of the clean sample; ε = (z − a x)/b and v = a ε − b x. */
  @Test
  void weightings() {
    for (double sigma : new double[] {.1, .5, 2, 30}) {
      double a = 1 / Math.sqrt(1 + sigma * sigma);
      double b = a * sigma;
      double ofNoise = a / b;
      double ofVelocity = a * ofNoise + b;
      assertEquals(1, Weighting.CONSTANT.of(sigma));
      assertEquals(ofNoise * ofNoise, Weighting.SNR.of(sigma), 1e-9 * ofNoise * ofNoise);
      assertEquals(Math.max(1, ofNoise * ofNoise), Weighting.TRUNCATED_SNR.of(sigma), 1e-9);
      assertEquals(ofVelocity * ofVelocity, Weighting.SNR_PLUS_ONE.of(sigma), 1e-9 * 101);
    }
  }

  /** Where the student's last step ends in clean data, the target is the teacher's last answer. */
  @Test
  void theLastTargetIsTheTeachersLastAnswer() {
    double[] levels = NoiseLevels.cosine(8);
    try (Scope scope = Scope.open()) {
      Tensor x = Rng.of(3).normal(Device.cpu(), Shape.of(20, 2));
      int[] last = new int[20];
      Arrays.fill(last, 3);
      StepInput in = new StepInput(0, Rng.of(0), x, null);
      float[] target =
          ProgressiveDistillation.target(
                  MIXTURE, ProgressiveDistillation.Solver.EULER, x, levels, last, in, null)
              .toFloats();
      double[] first = Arrays.copyOfRange(levels, 6, 8);
      Tensor middle = Samplers.euler(MIXTURE, x, first, null);
      float[] answer = MIXTURE.denoise(middle, Samplers.level(x, levels[7]), null).toFloats();
      assertArrayEquals(answer, target, 1e-6f);
    }
  }

  /** Clipped targets are those of a teacher that clips: its estimate of 2 becomes 1. */
  @Test
  void clippedTeachers() {
    Denoiser far = (x, sigma, labels) -> Tensor.full(x.device(), x.shape(), 2f);
    try (Scope scope = Scope.open()) {
      Tensor x = Rng.of(3).normal(Device.cpu(), Shape.of(20, 2));
      StepInput in = new StepInput(0, Rng.of(0), x, null);
      int[] first = new int[20];
      for (float value :
          ProgressiveDistillation.target(
                  ProgressiveDistillation.clipped(far),
                  ProgressiveDistillation.Solver.EULER,
                  x,
                  NoiseLevels.karrasToZero(4),
                  first,
                  in,
                  null)
              .toFloats()) {
        assertEquals(1f, value, 1e-5f);
      }
    }
  }

  static List<Preconditioning> parameterisations() {
    List<Preconditioning> all = new ArrayList<>(List.of(Preconditioning.Vp.values()));
    all.add(new Preconditioning.Edm());
    return all;
  }

  /**
   * Every parameterisation learns to do in two steps what the exact teacher does in four, and the
   * students of both halvings are there in the end.
   */
  @ParameterizedTest
  @MethodSource("parameterisations")
  void studentsOfEveryParameterisation(Preconditioning by) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      // From σ = 2: pure ε-prediction multiplies its error by σ.
      double[] levels = NoiseLevels.toZero(NoiseLevels.exponential(8, .05, 2));
      Mlp.Config toy = Mlp.Config.toy(2, 0);
      int outputs = by.isDouble() ? 4 : 2;
      Mlp.Config network =
          new Mlp.Config(
              2, outputs, toy.width(), toy.depth(), 0, toy.time(), toy.timeWidth(), false);
      Teacher teacher =
          new Teacher(
              MIXTURE, null, guided -> new Mlp(network, device, Rng.of(4)), by, Shape.of(2), 0);
      Config config =
          new Config(
              levels,
              2,
              700,
              800,
              2e-3,
              1,
              ProgressiveDistillation.Solver.EULER,
              Weighting.TRUNCATED_SNR,
              false);
      ProgressiveDistillation method = new ProgressiveDistillation(config, teacher);
      assertEquals(1500, method.steps());
      Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
      new Trainer(method, new Points(device), "mixture", quiet).run();
      Tensor noise = Rng.of(8).normal(device, Shape.of(1000, 2));
      Tensor x = new Points(device).draw(7, 1000).add(noise.mul(2f));
      float[] expected = Samplers.euler(MIXTURE, x, levels, null).toFloats();
      List<Distiller.Result> results = method.results();
      assertEquals(2, results.size());
      for (int i = 0; i < 2; i++) {
        double[] grid = method.studentLevels(i == 0 ? 1499 : 0);
        assertEquals(Samplers.eulerOn(grid).text(), results.get(i).sampler().text());
        float[] landed = Samplers.euler(results.get(i).student(), x, grid, null).toFloats();
        double sum = 0;
        for (int j = 0; j < landed.length; j++) {
          sum += (landed[j] - expected[j]) * (double) (landed[j] - expected[j]) / landed.length;
        }
        // Modes lie 2 apart and are 0.2 wide; the students differ by what 1,500 steps leave.
        assertTrue(Math.sqrt(sum) < .15, by.text() + ", " + grid.length + ": " + Math.sqrt(sum));
      }
    }
  }

  /** Samples of the mixture. */
  private record Points(CpuDevice device) implements Batches {
    @Override
    public int size() {
      return 256;
    }

    @Override
    public Rng random(long step) {
      return Rng.of(5).split(step).split(2);
    }

    @Override
    public StepInput at(long step) {
      return new StepInput(step, random(step), draw(step, size()), null);
    }

    Tensor draw(long step, int count) {
      Rng rng = Rng.of(5).split(step);
      float[] x = new float[2 * count];
      rng.normal(x);
      float[] u = new float[count];
      rng.uniform(u);
      for (int i = 0; i < count; i++) {
        boolean first = u[i] < 1 / 3f;
        x[2 * i] = first ? -1 + .2f * x[2 * i] : 1 + .3f * x[2 * i];
        x[2 * i + 1] *= (float) Math.sqrt(first ? .1 : .02);
        x[2 * i + 1] += first ? 0 : .5f;
      }
      return Tensor.of(device, Shape.of(count, 2), x);
    }
  }

  /** The last two halvings may be longer. */
  @Test
  void lengthsOfHalvings() {
    Config paper = Config.paper();
    assertEquals(13, paper.stages());
    assertEquals(11 * 50_000 + 2 * 100_000, paper.start(13));
    assertEquals(50_000, paper.length(10));
    assertEquals(100_000, paper.length(11));
    assertEquals(5, paper.studentLevels(10).length);
    assertEquals(3, paper.studentLevels(11).length);
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
