package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.nn.UNetConfig;
import java.util.Arrays;

/**
 * The sizes of a run: resolution, network, and how long each part trains.
 *
 * @param side images are brought to this height and width
 * @param batch samples in a training step
 * @param evaluated samples that each Fréchet distance is measured on
 */
public record Preset(
    String name,
    int side,
    UNetConfig network,
    int batch,
    EdmTraining.Config teacher,
    ProgressiveDistillation.Config pd,
    Dmd2.Config dmd2,
    int evaluated) {
  private static final ProgressiveDistillation.Solver SOLVER = ProgressiveDistillation.Solver.HEUN;

  /** Levels at which generated images are noised: most of them where digits take shape. */
  private static double[] noise(double shift) {
    int count = 1000;
    return Arrays.copyOf(NoiseLevels.shiftedCosine(count, shift, NoiseLevels.SIGMA_MAX), count);
  }

  /** Minutes on two cores: digits of 16×16. */
  public static Preset quick() {
    return new Preset(
        "quick",
        16,
        UNetConfig.mnist16().withWidths(32, 48),
        64,
        EdmTraining.Config.small(2000),
        new ProgressiveDistillation.Config(
            NoiseLevels.shiftedCosine(8, 2, NoiseLevels.SIGMA_MAX),
            4,
            2000,
            1e-3,
            1,
            SOLVER,
            ProgressiveDistillation.Weighting.TRUNCATED_SNR),
        new Dmd2.Config(
            2200, new double[] {80}, noise(2), 5, 3e-4, 6e-4, 0, 0, true, true, 2000, 20, 10),
        5000);
  }

  /** Digits of 32×32, without a limit of time. */
  public static Preset full() {
    return new Preset(
        "full",
        32,
        UNetConfig.mnist32(),
        64,
        EdmTraining.Config.small(20_000),
        new ProgressiveDistillation.Config(
            NoiseLevels.shiftedCosine(16, 4, NoiseLevels.SIGMA_MAX),
            4,
            5000,
            5e-4,
            1,
            SOLVER,
            ProgressiveDistillation.Weighting.TRUNCATED_SNR),
        new Dmd2.Config(
            20_000,
            new double[] {80},
            noise(4),
            5,
            1e-4,
            2e-4,
            1e-3,
            1e-2,
            true,
            true,
            20_000,
            50,
            10),
        5000);
  }

  /** With another batch size. */
  public Preset withBatch(int size) {
    return new Preset(name, side, network, size, teacher, pd, dmd2, evaluated);
  }

  /** With another number of samples for each Fréchet distance. */
  public Preset withEvaluated(int samples) {
    return new Preset(name, side, network, batch, teacher, pd, dmd2, samples);
  }

  /** With another length of every method: steps of each halving, iterations of the matching. */
  public Preset withStudentSteps(long steps) {
    return new Preset(
        name,
        side,
        network,
        batch,
        teacher,
        pd.withStepsPerStage(steps),
        dmd2.withIterations(steps),
        evaluated);
  }

  /** With another length of the teacher's training. */
  public Preset withTeacherSteps(long steps) {
    return new Preset(name, side, network, batch, teacher.withSteps(steps), pd, dmd2, evaluated);
  }

  /** The preset of a name. */
  public static Preset of(String name) {
    return switch (name) {
      case "quick" -> quick();
      case "full" -> full();
      default ->
          throw new IllegalArgumentException(
              "there is no preset \"" + name + "\"; known are quick and full");
    };
  }
}
