package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.limbeck.autograd.Tape;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import org.junit.jupiter.api.Test;

class Dmd2Test {
  /**
   * With exact critic N(b, v) and teacher N(m, v) the step is σ² ∂KL/∂b = σ² (b − m)/(v + σ²), for
   * every x.
   */
  @Test
  void matchingGradientIsThatOfTheDivergence() {
    double v = .25;
    double b = 1.5;
    double m = -.5;
    Denoiser critic = ExactDenoisers.gaussian(new double[] {b}, new double[] {v});
    Denoiser teacher = ExactDenoisers.gaussian(new double[] {m}, new double[] {v});
    try (Scope scope = Scope.open()) {
      Tensor x = Rng.of(2).normal(Device.cpu(), Shape.of(50, 1));
      for (double sigma : new double[] {.01, .3, 1, 5, 60}) {
        Tensor level = Tensor.full(x.device(), Shape.of(50), (float) sigma);
        Tensor target =
            Dmd2.matchingTarget(
                x, teacher.denoise(x, level, null), critic.denoise(x, level, null), false);
        float[] from = x.toFloats();
        float[] to = target.toFloats();
        for (int i = 0; i < from.length; i++) {
          assertEquals(sigma * sigma * (b - m) / (v + sigma * sigma), from[i] - to[i], 2e-6);
        }
      }
    }
  }

  /** The first generator's loss on a batch of the given brightness. */
  private static float generatorLoss(Device device, float brightness, boolean simulated) {
    Toys toys = new Toys(device);
    Dmd2.Config config =
        new Dmd2.Config(
            9,
            Dmd2.Config.levels(3),
            Dmd2.Config.paperNoise(),
            1,
            1e-3,
            1e-3,
            0,
            0,
            simulated,
            true,
            0,
            1,
            10);
    Dmd2 method = new Dmd2(config, toys.teacher(), 8);
    // The critic starts as the teacher: let it differ, or the loss is zero.
    method.networks().get("critic").list().forEach(p -> p.value().addInPlace(.1f, p.value()));
    float sum = 0;
    for (int step = 0; step < 6; step++) {
      try (Scope scope = Scope.open()) {
        Tensor images = Tensor.full(device, Shape.of(8, 8, 8, 1), brightness);
        Tensor labels = Tensor.of(device, Shape.of(8), new int[8]);
        StepInput in = new StepInput(step, Rng.of(1).split(step), images, labels);
        method.begin(step);
        Objective generator = method.objectives().get(0);
        try (Tape tape = Tape.open(generator.optimizers().get(0).params().list())) {
          sum += generator.loss(tape, in).value().item();
        }
      }
    }
    return sum;
  }

  /** Backward simulation needs no data: what the generator is given comes from itself. */
  @Test
  void simulatedInputsDoNotDependOnRealData() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      assertEquals(generatorLoss(device, -1, true), generatorLoss(device, 1, true));
      assertNotEquals(generatorLoss(device, -1, false), generatorLoss(device, 1, false));
    }
  }

  @Test
  void settingsThatMakeNoSenseAreRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () ->
            new Dmd2.Config(
                1, new double[0], Dmd2.Config.paperNoise(), 5, 1, 1, 0, 0, true, true, 0, 1, 1));
  }
}
