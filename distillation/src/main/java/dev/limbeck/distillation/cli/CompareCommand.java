package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.ComparisonJob;
import dev.limbeck.kernels.Device;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Every method side by side. */
@Command(
    name = "compare",
    description = {
      "Compares all methods on mixtures with an exact teacher and on handwritten digits, and holds"
          + " the numbers against what the papers claim: compare.html, compare.json, compare.png.",
      "What is measured is kept cell by cell (data/method/steps/seed): started again, it goes on"
          + " where it stopped. Everything takes hours."
    },
    mixinStandardHelpOptions = true)
final class CompareCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;
  @Mixin private OutOption out;

  @Option(
      names = "--quick",
      description = "Minutes: everything runs, but the numbers mean nothing.")
  private boolean quick;

  @Option(
      names = "--only",
      paramLabel = "REGEX",
      description = "Only cells that the expression is found in, as in mnist/pd/4/0 or ^toy-.")
  private String only;

  @Option(names = "--list", description = "Print the names of the cells and do nothing.")
  private boolean list;

  @Override
  public Integer call() throws IOException {
    PrintWriter console = spec.commandLine().getOut();
    Pattern pattern = pattern();
    if (list) {
      ComparisonJob.cells(quick).stream()
          .filter(id -> pattern == null || pattern.matcher(id).find())
          .forEach(console::println);
      return 0;
    }
    if (pattern != null && ComparisonJob.cells(quick).stream().noneMatch(pattern.asPredicate())) {
      throw new ParameterException(
          spec.commandLine(),
          "--only " + only + " is found in no cell; compare --list prints all of them");
    }
    Path folder = out.folder(quick ? "compare-quick" : "compare");
    Device opened = device.open();
    ComparisonJob.Result result =
        new ComparisonJob(
                new ComparisonJob.Options(
                    opened, folder, quick, pattern, Math.max(1, device.count())),
                new ConsoleWatcher(),
                System.err::println)
            .run();
    result.verdicts().forEach(console::println);
    console.println(result.cells() + " cells; see " + folder.resolve("compare.html"));
    PrintWriter errors = spec.commandLine().getErr();
    result.failures().forEach((cell, why) -> errors.println(cell + " failed: " + why));
    return result.failures().isEmpty() ? 0 : 1;
  }

  private Pattern pattern() {
    try {
      return only == null ? null : Pattern.compile(only);
    } catch (PatternSyntaxException e) {
      throw new ParameterException(
          spec.commandLine(), "--only is no regular expression: " + e.getDescription(), e);
    }
  }
}
