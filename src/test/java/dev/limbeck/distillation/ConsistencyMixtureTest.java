package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.ConsistencyLearning.Weighting;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.LrSchedule;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Consistency models trained with exact teachers in two dimensions. */
class ConsistencyMixtureTest {
  private static final int BATCH = 256;
  private static final int SAMPLES = 4000;
  private static final double MIN = .05;
  private static final double MAX = 1.5;
  private static final double[][] MEANS = {{.6, .1}, {-.4, .5}, {-.1, -.6}};
  private static final double DEVIATION = .15;
  private static final Denoiser EXACT =
      ExactDenoisers.mixture(component(0), component(1), component(2));

  private static ExactDenoisers.Component component(int k) {
    double variance = DEVIATION * DEVIATION;
    return new ExactDenoisers.Component(1, MEANS[k], new double[] {variance, variance}, 0);
  }

  private static Tensor data(CpuDevice device, Rng rng, int count) {
    float[] x = new float[2 * count];
    rng.normal(x);
    int[] mode = new int[count];
    rng.integers(mode, MEANS.length);
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) (MEANS[mode[i / 2]][i % 2] + DEVIATION * x[i]);
    }
    return Tensor.of(device, Shape.of(count, 2), x);
  }

  private record Points(CpuDevice device, int size) implements Batches {
    @Override
    public Rng random(long step) {
      return Rng.of(21).split(step).split(2);
    }

    @Override
    public StepInput at(long step) {
      Tensor x = data(device, Rng.of(21).split(step).split(1), size);
      return new StepInput(step, random(step), x, null);
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

  private static ConsistencyLearning.Training training(long steps) {
    return new ConsistencyLearning.Training(
        steps,
        2e-3,
        LrSchedule.cosineToZero(steps),
        Ema.Kind.halfLife(100 * BATCH, .2),
        0,
        10,
        new double[] {MAX, .2},
        1);
  }

  private static final ConsistencyMetric NORM = new ConsistencyMetric.PseudoHuber(0, false);

  private static ConsistencyLearning method(String name, int nodes, long steps, Teacher teacher) {
    ConsistencyLearning.Training training = training(steps);
    Weighting inverse = Weighting.INVERSE_DISTANCE;
    return switch (name) {
      case "cd" ->
          new ConsistencyDistillation(
              new ConsistencyDistillation.Config(
                  training,
                  NORM,
                  inverse,
                  NoiseLevels.karras(nodes, MIN, MAX, NoiseLevels.RHO),
                  ProgressiveDistillation.Solver.HEUN,
                  0),
              teacher,
              BATCH);
      case "ct", "ct by L2" ->
          new ConsistencyTraining(
              new ConsistencyTraining.Config(
                  training,
                  name.equals("ct") ? NORM : new ConsistencyMetric.SquaredL2(),
                  name.equals("ct") ? inverse : Weighting.KARRAS,
                  name.equals("ct")
                      ? new ConsistencySchedule.SquareRoot(2, 2 * nodes)
                      : new ConsistencySchedule.Fixed(nodes),
                  ConsistencySchedule.Constant.STOP_GRADIENT,
                  MIN,
                  MAX,
                  true),
              teacher,
              BATCH);
      case "ict" ->
          new ImprovedConsistencyTraining(
              new ImprovedConsistencyTraining.Config(
                  training,
                  ConsistencyMetric.PseudoHuber.paper(),
                  inverse,
                  new ConsistencySchedule.Doubling(5, nodes - 1),
                  new ConsistencySchedule.LogNormal(-.7, 1.5),
                  MIN,
                  MAX,
                  true),
              teacher,
              BATCH);
      case "ect" ->
          new EasyConsistencyTuning(
              new EasyConsistencyTuning.Config(training, NORM, inverse, -.7, 1.5, 2, 4),
              teacher,
              BATCH);
      default -> throw new IllegalArgumentException(name);
    };
  }

  /** The root mean square distance of f(x, σ_max) and the exact flow's end. */
  private static double error(CpuDevice device, String name, int nodes, float[] flow) {
    ConsistencyLearning method = method(name, nodes, 1200, teacher(device));
    Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
    new Trainer(method, new Points(device, BATCH), "mixture", quiet).run();
    try (Scope scope = Scope.open()) {
      Tensor x = noisy(device);
      Tensor level = Samplers.level(x, MAX);
      return distance(method.student().denoise(x, level, null).toFloats(), flow);
    }
  }

  private static Tensor noisy(CpuDevice device) {
    Tensor noise = Rng.of(6).normal(device, Shape.of(SAMPLES, 2));
    return data(device, Rng.of(5), SAMPLES).add(noise.mul((float) MAX));
  }

  /** Where Heun's steps over a grid lead. */
  private static float[] composed(CpuDevice device, int nodes) {
    try (Scope scope = Scope.open()) {
      double[] grid = NoiseLevels.karras(nodes, MIN, MAX, NoiseLevels.RHO);
      Samplers.Churn none = Samplers.Churn.none();
      return Samplers.heun(EXACT, noisy(device), grid, null, none, null).toFloats();
    }
  }

  private static double distance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (a[i] - b[i]) * (double) (a[i] - b[i]) / a.length;
    }
    return Math.sqrt(sum);
  }

  /**
   * Distillation comes to where the solver's steps lead: two of Heun's end .16 from the flow, four
   * .026. Training without a teacher ends farther from it than Euler's steps do, .13 and .06: its
   * best map is smoothed over what the data may be, on other data than a normal distribution's.
   */
  @Test
  void finerGridsComeNearerToTheFlow() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      float[] flow = composed(device, 256);
      double coarse = distance(composed(device, 3), flow);
      double fine = distance(composed(device, 5), flow);
      double[] cd = {error(device, "cd", 3, flow), error(device, "cd", 5, flow)};
      double[] ct = {error(device, "ct by L2", 3, flow), error(device, "ct by L2", 5, flow)};
      String found =
          String.format(
              Locale.ROOT,
              "cd %.4f (%.4f), %.4f (%.4f); ct %.4f, %.4f",
              cd[0],
              coarse,
              cd[1],
              fine,
              ct[0],
              ct[1]);
      System.out.println(found);
      assertEquals(coarse, cd[0], .15 * coarse, found);
      // What 1,200 steps of training leave.
      assertEquals(fine, cd[1], .02, found);
      assertTrue(cd[1] < cd[0] / 3, found);
      assertTrue(ct[1] < .8 * ct[0], found);
    }
  }

  /** Samples of each method lie as the data do. */
  @ParameterizedTest
  @ValueSource(strings = {"cd", "ct", "ict", "ect"})
  void samplesHaveTheDatasMoments(String name) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      ConsistencyLearning method = method(name, 17, 1500, teacher(device));
      Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
      new Trainer(method, new Points(device, BATCH), "mixture", quiet).run();
      double[] expected = moments(data(device, Rng.of(5), SAMPLES).toFloats());
      for (int steps : List.of(1, 2)) {
        // Noise of σ_max alone is not yet noisy data, whose deviation is 5 % larger.
        Tensor start = noisy(device).mul((float) (1 / MAX));
        Samplers.Sampler sampler = method.sampler(steps).orElseThrow();
        double[] found =
            moments(sampler.sample(method.student(), start, null, Rng.of(7)).toFloats());
        System.out.println(name + " " + Arrays.toString(found));
        for (int i = 0; i < expected.length; i++) {
          // Deviations of the modes are 0.15, 4,000 samples know theirs to 0.003.
          assertEquals(expected[i], found[i], i < 4 ? .06 : .05, name + ", " + steps + " steps");
        }
      }
    }
  }

  /** Means, deviations, and last the mean over modes of the deviation within. */
  private static double[] moments(float[] x) {
    double[] m = new double[5];
    int n = x.length / 2;
    for (int i = 0; i < x.length; i++) {
      m[i % 2] += x[i] / n;
    }
    for (int i = 0; i < x.length; i++) {
      m[2 + i % 2] += (x[i] - m[i % 2]) * (x[i] - m[i % 2]) / n;
    }
    double within = 0;
    for (int i = 0; i < n; i++) {
      double nearest = Double.POSITIVE_INFINITY;
      for (double[] mean : MEANS) {
        double a = x[2 * i] - mean[0];
        double b = x[2 * i + 1] - mean[1];
        nearest = Math.min(nearest, a * a + b * b);
      }
      within += nearest / (2 * n);
    }
    m[2] = Math.sqrt(m[2]);
    m[3] = Math.sqrt(m[3]);
    m[4] = Math.sqrt(within);
    return m;
  }
}
