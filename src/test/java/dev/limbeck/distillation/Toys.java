package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.UNetConfig;

/** Networks and settings small enough for tests: digits of 8×8. */
final class Toys {
  private static final int SIDE = 8;
  private static final UNetConfig NETWORK = UNetConfig.toy(1).withClasses(10);

  private final Model model;
  private final Teacher teacher;

  Toys(Device device) {
    model = Model.create(NETWORK, SIDE, EdmTraining.SAMPLER, device, 11);
    teacher = model.teacher();
  }

  Teacher teacher() {
    return teacher;
  }

  Distiller teacherTraining(long steps, int batch) {
    return new EdmTraining(
        EdmTraining.Config.small(steps),
        teacher.blueprint(),
        new Preconditioning.Edm(),
        NETWORK.classes(),
        batch);
  }

  /** Every part of every method switched on. */
  Preset preset(long steps, int batch) {
    return Preset.quick()
        .withBatch(batch)
        .withEvaluated(50)
        .with(
            new ProgressiveDistillation.Config(
                NoiseLevels.karrasToZero(8),
                2,
                steps / 2,
                1e-3,
                1,
                ProgressiveDistillation.Solver.HEUN,
                ProgressiveDistillation.Weighting.TRUNCATED_SNR))
        .with(
            new Dmd2.Config(
                steps,
                Dmd2.Config.levels(2),
                Dmd2.Config.paperNoise(),
                3,
                1e-3,
                1e-3,
                1e-2,
                1e-2,
                true,
                true,
                100,
                5,
                10));
  }
}
