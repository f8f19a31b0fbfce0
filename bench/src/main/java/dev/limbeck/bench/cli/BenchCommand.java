package dev.limbeck.bench.cli;

import dev.limbeck.bench.PeerSuite;
import dev.limbeck.distillation.cli.Extension;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.kernels.cpu.CpuDevice;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
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
      names = "--shapes",
      paramLabel = "NETWORK",
      description = "All shapes of mnist, cifar10, imagenet64 or sd15 (default: a selection).")
  private String shapes;

  @Option(
      names = "--roofline",
      paramLabel = "FOLDER",
      description = "Where roofline.png and roofline.html are written (default: nowhere).")
  private Path roofline;

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
    if (peers && (roofline != null || shapes != null)) {
      throw new ParameterException(
          spec.commandLine(), "--roofline and --shapes do not go together with --peers");
    }
    PrintWriter err = spec.commandLine().getErr();
    List<Map<String, Object>> rows =
        peers ? suite().run(pattern, threads, err::println) : jmh(pattern);
    if (rows.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(), "--only " + only + " matches nothing that can be measured");
    }
    Map<String, Object> facts = facts();
    if (roofline != null) {
      new Roofline(rows).write(roofline, facts);
    }
    String text = Table.text(format, facts, rows);
    if (out == null) {
      spec.commandLine().getOut().print(text);
    } else {
      SafeFiles.write(out, text);
    }
    return 0;
  }

  private List<Map<String, Object>> jmh(Pattern pattern) {
    JmhRun run = new JmhRun(threads, quick);
    return shapes == null ? run.rows(pattern) : run.rows(pattern, ShapeFile.of(shapes));
  }

  /** What a result needs beside it to mean something later. */
  private Map<String, Object> facts() {
    Map<String, Object> facts = new LinkedHashMap<>();
    try (CpuDevice device = CpuDevice.open(true, threads)) {
      facts.put("device", device.description());
    }
    facts.put("java", System.getProperty("java.vm.version"));
    facts.put("commit", System.getProperty("limbeck.commit", "unknown"));
    List<String> arguments = spec.commandLine().getParseResult().originalArgs();
    facts.put("command", "./limbeck " + String.join(" ", arguments(arguments)));
    return facts;
  }

  /** The arguments as a shell takes them. */
  private static List<String> arguments(List<String> originals) {
    List<String> all = new ArrayList<>();
    for (String argument : originals) {
      all.add(argument.matches("[\\w./=:-]+") ? argument : "'" + argument + "'");
    }
    return all;
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
