package dev.limbeck.distillation.cli;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** Refuses numbers that are too small to mean anything. */
final class AtLeast {
  private AtLeast() {}

  /**
   * Checks the value of an option.
   *
   * @param value or null where the option was not given
   */
  static void check(CommandSpec command, String option, Number value, double least) {
    if (value != null && !(value.doubleValue() >= least)) {
      String number = least == Math.rint(least) ? Long.toString((long) least) : "" + least;
      throw new ParameterException(
          command.commandLine(), option + " is " + value + "; at least " + number + " is needed");
    }
  }
}
