package dev.limbeck.distillation.cli;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** How many threads the CPU device uses. */
final class ThreadsOption {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec command;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads of the CPU device (default: all cores); results do not depend on it.")
  private Integer threads;

  /** How many there are to be. */
  int count() {
    return threads == null ? Runtime.getRuntime().availableProcessors() : threads;
  }

  /** Must come before the first device is opened. */
  void apply() {
    if (threads == null) {
      return;
    }
    if (threads < 1) {
      throw new ParameterException(
          command.commandLine(), "--threads is " + threads + "; at least 1 is needed");
    }
    System.setProperty("limbeck.threads", threads.toString());
  }
}
