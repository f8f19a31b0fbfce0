package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.distillation.MatchingConfig.Metric;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TeacherPairsTest {
  private static final double[] MEAN = {.5, -.3};
  private static final double[] VARIANCE = {.25, .09};
  private static final int PAIRS = 100;

  private static Teacher teacher(CpuDevice device, Denoiser denoiser) {
    Teacher.Blueprint blueprint =
        guided -> new Mlp(Mlp.Config.toy(2, 0).withGuidanceInput(guided), device, Rng.of(4));
    return new Teacher(
        denoiser,
        blueprint.create(false).params(),
        blueprint,
        new Preconditioning.Edm(),
        Shape.of(2),
        0);
  }

  private static TeacherPairs pairs(CpuDevice device, Denoiser denoiser, int steps, Metric metric) {
    double[] grid = NoiseLevels.toZero(NoiseLevels.karras(steps));
    MatchingConfig.Regression config = new MatchingConfig.Regression(2, PAIRS, grid, metric);
    return new TeacherPairs(config, teacher(device, denoiser), denoiser, device);
  }

  /** On normally distributed data the ODE leads from σ z to m + √(v/(v + σ²)) (σ z − m). */
  @Test
  void resultsAreWhereTheOdeLeads(@TempDir Path folder) throws TensorFileException {
    Path file = folder.resolve("pairs.safetensors");
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      TeacherPairs pairs = pairs(device, ExactDenoisers.gaussian(MEAN, VARIANCE), 80, Metric.L2);
      pairs.keepIn(file);
      pairs.make();
    }
    try (TensorFile saved = TensorFile.open(file)) {
      float[] z = saved.floats("noise");
      float[] y = saved.floats("result");
      assertEquals(2 * PAIRS, z.length);
      for (int i = 0; i < z.length; i++) {
        double v = VARIANCE[i % 2];
        double m = MEAN[i % 2];
        double wanted = m + Math.sqrt(v / (v + 6400)) * (80 * z[i] - m);
        // 80 of Heun's steps make the deviation .23 % too large for v = ¼, and more for less.
        assertEquals(wanted, y[i], .01 * Math.abs(wanted - m) + 1e-4);
      }
    }
  }

  private static float[] kept(Path file) throws TensorFileException {
    try (TensorFile saved = TensorFile.open(file)) {
      return saved.floats("result");
    }
  }

  /** A file spares the work, unless it is of another teacher. */
  @Test
  void pairsAreKeptAndChecked(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("pairs.safetensors");
    AtomicInteger rows = new AtomicInteger();
    Denoiser exact = ExactDenoisers.gaussian(MEAN, VARIANCE);
    Denoiser counted =
        (x, sigma, labels) -> {
          rows.addAndGet(x.dim(0));
          return exact.denoise(x, sigma, labels);
        };
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      for (int expected : new int[] {PAIRS, 64}) {
        rows.set(0);
        TeacherPairs pairs = pairs(device, counted, 2, Metric.L2);
        pairs.keepIn(file);
        pairs.make();
        pairs.make();
        // Three evaluations each; of a file's pairs the first 64 are made again.
        assertEquals(3 * expected, rows.get());
      }
      float[] first = kept(file);
      Denoiser other = ExactDenoisers.gaussian(MEAN, new double[] {1, 1});
      TeacherPairs pairs = pairs(device, other, 2, Metric.L2);
      pairs.keepIn(file);
      pairs.make();
      assertFalse(Arrays.equals(first, kept(file)));
      assertTrue(Files.size(file) > 0);
    }
  }

  /** weight · mean of the squared differences on the pairs drawn; the gradient moves G(z) to y. */
  @Test
  void theLossIsTheDistanceToTheResults() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      for (Metric metric : Metric.values()) {
        TeacherPairs pairs = pairs(device, (x, sigma, labels) -> x.mul(0f), 2, metric);
        pairs.make();
        StepInput in = new StepInput(0, Rng.of(1), Tensor.zeros(device, Shape.of(16, 2)), null);
        NetworkDenoiser generator = teacher(device, null).student();
        try (Tape tape = Tape.open(generator.network().params().list())) {
          var loss = pairs.loss(tape, in, generator, 80);
          float value = loss.value().item();
          tape.backward(loss);
          assertTrue(value > 0 && generator.network().params().globalNorm() > 0, metric.name());
          if (metric == Metric.L2) {
            // The teacher says 0 to everything, so that every result is 0.
            assertEquals(2 * meanSquare(generator, in, device), value, 1e-5f * value);
          }
        }
      }
    }
  }

  private static float meanSquare(NetworkDenoiser generator, StepInput in, CpuDevice device) {
    Tensor all = Rng.of(0).split(1).normalRows(device, Shape.of(PAIRS, 2), 0).mul(80f);
    Tensor drawn = all.gather(Tensor.of(device, Shape.of(16), in.integers("pairs", PAIRS)));
    Tensor level = Samplers.level(drawn, 80);
    Tensor x = generator.denoise(drawn, level, null);
    return x.mul(x).mean().item();
  }
}
