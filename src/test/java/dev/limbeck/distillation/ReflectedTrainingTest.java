package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.ReflectedDiffusion;
import dev.limbeck.distillation.diffusion.ReflectedDiffusion.Score;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;

class ReflectedTrainingTest {
  private static final int BATCH = 128;

  /** Near the faces, where reflection matters; the second is three times as likely. */
  private static final double[][] POINTS = {{.1, .2}, {.9, .7}, {.9, .7}, {.9, .7}};

  private record Points(CpuDevice device, float shift) implements Batches {
    @Override
    public int size() {
      return BATCH;
    }

    @Override
    public Rng random(long step) {
      return Rng.of(3).split(step);
    }

    @Override
    public StepInput at(long step) {
      int[] which = new int[BATCH];
      random(step).split(9).integers(which, POINTS.length);
      float[] x = new float[2 * BATCH];
      for (int i = 0; i < x.length; i++) {
        x[i] = (float) POINTS[which[i / 2]][i % 2] + shift;
      }
      return new StepInput(
          step, random(step), Tensor.constant(device, Shape.of(BATCH, 2), x), null);
    }
  }

  private static ReflectedTraining trained(CpuDevice device, long steps, float shift) {
    ReflectedTraining.Config config = new ReflectedTraining.Config(steps, 3e-3, .05, 3, 3000, 30);
    ReflectedTraining training =
        new ReflectedTraining(
            config, guided -> new Mlp(Mlp.Config.toy(2, 0), device, Rng.of(4)), BATCH);
    Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
    new Trainer(training, new Points(device, shift), "points", quiet).run();
    return training;
  }

  /** E σ² |S − exact|² per number on noised data of a level. */
  private static double error(Score score, double sigma, CpuDevice device) {
    try (Scope scope = Scope.open()) {
      Tensor clean = new Points(device, 0).at(77).images();
      Tensor noise = Rng.of(8).normal(device, clean.shape());
      Tensor x = ReflectedDiffusion.noised(clean, sigma, noise);
      Tensor level = Samplers.level(x, sigma);
      float[] wanted = ReflectedDiffusion.empirical(POINTS).score(x, level, null).toFloats();
      float[] found = score.score(x, level, null).toFloats();
      double sum = 0;
      for (int i = 0; i < found.length; i++) {
        sum += Math.pow(sigma * (found[i] - wanted[i]), 2) / found.length;
      }
      return sum;
    }
  }

  /** σ² S² is 1 at small noise, and a score without reflection is wrong at the faces. */
  @Test
  void theScoreIsThatOfReflectedData() {
    try (CpuDevice device = CpuDevice.open(true, 2)) {
      ReflectedTraining training = trained(device, 600, 0);
      Score plain = ReflectedTraining.score(ExactDenoisers.empirical(POINTS, null));
      for (double sigma : new double[] {.1, .2, .5}) {
        double left = error(training.score(), sigma, device);
        double unreflected = error(plain, sigma, device);
        assertTrue(left < .03, sigma + ": " + left);
        assertTrue(left < unreflected / 3, sigma + ": " + left + ", " + unreflected);
      }
      try (Scope scope = Scope.open()) {
        Tensor noise = Rng.of(5).normal(device, Shape.of(1000, 2));
        float[] made = training.sampler().sample(training.student(), noise, null, null).toFloats();
        int first = 0;
        int near = 0;
        for (int i = 0; i < 1000; i++) {
          boolean isFirst = made[2 * i] < .5;
          double[] point = POINTS[isFirst ? 0 : 1];
          double away = Math.hypot(made[2 * i] - point[0], made[2 * i + 1] - point[1]);
          first += isFirst ? 1 : 0;
          near += away < .2 ? 1 : 0;
        }
        // A quarter, and the last level is 0.05.
        assertEquals(250, first, 100);
        assertTrue(near > 900, near + " near a point");
      }
    }
  }

  @Test
  void dataLieInTheCube() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      IllegalArgumentException e =
          assertThrows(IllegalArgumentException.class, () -> trained(device, 1, .5f));
      assertTrue(e.getMessage().contains("between 0 and 1, not 1.4"), e.getMessage());
      List<Double> levels = List.of(0.0, 3.0);
      assertThrows(
          IllegalArgumentException.class,
          () -> new ReflectedTraining.Config(1, 1e-3, levels.get(0), levels.get(1), 1, 1));
    }
  }
}
