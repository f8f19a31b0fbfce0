package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.ConsistencyLearning.Weighting;
import dev.limbeck.distillation.ProgressiveDistillation.Solver;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What each sample counts for in a method's loss: the loss is the mean of the samples' errors, each
 * times the weight of its own level. Weights are written out here, apart from the code under test.
 */
class LossWeightsTest {
  private static final int BATCH = 6;

  /** The teacher's answer for a class, and for none. */
  private static final float[] OF_CLASS = {.75f, -.5f};

  private static final float[] OF_NONE = {-.25f, 1.5f};

  /** Losses are sums of a few F32 numbers. */
  private static final double ROUNDING = 2e-5;

  /** One clean image whatever is asked: each Euler step goes straight to it. */
  private static Teacher constant(CpuDevice device) {
    Denoiser denoiser =
        (x, sigma, labels) -> {
          float[] answer = new float[x.size()];
          for (int i = 0; i < answer.length; i++) {
            answer[i] = (labels == null ? OF_NONE : OF_CLASS)[i % 2];
          }
          return Tensor.of(x.device(), x.shape(), answer);
        };
    return new Teacher(
        denoiser,
        null,
        guided -> new Mlp(Mlp.Config.toy(2, 2).withGuidanceInput(guided), device, Rng.of(4)),
        new Preconditioning.Edm(),
        Shape.of(2),
        2);
  }

  private static StepInput input(CpuDevice device, long step) {
    Tensor x = Rng.of(7).normal(device, Shape.of(BATCH, 2)).mul(.5f);
    Tensor labels = Tensor.constant(device, Shape.of(BATCH), 0, 1, 1, 0, 1, 0);
    return new StepInput(step, Rng.of(9), x, labels);
  }

  private static double loss(Distiller method, String network, int objective, StepInput in) {
    try (Tape tape = Tape.open(method.networks().get(network).list())) {
      return method.objectives().get(objective).loss(tape, in).value().item();
    }
  }

  private static double weight(ProgressiveDistillation.Weighting weighting, double sigma) {
    double snr = 1 / (sigma * sigma);
    return switch (weighting) {
      case CONSTANT -> 1;
      case SNR -> snr;
      case TRUNCATED_SNR -> sigma < 1 ? snr : 1;
      case SNR_PLUS_ONE -> 1 + snr;
    };
  }

  /** The mean over samples of weight times mean square. */
  private static double weighted(double[] weight, float[] answer, double[] wanted) {
    double sum = 0;
    for (int i = 0; i < answer.length; i++) {
      sum += weight[i / 2] * Math.pow(answer[i] - wanted[i], 2) / answer.length;
    }
    return sum;
  }

  /** Both halvings: the first learns from the teacher, the second from the first student. */
  @ParameterizedTest
  @EnumSource
  void progressiveDistillation(ProgressiveDistillation.Weighting weighting) {
    double[] levels = NoiseLevels.toZero(NoiseLevels.exponential(8, .05, 4));
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      ProgressiveDistillation.Config config =
          new ProgressiveDistillation.Config(levels, 2, 10, 1e-3, 1, Solver.EULER, weighting);
      ProgressiveDistillation method = new ProgressiveDistillation(config, constant(device));
      for (int stage = 0; stage < 2; stage++) {
        StepInput in = input(device, 10L * stage);
        double[] grid = stage == 0 ? levels : NoiseLevels.halve(levels);
        int[] interval = in.integers("interval", grid.length / 2);
        double[] sigma = new double[BATCH];
        double[] weight = new double[BATCH];
        for (int i = 0; i < BATCH; i++) {
          sigma[i] = grid[2 * interval[i]];
          weight[i] = weight(weighting, sigma[i]);
        }
        Tensor x = noisy(in, sigma);
        // Untrained, the student of the first halving answers as that of the second.
        Denoiser from = stage == 0 ? constant(device).denoiser() : method.student();
        double[] wanted =
            doubles(
                ProgressiveDistillation.target(
                    from, Solver.EULER, x, grid, interval, in, in.labels()));
        float[] answer = method.student().denoise(x, in.perSample(sigma), in.labels()).toFloats();
        double expected = weighted(weight, answer, wanted);
        double found = loss(method, "student", 0, in);
        assertEquals(expected, found, ROUNDING * expected, "halving " + stage);
      }
    }
  }

  private static double[] doubles(Tensor values) {
    float[] floats = values.toFloats();
    double[] doubles = new double[floats.length];
    Arrays.setAll(doubles, i -> floats[i]);
    return doubles;
  }

  private static Tensor noisy(StepInput in, double[] sigma) {
    float[] x = in.images().toFloats();
    float[] noise = in.noise("noise").toFloats();
    for (int i = 0; i < x.length; i++) {
      x[i] += (float) sigma[i / 2] * noise[i];
    }
    return Tensor.of(in.device(), in.images().shape(), x);
  }

  /** Stage 1: (1 + w) c − w u is known, so that the error is. */
  @ParameterizedTest
  @EnumSource
  void guidanceInOneEvaluation(ProgressiveDistillation.Weighting weighting) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      GuidanceWeights weights = new GuidanceWeights(0, 4);
      GuidedDistillation.Config config =
          new GuidedDistillation.Config(
              weights,
              10,
              1e-3,
              weighting,
              .5,
              20,
              false,
              new ProgressiveDistillation.Config(
                  NoiseLevels.cosine(8), 4, 10, 1e-3, 1, Solver.EULER, weighting),
              false,
              false);
      GuidedDistillation method = new GuidedDistillation(config, constant(device));
      StepInput in = input(device, 0);
      float[] time = in.uniforms("time");
      double[] w = weights.draw(in);
      double[] sigma = new double[BATCH];
      double[] weight = new double[BATCH];
      double[] wanted = new double[2 * BATCH];
      for (int i = 0; i < BATCH; i++) {
        sigma[i] = config.sigma(time[i]);
        weight[i] = weight(weighting, sigma[i]);
      }
      for (int i = 0; i < wanted.length; i++) {
        wanted[i] = (1 + w[i / 2]) * OF_CLASS[i % 2] - w[i / 2] * OF_NONE[i % 2];
      }
      Denoiser told = method.absorbed().weighted(in.perSample(w));
      float[] answer = told.denoise(noisy(in, sigma), in.perSample(sigma), in.labels()).toFloats();
      double expected = weighted(weight, answer, wanted);
      assertEquals(expected, loss(method, "guided", 0, in), ROUNDING * expected);
    }
  }

  private static ConsistencyLearning consistency(
      CpuDevice device, String name, Weighting weighting) {
    ConsistencyLearning.Training training = ConsistencyToys.training(8, 0);
    ConsistencyMetric metric = new ConsistencyMetric.SquaredL2();
    ConsistencySchedule.Nodes nodes = new ConsistencySchedule.Fixed(9);
    Teacher teacher = constant(device);
    return switch (name) {
      case "cd" ->
          new ConsistencyDistillation(
              new ConsistencyDistillation.Config(
                  training, metric, weighting, NoiseLevels.karras(9), Solver.HEUN, 0),
              teacher,
              BATCH);
      case "ct" ->
          new ConsistencyTraining(
              new ConsistencyTraining.Config(
                  training,
                  metric,
                  weighting,
                  nodes,
                  ConsistencySchedule.Constant.STOP_GRADIENT,
                  .002,
                  80,
                  true),
              teacher,
              BATCH);
      case "ict" ->
          new ImprovedConsistencyTraining(
              new ImprovedConsistencyTraining.Config(
                  training,
                  metric,
                  weighting,
                  nodes,
                  new ConsistencySchedule.Uniform(),
                  .002,
                  80,
                  true),
              teacher,
              BATCH);
      default ->
          new EasyConsistencyTuning(
              new EasyConsistencyTuning.Config(training, metric, weighting, -1.1, 2, 2, 2),
              teacher,
              BATCH);
    };
  }

  /** 1/c_out² of EDM with σ_d = ½ is 1/t² + 4. */
  private static double weight(Weighting weighting, double t, double r) {
    return switch (weighting) {
      case UNIFORM -> 1;
      case INVERSE_DISTANCE -> 1 / (t - r);
      case KARRAS -> 1 / (t * t) + 4;
      case KARRAS_ROOT -> Math.sqrt(1 / (t * t) + 4);
    };
  }

  @ParameterizedTest
  @ValueSource(strings = {"cd", "ct", "ict", "ect"})
  void consistency(String name) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      for (Weighting weighting : Weighting.values()) {
        ConsistencyLearning method = consistency(device, name, weighting);
        StepInput in = input(device, 3);
        ConsistencyLearning.Pair pair = method.pair(in);
        double[] weight = new double[BATCH];
        Arrays.setAll(weight, i -> weight(weighting, pair.t()[i], pair.r()[i]));
        Denoiser f = method.student();
        float[] upper = f.denoise(pair.upper(), in.perSample(pair.t()), in.labels()).toFloats();
        Tensor lower = f.denoise(pair.lower(), in.perSample(pair.r()), in.labels());
        double expected = weighted(weight, upper, doubles(lower));
        assertTrue(expected > 0, name);
        double found = loss(method, "student", 0, in);
        assertEquals(expected, found, ROUNDING * expected, name + ", " + weighting);
      }
    }
  }

  /** Σ (u − target)² plus c, to the power −p, which stands outside the gradient. */
  @Test
  void meanVelocity() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      StepInput in = input(device, 0);
      for (double power : new double[] {0, .5, 1}) {
        double floor = .25;
        MeanFlow.Config quick = MeanFlow.Config.paper();
        MeanFlow.Config config =
            new MeanFlow.Config(
                MeanFlow.Velocity.TEACHER,
                10,
                1e-3,
                quick.rate(),
                -.4,
                1,
                80,
                0,
                power,
                floor,
                0,
                null,
                10,
                quick.sampling());
        MeanFlow method = new MeanFlow(config, constant(device), BATCH);
        float[] normal = in.normals("first");
        double[] t = new double[BATCH];
        Arrays.setAll(t, i -> config.time(normal[i]));
        MeanFlow.Points at = method.at(t, t, in.noise("noise"), in);
        double[] sums = new double[BATCH];
        try (Tape tape = Tape.open(method.networks().get("student").list())) {
          Var raw = MeanFlow.evaluate(method.student(), at, tape, in, Dropout.off());
          // Where r = t the target is the velocity.
          float[] u = MeanFlow.velocity(method.student(), at, raw, in).value().toFloats();
          float[] v = at.velocity().toFloats();
          for (int i = 0; i < u.length; i++) {
            sums[i / 2] += Math.pow(u[i] - v[i], 2);
          }
        }
        double expected = 0;
        for (double sum : sums) {
          expected += sum / Math.pow(sum + floor, power) / BATCH;
        }
        assertEquals(expected, loss(method, "student", 0, in), ROUNDING * expected, "p " + power);
      }
    }
  }
}
