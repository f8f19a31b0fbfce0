package dev.limbeck.bench.cli;

import dev.limbeck.bench.PeerSuite;
import dev.limbeck.distillation.cli.Extension;
import dev.limbeck.distillation.data.SafeFiles;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Measures this machine: by JMH, or against another engine. */
@Command(
    name = "bench",
    description = {
      "Measures how fast this machine is with Limbeck's ops and networks.",
      "With --peers the same work is done by libtorch by turns in one process."
    },
    mixinStandardHelpOptions = true)
public final class BenchCommand implements Callable<Integer> {
  /** Adds the command to the command line. */
  public static final class Provider implements Extension {
    @Override
    public Object command() {
      return new BenchCommand();
    }
  }

  @Spec private CommandSpec spec;

  @Option(names = "--peers", description = "Compare with libtorch.")
  private boolean peers;

  @Option(names = "--quick", description = "Fewer and shorter measurements.")
  private boolean quick;

  @Option(
      names = "--only",
      paramLabel = "REGEX",
      defaultValue = "",
      description = "What has a match in its name (default: all).")
  private String only;

  @Option(
      names = "--threads",
      paramLabel = "N",
      defaultValue = "1",
      description = "Threads of each side (default: ${DEFAULT-VALUE}).")
  private int threads;

  @Option(
      names = "--format",
      paramLabel = "NAME",
      defaultValue = "md",
      description = "md, csv or json (default: ${DEFAULT-VALUE}).")
  private Table.Format format;

  @Option(
      names = "--out",
      paramLabel = "FILE",
      description = "Where the table is written (default: standard output).")
  private Path out;

  @Override
  public Integer call() {
    if (threads < 1) {
      throw new ParameterException(
          spec.commandLine(), "--threads is " + threads + "; at least 1 is needed");
    }
    Pattern pattern = pattern();
    PrintWriter err = spec.commandLine().getErr();
    List<Map<String, Object>> rows =
        peers
            ? suite().run(pattern, threads, err::println)
            : JmhRun.rows(only, threads, quick, err::println);
    if (rows.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(), "--only " + only + " matches nothing that can be measured");
    }
    String text = Table.text(format, rows);
    if (out == null) {
      spec.commandLine().getOut().print(text);
    } else {
      SafeFiles.write(out, text);
    }
    return 0;
  }

  private Pattern pattern() {
    try {
      return Pattern.compile(only);
    } catch (PatternSyntaxException e) {
      throw new ParameterException(
          spec.commandLine(),
          "--only " + only + " is no regular expression: " + e.getDescription());
    }
  }

  private PeerSuite suite() {
    return ServiceLoader.load(PeerSuite.class)
        .findFirst()
        .orElseThrow(
            () ->
                new ParameterException(
                    spec.commandLine(),
                    "--peers needs the build with libtorch: run ./limbeck bench --peers, or Maven"
                        + " with -Ppeers"));
  }
}
