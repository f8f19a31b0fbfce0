package dev.limbeck.distillation.cli;

import dev.limbeck.nn.Precision;
import picocli.CommandLine.Option;

/** In which numbers networks compute. */
final class PrecisionOption {
  @Option(
      names = "--precision",
      paramLabel = "NAME",
      defaultValue = "f32",
      description =
          "f32, or bf16: networks compute in BF16 on tensor cores where there are some; what is"
              + " trained and saved is F32 all the same (default: ${DEFAULT-VALUE}).")
  private Precision precision;

  Precision precision() {
    return precision;
  }
}
