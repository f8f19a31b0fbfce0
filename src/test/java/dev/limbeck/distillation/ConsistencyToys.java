package dev.limbeck.distillation;

import dev.limbeck.distillation.ConsistencyLearning.Weighting;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.Mlp;
import dev.limbeck.nn.optim.LrSchedule;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/** What tests of consistency methods share: a normal distribution, whose maps are known. */
final class ConsistencyToys {
  /** The variance of the data that the table of one-pass maps is for. */
  static final double VARIANCE = .25;

  static final double MIN = NoiseLevels.SIGMA_MIN;
  static final double MAX = NoiseLevels.SIGMA_MAX;
  static final Denoiser GAUSSIAN =
      ExactDenoisers.gaussian(new double[] {0}, new double[] {VARIANCE});

  static ConsistencyLearning.Training training(long steps, double dropout) {
    return new ConsistencyLearning.Training(
        steps, 1e-2, LrSchedule.constant(), null, dropout, 10, new double[] {MAX, 1}, 1);
  }

  static Teacher teacher(Denoiser denoiser, Teacher.Blueprint blueprint) {
    return new Teacher(denoiser, null, blueprint, new Preconditioning.Edm(), Shape.of(1), 0);
  }

  static Teacher.Blueprint mlp(Device device, int dimensions) {
    return guided -> new Mlp(Mlp.Config.toy(dimensions, 0), device, Rng.of(4));
  }

  static StepInput input(Device device, int count) {
    Tensor x = Rng.of(1).normal(device, Shape.of(count, 1)).mul((float) Math.sqrt(VARIANCE));
    return new StepInput(0, Rng.of(2), x, null);
  }

  static ConsistencyDistillation distillation(
      int nodes, ProgressiveDistillation.Solver solver, Teacher.Blueprint blueprint) {
    return new ConsistencyDistillation(
        new ConsistencyDistillation.Config(
            training(1, 0),
            new ConsistencyMetric.SquaredL2(),
            Weighting.UNIFORM,
            NoiseLevels.karras(nodes),
            solver,
            0),
        teacher(GAUSSIAN, blueprint),
        1);
  }

  private ConsistencyToys() {}
}
