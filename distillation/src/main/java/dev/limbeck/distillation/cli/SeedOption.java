package dev.limbeck.distillation.cli;

import picocli.CommandLine.Option;

/** What all randomness of a run follows from. */
final class SeedOption {
  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "The same seed gives the same bits (default: ${DEFAULT-VALUE}).")
  private long seed;

  long seed() {
    return seed;
  }
}
