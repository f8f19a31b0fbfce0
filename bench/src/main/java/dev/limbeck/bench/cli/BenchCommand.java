package dev.limbeck.bench.cli;

import dev.limbeck.bench.PeerProcess;
import dev.limbeck.bench.PeerSuite;
import dev.limbeck.distillation.cli.Extension;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.cpu.CpuDevice;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Stream;
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
      "With --peers the same work is done by libtorch and others by turns, and the memory of a",
      "training step is measured on each side."
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

  @Option(names = "--peers", description = "Compare with other engines.")
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
      names = "--device",
      paramLabel = "NAME",
      defaultValue = "cpu",
      description = "cpu, or a GPU as in cuda:0 (default: ${DEFAULT-VALUE}).")
  private String device;

  @Option(
      names = "--smallest",
      description = "With a GPU, one small shape of each family: a trial, not a measurement.")
  private boolean smallest;

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

  @Option(
      names = "--record",
      paramLabel = "NAME",
      arity = "0..1",
      fallbackValue = "",
      description =
          "Keeps the run as NAME.json and NAME.md in bench/results (default: the day, the JDK and"
              + " the threads).")
  private String record;

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
    boolean gpu = !device.equals("cpu");
    if (gpu ? peers || roofline != null || shapes != null || record != null : smallest) {
      throw new ParameterException(
          spec.commandLine(),
          "--device with a GPU goes together with --only, --quick, --smallest, --format and --out"
              + " only, and --smallest needs it");
    }
    Recorder recorder = record == null ? null : recorder();
    PrintWriter err = spec.commandLine().getErr();
    PeerRun peerRun = new PeerRun(threads, err::println);
    List<Map<String, Object>> rows =
        gpu
            ? new GpuRun(device, quick, smallest).rows(pattern)
            : peers ? peerRun.rows(suites(), pattern) : jmh(pattern);
    if (rows.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(), "--only " + only + " matches nothing that can be measured");
    }
    Map<String, Object> facts = facts();
    if (roofline != null) {
      new Roofline(rows).write(roofline, facts);
    }
    if (recorder != null) {
      recorder.write(facts, peerRun.configurations(), rows);
    }
    String text = Table.text(format, facts, rows);
    if (out == null) {
      spec.commandLine().getOut().print(text);
    } else {
      SafeFiles.write(out, text);
    }
    List<Object> failed =
        rows.stream()
            .filter(row -> row.containsKey(GpuRun.FAILED))
            .map(row -> row.get("name"))
            .toList();
    if (!failed.isEmpty()) {
      err.println("limbeck bench: " + failed + " failed; the table says why");
      return 1;
    }
    return 0;
  }

  private Recorder recorder() {
    String name = record.isEmpty() ? Recorder.name(LocalDate.now(), threads) : record;
    return new Recorder(Recorder.folder(), name);
  }

  private List<Map<String, Object>> jmh(Pattern pattern) {
    JmhRun run = new JmhRun(threads, quick);
    return shapes == null ? run.rows(pattern) : run.rows(pattern, ShapeFile.of(shapes));
  }

  /** What a result needs beside it to mean something later. */
  private Map<String, Object> facts() {
    Map<String, Object> facts = new LinkedHashMap<>();
    try (Device opened = device.equals("cpu") ? CpuDevice.open(true, threads) : Device.of(device)) {
      facts.put("device", opened.description());
    }
    facts.put("processor", processor());
    facts.put("java", System.getProperty("java.vm.version"));
    facts.put("commit", System.getProperty("limbeck.commit", "unknown"));
    List<String> arguments = spec.commandLine().getParseResult().originalArgs();
    facts.put("command", "./limbeck " + String.join(" ", arguments(arguments)));
    return facts;
  }

  /** Its name where the system is Linux, and how many there are. */
  private static String processor() {
    String name = System.getProperty("os.arch");
    try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      name =
          lines
              .filter(line -> line.startsWith("model name"))
              .map(line -> line.replaceFirst(".*:\\s*", ""))
              .findFirst()
              .orElse(name);
    } catch (IOException | UncheckedIOException e) {
      // Another system: its architecture says enough.
    }
    return Runtime.getRuntime().availableProcessors() + " × " + name;
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

  private List<PeerSuite> suites() {
    List<PeerSuite> suites = PeerProcess.suites();
    if (suites.isEmpty()) {
      throw new ParameterException(
          spec.commandLine(),
          "--peers needs the build with libtorch: run ./limbeck bench --peers, or Maven with"
              + " -Ppeers");
    }
    return suites;
  }
}
