package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.Preset;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** How long and how large. */
final class PresetOption {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

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
      description =
          "Samples for each Fréchet distance (default: 5000) or measurement of points (10000), and"
              + " at most in the picture of a training.")
  private Integer samples;

  Preset preset() {
    try {
      return adjusted(Preset.of(name));
    } catch (IllegalArgumentException e) {
      throw new ParameterException(command.commandLine(), e.getMessage(), e);
    }
  }

  /** What was asked for of a run on points, which have a preset of their own. */
  Preset points() {
    return adjusted(Preset.points());
  }

  /** Refuses fewer samples than a distance can be measured on. */
  void checkMeasured() {
    AtLeast.check(command, "--samples", samples, 2);
  }

  private Preset adjusted(Preset of) {
    AtLeast.check(command, "--batch", batch, 1);
    AtLeast.check(command, "--samples", samples, 1);
    Preset preset = of;
    if (batch != null) {
      preset = preset.withBatch(batch);
    }
    return samples == null ? preset : preset.withEvaluated(samples);
  }
}
