package dev.limbeck.distillation;

import static dev.limbeck.distillation.ConsistencyToys.GAUSSIAN;
import static dev.limbeck.distillation.ConsistencyToys.MAX;
import static dev.limbeck.distillation.ConsistencyToys.MIN;
import static dev.limbeck.distillation.ConsistencyToys.distillation;
import static dev.limbeck.distillation.ConsistencyToys.input;
import static dev.limbeck.distillation.ConsistencyToys.mlp;
import static dev.limbeck.distillation.ConsistencyToys.teacher;
import static dev.limbeck.distillation.ConsistencyToys.training;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.ConsistencyLearning.Weighting;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The consistency methods against closed forms, without training. */
class ConsistencyLearningTest {
  // ---- what a step does ----

  @Test
  void theBoundaryIsExact() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Network network = mlp(device, 3).create(false);
      for (double min : new double[] {.002, .01, .1}) {
        NetworkDenoiser f = new NetworkDenoiser(network, new Preconditioning.Consistency(.5, min));
        Tensor x = Rng.of(3).normal(device, Shape.of(50, 3));
        Tensor level = Tensor.full(device, Shape.of(50), (float) min);
        assertArrayEquals(x.toFloats(), f.denoise(x, level, null).toFloats());
      }
    }
  }

  /** Compares a state with itself. */
  private static final class Same extends ConsistencyLearning {
    private int calls;

    Same(Teacher teacher, double dropout) {
      super(
          "same",
          training(3, dropout),
          new ConsistencyMetric.SquaredL2(),
          teacher,
          new Preconditioning.Consistency(.5, MIN),
          true,
          true,
          1);
    }

    @Override
    double targetDecay(long step) {
      return .75;
    }

    @Override
    Pair pair(StepInput in) {
      double[] level = new double[in.size()];
      Arrays.fill(level, 1 + calls++);
      return new Pair(in.images(), level, in.images(), level, null, level);
    }
  }

  /** 1/t² + 1/σ_d² at t = σ_d = ½ is 8; one over the difference of the levels, 4. */
  @Test
  void weightings() {
    assertEquals(1, Weighting.UNIFORM.of(.5, .25));
    assertEquals(4, Weighting.INVERSE_DISTANCE.of(.5, .25));
    assertEquals(8, Weighting.KARRAS.of(.5, .25), 1e-12);
    assertEquals(Math.sqrt(8), Weighting.KARRAS_ROOT.of(.5, .25), 1e-12);
  }

  /** Target and answer drop the same units: else their difference would not be 0. */
  @Test
  void dropoutIsReplayed() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      float[] losses = new float[2];
      StepInput in = input(device, 64);
      Same method = new Same(teacher(GAUSSIAN, mlp(device, 1)), .5);
      try (Tape tape = Tape.open(method.networks().get("student").list())) {
        losses[0] = method.objectives().get(0).loss(tape, in).value().item();
      }
      assertEquals(0f, losses[0]);
      NetworkDenoiser student = method.student();
      Tensor level = Tensor.full(device, Shape.of(64), 1f);
      Var x = Var.constant(in.images());
      Tensor one = student.denoise(x, level, null, null, new Dropout(.5f, 1)).value();
      Tensor other = student.denoise(x, level, null, null, new Dropout(.5f, 2)).value();
      double difference = 0;
      for (float d : one.sub(other).toFloats()) {
        difference += Math.abs(d);
      }
      assertTrue(difference > .1, "masks of other keys differ");
    }
  }

  /** θ⁻ ← μ θ⁻ + (1 − μ) θ after every step. */
  @Test
  void targetsFollowTheStudent() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      ConsistencyTraining method =
          new ConsistencyTraining(
              new ConsistencyTraining.Config(
                  training(4, 0),
                  new ConsistencyMetric.SquaredL2(),
                  Weighting.UNIFORM,
                  new ConsistencySchedule.SquareRoot(2, 9),
                  new ConsistencySchedule.Adaptive(2, .5, false),
                  MIN,
                  MAX,
                  false),
              teacher(GAUSSIAN, mlp(device, 1)),
              8);
      Batches batches = new Repeated(input(device, 8));
      Params student = method.networks().get("student");
      Params target = method.networks().get("target");
      float[] expected = values(target);
      assertArrayEquals(values(student), expected);
      Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
      Trainer trainer = new Trainer(method, batches, "test", quiet);
      for (int step = 0; step < 4; step++) {
        float[] before = values(student);
        trainer.run(step, step + 1);
        if (step > 0) {
          double mu = method.targetDecay(step - 1);
          for (int i = 0; i < expected.length; i++) {
            expected[i] = (float) (mu * expected[i] + (1 - mu) * before[i]);
          }
        }
        assertArrayEquals(expected, values(target), 1e-6f);
      }
    }
  }

  private record Repeated(StepInput input) implements Batches {
    @Override
    public int size() {
      return input.size();
    }

    @Override
    public Rng random(long step) {
      return Rng.of(step);
    }

    @Override
    public StepInput at(long step) {
      return new StepInput(step, random(step), input.images(), null);
    }
  }

  private static float[] values(Params params) {
    float[] all = new float[params.values().length()];
    params.values().download(all, 0);
    return all;
  }

  /** Where r = 0, easy consistency tuning is denoising: the target is the clean sample. */
  @Test
  void tuningStartsAsDenoising() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      EasyConsistencyTuning method =
          new EasyConsistencyTuning(
              new EasyConsistencyTuning.Config(
                  training(8, 0),
                  new ConsistencyMetric.SquaredL2(),
                  Weighting.INVERSE_DISTANCE,
                  -1.1,
                  2,
                  2,
                  8),
              teacher(GAUSSIAN, mlp(device, 1)),
              1);
      StepInput in = input(device, 1000);
      ConsistencyLearning.Pair pair = method.pair(in);
      NetworkDenoiser student = method.student();
      float[] target = student.denoise(pair.lower(), in.perSample(pair.r()), null).toFloats();
      float[] clean = in.images().toFloats();
      int denoised = 0;
      for (int i = 0; i < clean.length; i++) {
        assertEquals(1 / (pair.t()[i] - pair.r()[i]), pair.weight()[i], 1e-9);
        if (pair.t()[i] < Math.log(7)) {
          assertEquals(0, pair.r()[i]);
          assertEquals(clean[i], target[i]);
          denoised++;
        }
      }
      // ln ln 7 = .666 lies .88 deviations above the mean: 81 % of the levels.
      assertEquals(.81, denoised / 1000.0, .05);
    }
  }

  /** Neighbouring levels, each weighted by the inverse of their distance. */
  @Test
  void improvedTrainingWeighsByDistance() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      ImprovedConsistencyTraining method =
          new ImprovedConsistencyTraining(
              new ImprovedConsistencyTraining.Config(
                  training(8, 0),
                  ConsistencyMetric.PseudoHuber.paper(),
                  Weighting.INVERSE_DISTANCE,
                  new ConsistencySchedule.Fixed(11),
                  new ConsistencySchedule.LogNormal(-1.1, 2),
                  MIN,
                  MAX,
                  false),
              teacher(GAUSSIAN, mlp(device, 1)),
              1);
      ConsistencyLearning.Pair pair = method.pair(input(device, 1000));
      List<Double> grid = new ArrayList<>();
      for (double level : ConsistencySchedule.ascending(11, MIN, MAX)) {
        grid.add(level);
      }
      for (int i = 0; i < 1000; i++) {
        assertEquals(grid.indexOf(pair.r()[i]) + 1, grid.indexOf(pair.t()[i]));
        assertEquals(1 / (pair.t()[i] - pair.r()[i]), pair.weight()[i], 1e-9);
      }
    }
  }

  // ---- what fits ----

  @Test
  void teachersThatDoNotFitAreRefused() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Teacher other =
          new Teacher(GAUSSIAN, null, mlp(device, 1), Preconditioning.Vp.VELOCITY, Shape.of(1), 0);
      for (String name : List.of("cd", "ct", "ict", "ect")) {
        IllegalArgumentException e =
            assertThrows(
                IllegalArgumentException.class,
                () -> Methods.of(name).create(Preset.points(), other));
        assertTrue(e.getMessage().startsWith(name + " needs a teacher with EDM's"), e.getMessage());
        assertTrue(e.getMessage().contains("this one has \"velocity\""), e.getMessage());
      }
      Toys toys = new Toys(device);
      Teacher guided = toys.teacher().guided(2);
      for (String name : List.of("ct", "ict", "ect")) {
        IllegalArgumentException e =
            assertThrows(
                IllegalArgumentException.class,
                () -> Methods.of(name).create(toys.preset(4, 4), guided));
        assertTrue(e.getMessage().contains("cannot learn a teacher's guidance"), e.getMessage());
      }
      Methods.of("cd").create(toys.preset(4, 4), guided);
    }
  }

  /** The number of steps chooses levels evenly from those of the settings. */
  @Test
  void results() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Distiller method = distillation(18, ProgressiveDistillation.Solver.EULER, mlp(device, 1));
      List<Distiller.Result> results = method.results();
      assertEquals(2, results.size());
      assertEquals(method.sampler().text(), results.get(0).sampler().text());
      assertEquals(1, results.get(0).sampler().evaluations());
      assertEquals(2, results.get(1).sampler().evaluations());
    }
  }
}
