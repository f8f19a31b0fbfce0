package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.Preset;
import picocli.CommandLine.Option;

/** How long and how large. */
final class PresetOption {
  @Option(
      names = "--preset",
      paramLabel = "NAME",
      defaultValue = "quick",
      description =
          "quick (16×16, minutes) or full (32×32, no limit of time; default: ${DEFAULT-VALUE}).")
  private String name;

  @Option(names = "--batch", paramLabel = "N", description = "Samples in a training step.")
  private Integer batch;

  @Option(
      names = "--samples",
      paramLabel = "N",
      description = "Samples for each Fréchet distance (default: 5000).")
  private Integer samples;

  Preset preset() {
    Preset preset = Preset.of(name);
    if (batch != null) {
      preset = preset.withBatch(batch);
    }
    return samples == null ? preset : preset.withEvaluated(samples);
  }
}
