package dev.limbeck.bench.cli;

import dev.limbeck.bench.PeerProcess;
import dev.limbeck.kernels.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** A second JVM like this one: the same program, class path and options. */
final class ChildJvm {
  private static final String INCUBATES = "WARNING: Using incubator modules";

  private ChildJvm() {}

  /**
   * What a {@link PeerProcess} answers.
   *
   * @param environment what is set in the child's; an empty value takes a variable away
   * @param progress told every line that is not the answer
   * @throws IllegalStateException if the child ends without an answer
   */
  static Map<String, Object> ask(
      Map<String, Object> request, Map<String, String> environment, Consumer<String> progress) {
    ProcessBuilder builder = new ProcessBuilder(command()).redirectErrorStream(true);
    environment.forEach(
        (name, value) -> {
          if (value.isEmpty()) {
            builder.environment().remove(name);
          } else {
            builder.environment().put(name, value);
          }
        });
    try {
      Process process = builder.start();
      Thread end = new Thread(process::destroy);
      Runtime.getRuntime().addShutdownHook(end);
      try (OutputStream in = process.getOutputStream()) {
        in.write(Json.write(request).getBytes(StandardCharsets.UTF_8));
      }
      Map<String, Object> answer;
      try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
        answer = answer(lines, progress);
      }
      int status = process.waitFor();
      Runtime.getRuntime().removeShutdownHook(end);
      if (status != 0 || answer == null) {
        throw new IllegalStateException(
            "the process that measures ended with status "
                + status
                + (answer == null ? " and no report" : "")
                + "; what it said stands above");
      }
      return answer;
    } catch (IOException e) {
      throw new IllegalStateException("cannot run a second JVM: " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while a second JVM measured", e);
    }
  }

  /** The report among a child's lines, or null. */
  static Map<String, Object> answer(BufferedReader lines, Consumer<String> progress)
      throws IOException {
    Map<String, Object> answer = null;
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      if (line.startsWith(PeerProcess.REPORT)) {
        answer = Json.parseObject(line.substring(PeerProcess.REPORT.length()));
      } else if (!line.startsWith(INCUBATES)) {
        progress.accept(line);
      }
    }
    return answer;
  }

  private static List<String> command() {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(PeerProcess.class.getName());
    return command;
  }
}
