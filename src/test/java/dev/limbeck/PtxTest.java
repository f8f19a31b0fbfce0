package dev.limbeck;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The committed PTX is what kernels/ptx makes, assembles everywhere, and belongs to Java code. */
class PtxTest {
  private static final List<String> CAPABILITIES = List.of("75", "80", "90");

  /** Which PTX each processor's driver takes. */
  private static final Map<String, String> PROCESSORS =
      new TreeMap<>(
          Map.of(
              "sm_75", "75", "sm_80", "80", "sm_86", "80", "sm_89", "80", "sm_90", "90", "sm_100",
              "90", "sm_120", "90"));

  private static final int RETRIES = 2;

  private static final Pattern ENTRY = Pattern.compile("\\.entry\\s+(\\w+)");
  private static final Pattern LAUNCH =
      Pattern.compile("\\.kernel\\(\\s*\"(\\w+)\",\\s*\"(\\w+)\"\\)");
  private static final Pattern WORD = Pattern.compile("\"([a-z0-9_]+)\"|\\b([A-Z][A-Z0-9_]+)\\b");
  private static final Pattern SPILL_REASON = Pattern.compile("// spills (\\w+): \\S+");
  private static final Pattern COMPILING =
      Pattern.compile("Compiling entry function '(\\w+)' for '(\\w+)'");

  /** The .cu files by name, with their text. */
  private static Map<String, Path> sources() {
    Map<String, Path> all = new TreeMap<>();
    for (String module : Project.MODULES) {
      for (Path file : Project.files(Project.root().resolve(module + "/src/main/java"), ".cu")) {
        all.put(file.getFileName().toString().replace(".cu", ""), file);
      }
    }
    assertTrue(all.size() >= 2, "only " + all.keySet() + " found");
    return all;
  }

  private static Path ptx(Path source, String capability) {
    String name = source.getFileName().toString().replace(".cu", "." + capability + ".ptx.gz");
    return Path.of(source.toString().replace("/src/main/java/", "/src/main/resources/"))
        .resolveSibling(name);
  }

  /** The text that a device of this capability takes: its own, or that of the next below. */
  private static String text(Path source, String capability) {
    for (int i = CAPABILITIES.indexOf(capability); i >= 0; i--) {
      Path file = ptx(source, CAPABILITIES.get(i));
      if (Files.exists(file)) {
        return Project.unzipped(file);
      }
    }
    throw new AssertionError(source + " has no PTX: run kernels/ptx");
  }

  private static Set<String> entries(Path source, String capability) {
    Set<String> names = new TreeSet<>();
    Matcher entry = ENTRY.matcher(text(source, capability));
    while (entry.find()) {
      names.add(entry.group(1));
    }
    return names;
  }

  @Test
  void everySourceHasItsPtxAndEveryPtxItsSource() {
    Set<Path> known = new TreeSet<>();
    for (Path source : sources().values()) {
      assertTrue(Files.exists(ptx(source, "75")), source + " has no PTX: run kernels/ptx");
      CAPABILITIES.forEach(each -> known.add(ptx(source, each)));
    }
    for (String module : Project.MODULES) {
      Path resources = Project.root().resolve(module + "/src/main/resources");
      for (Path file : Project.files(resources, ".ptx.gz")) {
        assertTrue(known.contains(file), file + " belongs to no .cu file");
      }
    }
  }

  @Test
  void thePtxIsReadByTheOldestDriver() {
    for (Path source : sources().values()) {
      for (String capability : CAPABILITIES) {
        Path file = ptx(source, capability);
        if (Files.exists(file)) {
          String text = Project.unzipped(file);
          assertTrue(text.contains("\n.version 8.0\n"), file + ": version");
          assertTrue(text.contains("\n.target sm_" + capability + "\n"), file + ": target");
        }
      }
    }
  }

  @Test
  void everyFunctionHasAJavaOwnerAndEveryLaunchItsFunction() {
    Map<String, List<String>> users = new TreeMap<>();
    List<String> missing = new ArrayList<>();
    for (Path file : Project.mainSources()) {
      String text = Project.text(file);
      for (String module : sources().keySet()) {
        if (text.contains(".kernel(\"" + module + "\"")) {
          users.computeIfAbsent(module, m -> new ArrayList<>()).add(text);
        }
      }
      Matcher launch = LAUNCH.matcher(text);
      while (launch.find()) {
        Path source = sources().get(launch.group(1));
        if (source == null || !entries(source, "90").contains(launch.group(2))) {
          missing.add(Project.name(file) + " launches " + launch.group(2) + ", which is nowhere");
        }
      }
    }
    sources()
        .forEach(
            (module, source) -> {
              List<String> texts = withHelpers(users.getOrDefault(module, List.of()));
              for (String symbol : entries(source, "90")) {
                if (!named(symbol, texts)) {
                  missing.add(Project.name(source) + ": no Java code launches " + symbol);
                }
              }
            });
    assertEquals(List.of(), missing);
  }

  /** Some code, and that of the classes it names which deal with launchers too. */
  private static List<String> withHelpers(List<String> texts) {
    List<String> all = new ArrayList<>(texts);
    for (Path file : Project.mainSources()) {
      String type = file.getFileName().toString().replace(".java", "");
      Pattern used = Pattern.compile("\\b" + type + "\\.\\w");
      String text = Project.text(file);
      if (text.contains("Launcher")
          && !texts.contains(text)
          && texts.stream().anyMatch(each -> used.matcher(each).find())) {
        all.add(text);
      }
    }
    return all;
  }

  /** True if a symbol is a text in the Java code, or put together from texts and constants. */
  private static boolean named(String symbol, List<String> texts) {
    Set<String> words = new TreeSet<>();
    for (String text : texts) {
      Matcher word = WORD.matcher(text);
      while (word.find()) {
        String constant = word.group(2);
        words.add(constant == null ? word.group(1) : constant.toLowerCase(java.util.Locale.ROOT));
      }
    }
    return joined(symbol, words);
  }

  /** True if a text is one of the words, or several one after the other. */
  private static boolean joined(String text, Set<String> words) {
    if (words.contains(text)) {
      return true;
    }
    for (int i = 1; i < text.length(); i++) {
      if (words.contains(text.substring(0, i)) && joined(text.substring(i), words)) {
        return true;
      }
    }
    return false;
  }

  @Test
  @Tag("cuda")
  @Tag("cuda-only")
  void compilingAgainGivesTheSamePtx(@TempDir Path folder) throws IOException {
    String recorded = "";
    for (Path source : sources().values()) {
      String head = text(source, "80");
      Matcher version = Pattern.compile("release [\\d.]+, (V[\\d.]+)").matcher(head);
      assertTrue(version.find(), source + ": the PTX does not say which nvcc made it");
      assertTrue(recorded.isEmpty() || recorded.equals(version.group(1)), "two versions of nvcc");
      recorded = version.group(1);
    }
    Optional<String> installed = output(List.of("nvcc", "--version"));
    if (installed.isEmpty() || !installed.get().contains(recorded)) {
      notChecked("nvcc " + recorded + " is not installed: the PTX was not compiled again");
      return;
    }
    String script = Project.root().resolve("kernels/ptx").toString();
    assertTrue(output(List.of(script, "--into", folder.toString())).isPresent(), script);
    for (Map.Entry<String, Path> source : sources().entrySet()) {
      // nvcc 13.0 was seen to order reads of shared memory in one of several ways from run to run.
      for (int again = 0; again < RETRIES && !stale(source.getValue(), folder).isEmpty(); again++) {
        output(List.of(script, "--into", folder.toString(), source.getKey()));
      }
      assertEquals("", stale(source.getValue(), folder));
    }
  }

  /** Says which PTX of a source is not what was made in a folder, or nothing. */
  private static String stale(Path source, Path folder) {
    for (String capability : CAPABILITIES) {
      Path committed = ptx(source, capability);
      Path fresh = folder.resolve(committed.getFileName());
      boolean same = Files.exists(fresh) == Files.exists(committed);
      if (same && Files.exists(fresh)) {
        same = Project.unzipped(fresh).equals(Project.unzipped(committed));
      }
      if (!same) {
        return Project.name(committed) + " is stale: run kernels/ptx";
      }
    }
    return "";
  }

  /** What one kernel takes on one processor. */
  private record Use(int registers, int shared, int stack, int spills) {}

  @Test
  @Tag("cuda")
  @Tag("cuda-only")
  void everyProcessorTakesThePtxAndNothingSpills(@TempDir Path folder) throws IOException {
    if (output(List.of("ptxas", "--version")).isEmpty()) {
      notChecked("ptxas is not installed: registers and spills were not looked at");
      return;
    }
    Map<String, Map<String, Use>> report = new TreeMap<>();
    Map<String, Set<String>> excused = new TreeMap<>();
    for (Path source : sources().values()) {
      Matcher reason = SPILL_REASON.matcher(Project.text(source));
      while (reason.find()) {
        excused.computeIfAbsent(reason.group(1), k -> new TreeSet<>()).add(reason.group());
      }
      for (Map.Entry<String, String> each : PROCESSORS.entrySet()) {
        Path ptx = folder.resolve("in.ptx");
        Files.writeString(ptx, text(source, each.getValue()));
        String text =
            output(
                    List.of(
                        "ptxas",
                        "-v",
                        "-arch=" + each.getKey(),
                        ptx.toString(),
                        "-o",
                        folder.resolve("out.cubin").toString()))
                .orElseThrow();
        read(text, report);
        for (String kernel : entries(source, each.getValue())) {
          assertTrue(
              report.get(kernel).containsKey(each.getKey()), kernel + " on " + each.getKey());
        }
      }
    }
    write(report);
    List<String> spilling = new ArrayList<>();
    report.forEach(
        (kernel, uses) ->
            uses.forEach(
                (processor, use) -> {
                  if (use.spills() > 0 && !excused.containsKey(kernel)) {
                    spilling.add(kernel + " on " + processor + " spills " + use.spills());
                  }
                }));
    assertEquals(
        List.of(), spilling, "a kernel that has to spill says why: // spills NAME: reason");
  }

  private static void read(String text, Map<String, Map<String, Use>> report) {
    String kernel = "";
    String processor = "";
    int stack = 0;
    int spills = 0;
    for (String line : text.split("\n")) {
      Matcher compiling = COMPILING.matcher(line);
      if (compiling.find()) {
        kernel = compiling.group(1);
        processor = compiling.group(2);
      } else if (line.contains("bytes stack frame")) {
        stack = number(line, "bytes stack frame");
        spills = number(line, "bytes spill stores") + number(line, "bytes spill loads");
      } else if (line.contains("Used ") && line.contains(" registers")) {
        Use use = new Use(number(line, "registers"), number(line, "bytes smem"), stack, spills);
        report.computeIfAbsent(kernel, k -> new TreeMap<>()).put(processor, use);
      }
    }
  }

  /** The number that stands before a unit in a line, or 0. */
  private static int number(String line, String unit) {
    Matcher matcher = Pattern.compile("(\\d+) " + unit).matcher(line);
    return matcher.find() ? Integer.parseInt(matcher.group(1)) : 0;
  }

  private static void write(Map<String, Map<String, Use>> report) throws IOException {
    StringBuilder json = new StringBuilder("{");
    String comma = "\n";
    for (Map.Entry<String, Map<String, Use>> kernel : report.entrySet()) {
      json.append(comma).append("  \"").append(kernel.getKey()).append("\": {");
      String inner = "\n";
      for (Map.Entry<String, Use> each : kernel.getValue().entrySet()) {
        Use use = each.getValue();
        json.append(inner)
            .append(
                String.format(
                    "    \"%s\": {\"registers\": %d, \"shared\": %d, \"stack\": %d, \"spills\": %d}",
                    each.getKey(), use.registers(), use.shared(), use.stack(), use.spills()));
        inner = ",\n";
      }
      json.append("\n  }");
      comma = ",\n";
    }
    Path file = Project.root().resolve("kernels/target/kernel-report.json");
    Files.writeString(file, json.append("\n}\n"));
  }

  /** What a program prints, both streams; empty if there is no such program. */
  private static Optional<String> output(List<String> command) throws IOException {
    Process process;
    try {
      process = new ProcessBuilder(command).redirectErrorStream(true).start();
    } catch (IOException absent) {
      return Optional.empty();
    }
    String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    try {
      assertTrue(process.waitFor(10, TimeUnit.MINUTES), command + " does not end");
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    assertEquals(0, process.exitValue(), command + ": " + text);
    return Optional.of(text);
  }

  /** Says so where it does not matter, and fails where the CUDA tests have to run. */
  private static void notChecked(String what) {
    String required = String.valueOf(System.getenv("REQUIRE_DEVICES"));
    assertTrue(!Arrays.asList(required.split("\\s*,\\s*")).contains("cuda"), what);
    System.out.println(what);
  }
}
