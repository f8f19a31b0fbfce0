package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import org.junit.jupiter.api.Test;

/**
 * Distils the exact denoiser of a normal distribution into small networks, and looks at samples.
 */
class GaussianTest {
  private static final double[] MEAN = {.5, -.3};
  private static final double[] VARIANCE = {.25, .09};
  private static final int SAMPLES = 4000;
  private static final Denoiser EXACT = ExactDenoisers.gaussian(MEAN, VARIANCE);

  /** Exact samples of the distribution. */
  private record Points(CpuDevice device, int size) implements Batches {
    @Override
    public Rng random(long step) {
      return Rng.of(21).split(step).split(2);
    }

    @Override
    public StepInput at(long step) {
      Rng rng = Rng.of(21).split(step);
      float[] x = rng.split(1).normal(device, Shape.of(size, 2)).toFloats();
      for (int i = 0; i < x.length; i++) {
        x[i] = (float) (MEAN[i % 2] + Math.sqrt(VARIANCE[i % 2]) * x[i]);
      }
      return new StepInput(step, random(step), Tensor.of(device, Shape.of(size, 2), x), null);
    }
  }

  private static Teacher teacher(CpuDevice device) {
    return new Teacher(
        EXACT,
        null,
        guided -> new Mlp(Mlp.Config.toy(2, 0).withGuidanceInput(guided), device, Rng.of(4)),
        new Preconditioning.Edm(),
        Shape.of(2),
        0);
  }

  private static void train(Distiller distiller, CpuDevice device) {
    Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
    new Trainer(distiller, new Points(device, 128), "gaussian", quiet).run();
  }

  /** Mean and deviation of each coordinate of what a sampler makes. */
  private static double[] moments(CpuDevice device, Denoiser denoiser, Samplers.Sampler sampler) {
    try (Scope scope = Scope.open()) {
      Tensor noise = Rng.of(9).normal(device, Shape.of(SAMPLES, 2));
      float[] x = sampler.sample(denoiser, noise, null, Rng.of(10)).toFloats();
      double[] m = new double[4];
      for (int i = 0; i < x.length; i++) {
        m[i % 2] += x[i] / SAMPLES;
      }
      for (int i = 0; i < x.length; i++) {
        m[2 + i % 2] += (x[i] - m[i % 2]) * (x[i] - m[i % 2]) / SAMPLES;
      }
      m[2] = Math.sqrt(m[2]);
      m[3] = Math.sqrt(m[3]);
      return m;
    }
  }

  /** Four steps of the student land where 16 of the teacher do, whose own bias is known. */
  @Test
  void progressiveDistillation() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      double[] levels = NoiseLevels.karrasToZero(16);
      ProgressiveDistillation pd =
          new ProgressiveDistillation(
              new ProgressiveDistillation.Config(
                  levels,
                  4,
                  700,
                  3e-3,
                  1,
                  ProgressiveDistillation.Solver.EULER,
                  ProgressiveDistillation.Weighting.TRUNCATED_SNR),
              teacher(device));
      train(pd, device);
      double[] student = moments(device, pd.student(), pd.sampler());
      double[] expected = moments(device, EXACT, Samplers.eulerOn(levels));
      for (int i = 0; i < 4; i++) {
        // Two trainings of 700 steps leave an error of about 2 % of the deviation.
        assertEquals(expected[i], student[i], .06);
      }
    }
  }

  @Test
  void distributionMatching() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      MatchingConfig config =
          Dmd2.Config.paper()
              .loop()
              .withIterations(1500)
              .withAdversarial(MatchingConfig.Adversarial.none())
              .withTraining(Matchings.quick(10_000));
      Distiller dmd2 = new DistributionMatching("dmd2", config, teacher(device), 128);
      train(dmd2, device);
      double[] student = moments(device, dmd2.student(), dmd2.sampler());
      for (int i = 0; i < 2; i++) {
        assertEquals(MEAN[i], student[i], .1);
        assertEquals(Math.sqrt(VARIANCE[i]), student[2 + i], .1);
      }
    }
  }
}
