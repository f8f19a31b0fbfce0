package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.ContinuousConsistency.Form;
import dev.limbeck.distillation.ContinuousConsistency.Size;
import dev.limbeck.distillation.ContinuousConsistency.Weighting;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.LrSchedule;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** u of e^(−u) e + u: its slope 1 − e^(−u) e, its optimum ln e, and what it makes of scm's loss. */
class LevelUncertaintyTest {
  private static final String BIAS = "log_error.bias";

  private static StepInput input(Device device, int n) {
    Tensor x0 = Rng.of(1).normal(device, Shape.of(n, 2)).mul(.5f);
    return new StepInput(0, Rng.of(2), x0, null);
  }

  private static void set(Params params, double u) {
    params.get(BIAS).value().buffer().upload(new float[] {(float) u}, 0);
    params.touch();
  }

  private static float gradient(Params params) {
    return params.get(BIAS).gradient().item();
  }

  /** The same u at all levels: mean e^(−u) e + u, and both its slopes. */
  @ParameterizedTest
  @ValueSource(doubles = {0, -1.2, .9})
  void valueAndSlopes(double u) {
    float[] e = {.5f, 3f, .02f};
    double mean = (.5 + 3 + .02) / 3;
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      LevelUncertainty uncertainty = new LevelUncertainty(device);
      set(uncertainty.params(), u);
      try (Tape tape = Tape.open(uncertainty.params().list())) {
        Var errors = tape.inputWithGradient(Tensor.of(device, Shape.of(3), e));
        double[] sigma = {.01, 1, 30};
        Var loss = tape.retain(uncertainty.weigh(errors, sigma, tape, input(device, 3)));
        tape.backward(loss);
        assertEquals(Math.exp(-u) * mean + u, loss.value().item(), 1e-6);
        assertEquals(1 - Math.exp(-u) * mean, gradient(uncertainty.params()), 1e-6);
        for (float slope : errors.gradient().toFloats()) {
          assertEquals(Math.exp(-u) / 3, slope, 1e-6);
        }
      }
    }
  }

  /** u at one level: with no error nothing else is left. */
  private static double at(LevelUncertainty uncertainty, double sigma, Device device) {
    try (Tape tape = Tape.open(uncertainty.params().list())) {
      Var none = Var.constant(Tensor.zeros(device, Shape.of(1)));
      double[] level = {sigma};
      return uncertainty.weigh(none, level, tape, input(device, 1)).value().item();
    }
  }

  /** Trained on errors √σ from a tenth to ten, with a factor of mean 1: u(σ) = ln(σ)/2. */
  @Test
  void theOptimumIsTheLogarithmOfTheMeanError() {
    int n = 256;
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      LevelUncertainty uncertainty = new LevelUncertainty(device);
      assertEquals(0, at(uncertainty, .3, device), 0, "before training");
      Params params = uncertainty.params();
      AdamW adam = new AdamW(params, AdamW.Config.of(.02f));
      LrSchedule rate = LrSchedule.cosineToZero(400);
      for (int step = 0; step < 400; step++) {
        StepInput in = new StepInput(step, Rng.of(5).split(step), input(device, n).images(), null);
        float[] where = in.uniforms("where");
        float[] factor = in.uniforms("factor");
        double[] sigma = new double[n];
        double[] e = new double[n];
        for (int i = 0; i < n; i++) {
          sigma[i] = Math.pow(10, 2 * where[i] - 1);
          e[i] = Math.sqrt(sigma[i]) * (.5 + factor[i]);
        }
        params.zeroGradients();
        try (Tape tape = Tape.open(params.list())) {
          tape.backward(uncertainty.weigh(Var.constant(in.perSample(e)), sigma, tape, in));
        }
        adam.step(rate.scale(step));
      }
      for (double sigma : new double[] {.15, .5, 1, 3, 7}) {
        // Means of factors between ½ and 1½, each uniform, over some hundred samples of a level.
        assertEquals(Math.log(sigma) / 2, at(uncertainty, sigma, device), .05, "at " + sigma);
      }
    }
  }

  private static ContinuousConsistency scm(CpuDevice device, boolean adaptive) {
    ContinuousConsistency.Config config =
        new ContinuousConsistency.Config(
            10,
            1e-3,
            LrSchedule.constant(),
            -1,
            1.4,
            1,
            Size.NONE,
            .1,
            Weighting.INVERSE_SINE,
            adaptive,
            true,
            0,
            null,
            10,
            Renoising.of(.5, 2));
    Teacher teacher = FlowToys.teacher(device, FlowToys.GAUSSIAN);
    return new ContinuousConsistency(Form.DISTILLATION, config, teacher, 32);
  }

  /** The loss, and the gradient's norm for the student. */
  private static double[] loss(ContinuousConsistency method, StepInput in) {
    method.networks().values().forEach(Params::zeroGradients);
    Params student = method.networks().get("student");
    try (Tape tape =
        Tape.open(
            method.objectives().get(0).optimizers().stream()
                .flatMap(optimizer -> optimizer.params().list().stream())
                .toList())) {
      Var loss = tape.retain(method.objectives().get(0).loss(tape, in));
      tape.backward(loss);
      return new double[] {loss.value().item(), student.globalNorm()};
    }
  }

  /** L becomes e^(−u) L + u, the student's gradient e^(−u) of itself, and u's vanishes at ln L. */
  @Test
  void continuousConsistencyLearnsTheSizeOfItsLoss() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      StepInput in = input(device, 32);
      double[] plain = loss(scm(device, false), in);
      assertTrue(plain[0] > 0 && plain[1] > 0, Arrays.toString(plain));
      ContinuousConsistency method = scm(device, true);
      Params uncertainty = method.networks().get("uncertainty");
      double best = Math.log(plain[0]);
      for (double u : new double[] {0, best, best - 1, best + .5}) {
        set(uncertainty, u);
        double[] found = loss(method, in);
        double factor = Math.exp(-u);
        assertEquals(factor * plain[0] + u, found[0], 1e-5 * (1 + Math.abs(u)), "u " + u);
        assertEquals(factor * plain[1], found[1], 1e-4 * factor * plain[1], "u " + u);
        assertEquals(1 - factor * plain[0], gradient(uncertainty), 1e-5, "u " + u);
      }
    }
  }
}
