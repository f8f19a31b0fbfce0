package dev.limbeck.distillation;

import dev.limbeck.nn.UNetConfig;

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
  /** Levels of the four-step student: Karras et al.'s, the last replaced by 0. */
  private static final ProgressiveDistillation.Grid GRID =
      ProgressiveDistillation.Grid.KARRAS_TO_ZERO;

  /** Minutes on two cores: digits of 16×16. */
  public static Preset quick() {
    return new Preset(
        "quick",
        16,
        UNetConfig.mnist16(),
        64,
        EdmTraining.Config.small(2000),
        new ProgressiveDistillation.Config(
            32, 4, 400, 5e-4, 1, GRID, ProgressiveDistillation.Weighting.TRUNCATED_SNR),
        new Dmd2.Config(1500, new double[] {80}, 5, 2e-4, 4e-4, 0, 0, true, true, 2000, 50, 10),
        5000);
  }

  /** Hours: digits of 32×32. */
  public static Preset full() {
    return new Preset(
        "full",
        32,
        UNetConfig.mnist32(),
        64,
        EdmTraining.Config.small(20_000),
        new ProgressiveDistillation.Config(
            64, 4, 5000, 5e-4, 1, GRID, ProgressiveDistillation.Weighting.TRUNCATED_SNR),
        new Dmd2.Config(
            20_000, new double[] {80}, 5, 1e-4, 2e-4, 1e-3, 1e-2, true, true, 20_000, 50, 10),
        5000);
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
