package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.distillation.ProgressiveDistillation.Solver;
import dev.limbeck.distillation.ProgressiveDistillation.Weighting;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Editing;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Students for the stochastic sampler, whose steps are of double length, of an exact teacher. */
class StochasticGuidanceTest {
  private static final double[] LEVELS = NoiseLevels.shiftedCosine(16, .5, 20);

  /** The first halving learns from the exact teacher itself; two of them lead to four steps. */
  private static GuidedDistillation method(CpuDevice device, long halving) {
    return new GuidedDistillation(
        new GuidedDistillation.Config(
            new GuidanceWeights(0, 4),
            1,
            4e-3,
            Weighting.TRUNCATED_SNR,
            .5,
            20,
            false,
            new ProgressiveDistillation.Config(
                LEVELS, 4, halving, 3e-3, 1, Solver.EULER, Weighting.TRUNCATED_SNR),
            true,
            true),
        GuidedDistillationTest.teacher(device, new Preconditioning.Edm()));
  }

  private static Denoiser guided(Tensor beside, double w) {
    return GuidanceWeights.guided(GuidedDistillationTest.EXACT, Samplers.level(beside, w));
  }

  /**
   * The clean sample from which one step from level a to c does what the denoiser's two do by way
   * of b; where b is c, one of the denoiser's.
   */
  private static float[] target(Denoiser d, Tensor x, Tensor labels, double a, double b, double c) {
    double[] grid = b == c ? new double[] {a, c} : new double[] {a, b, c};
    float[] end = Samplers.euler(d, x, grid, labels).toFloats();
    float[] start = x.toFloats();
    for (int i = 0; i < end.length; i++) {
      end[i] = (float) ((end[i] - c / a * start[i]) / (1 - c / a));
    }
    return end;
  }

  /** The student that has learnt steps over two of its intervals, or over one, perfectly. */
  private static Denoiser perfect(Denoiser teacher, double[] levels, boolean doubleSteps) {
    return (x, sigma, labels) -> {
      int at = 0;
      while (Math.abs(levels[at] - sigma.toFloats()[0]) > 1e-5 * levels[at]) {
        at += 2;
      }
      boolean last = at + 2 == levels.length - 1;
      double middle = levels[doubleSteps ? at + 2 : at + 1];
      double end = levels[doubleSteps && !last ? at + 4 : at + 2];
      float[] wanted = target(teacher, x, labels, levels[at], middle, end);
      return Tensor.of(x.device(), x.shape(), wanted);
    };
  }

  /** The first loss of a batch of one is the squared error to the double step's target. */
  @Test
  void theFirstHalvingLearnsTheTeachersDoubleSteps() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      GuidedDistillation method = method(device, 10);
      boolean[] seen = new boolean[8];
      for (int step = 1; step < 60; step++) {
        StepInput drawn = new GuidedDistillationTest.Points(device, 1).at(step);
        // All belong to the beginning of the first halving.
        StepInput in = new StepInput(1, drawn.rng(), drawn.images(), drawn.labels());
        int interval = in.integers("interval", 8)[0];
        seen[interval] = true;
        double sigma = LEVELS[2 * interval];
        double w = new GuidanceWeights(0, 4).draw(in)[0];
        Tensor x = in.images().add(in.noise("noise").mul((float) sigma));
        Denoiser of = perfect(guided(x, w), LEVELS, true);
        Tensor level = Samplers.level(x, sigma);
        float[] wanted = of.denoise(x, level, in.labels()).toFloats();
        Denoiser student = method.student().weighted(Samplers.level(x, w));
        float[] answer = student.denoise(x, level, in.labels()).toFloats();
        double error = 0;
        for (int i = 0; i < 2; i++) {
          error += Math.pow(answer[i] - wanted[i], 2) / 2;
        }
        double expected = error * Math.max(1, 1 / (sigma * sigma));
        try (Tape tape = Tape.open(method.networks().get("student").list())) {
          double found = method.objectives().get(1).loss(tape, in).value().item();
          // Targets divide by 1 − σ''/σ, weights by σ²: a few hundred roundings of F32.
          assertEquals(expected, found, 1e-4 * expected + 1e-6, "interval " + interval);
        }
      }
      for (boolean each : seen) {
        assertTrue(each, "every interval was drawn: " + Arrays.toString(seen));
      }
    }
  }

  private static double distance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (a[i] - b[i]) * (double) (a[i] - b[i]) / a.length;
    }
    return Math.sqrt(sum);
  }

  /** After both halvings the student answers as the one that learnt double steps perfectly. */
  @Test
  void trainedStudentsTakeDoubleSteps() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      GuidedDistillation method = method(device, 1000);
      GuidedDistillationTest.train(method, device);
      double[] half = NoiseLevels.halve(LEVELS);
      double[] few = NoiseLevels.halve(half);
      assertEquals(Samplers.of(Samplers.Method.DOUBLE_STEPS, few).text(), method.sampler().text());
      assertEquals(4, Editing.levels(method.sampler()).length - 1);
      for (double w : new double[] {1, 3}) {
        for (int node = 0; node < 4; node++) {
          try (Scope scope = Scope.open()) {
            StepInput in = new GuidedDistillationTest.Points(device, 500).at(77);
            Tensor x = in.images().add(in.noise("here").mul((float) few[node]));
            Tensor level = Tensor.full(device, Shape.of(500), (float) few[node]);
            Denoiser student = method.student().weighted(Samplers.level(x, w));
            float[] answer = student.denoise(x, level, in.labels()).toFloats();
            double[] errors = new double[2];
            for (int i = 0; i < 2; i++) {
              boolean twice = i == 0;
              Denoiser first = perfect(guided(x, w), LEVELS, twice);
              float[] wanted =
                  perfect(first, half, twice).denoise(x, level, in.labels()).toFloats();
              errors[i] = distance(answer, wanted);
            }
            String what = "w " + w + ", node " + node + ": " + Arrays.toString(errors);
            // What training leaves, and a third of what steps of one interval would differ by.
            assertTrue(errors[0] < .02 && errors[0] < errors[1] / 3, what);
          }
        }
      }
    }
  }
}
