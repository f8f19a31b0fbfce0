package dev.limbeck.bench.cli;

import dev.limbeck.bench.MemoryCase;
import dev.limbeck.bench.PeerProcess;
import dev.limbeck.bench.PeerSuite;
import dev.limbeck.kernels.Json;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/**
 * Compares Limbeck with its peers, in processes of their own: an engine reads its settings from the
 * environment, and two of them do not always fit into one process.
 */
final class PeerRun {
  private static final String MEMORY = "memory/";

  /**
   * How the threads of OpenMP wait for work: busily for a while, or asleep. Which is faster differs
   * from work to work where an engine has a second pool; both are run, the peer's better counts.
   */
  private static final Map<String, String> WAITS = new LinkedHashMap<>();

  static {
    WAITS.put("default", "");
    WAITS.put("passive", "passive");
  }

  private final int threads;
  private final Consumer<String> progress;
  private final Map<String, Object> configurations = new LinkedHashMap<>();

  PeerRun(int threads, Consumer<String> progress) {
    this.threads = threads;
    this.progress = progress;
  }

  /** What was said of the build of each engine that was timed, by its name. */
  Map<String, Object> configurations() {
    return configurations;
  }

  /** One row for each piece of work whose name has a match. */
  List<Map<String, Object>> rows(List<PeerSuite> suites, Pattern only) {
    List<Map<String, Object>> rows = new ArrayList<>();
    for (PeerSuite suite : suites) {
      if (suite.names().stream().anyMatch(name -> only.matcher(name).find())) {
        rows.addAll(timed(suite.peer(), only));
      }
      suite
          .memory()
          .forEach(
              (name, work) -> {
                if (only.matcher(MEMORY + name).find()) {
                  rows.add(memory(suite.peer(), name, work.layouts()));
                }
              });
    }
    return rows;
  }

  private List<Map<String, Object>> timed(String peer, Pattern only) {
    Map<String, List<Map<String, Object>>> runs = new LinkedHashMap<>();
    WAITS.forEach(
        (label, policy) -> {
          if (threads == 1 && !policy.isEmpty()) {
            return; // a single thread waits for nobody
          }
          progress.accept(peer + ", threads wait: " + label);
          Map<String, Object> answer =
              ChildJvm.ask(PeerProcess.timing(peer, only, threads), environment(policy), progress);
          configurations.put(peer, answer.get("configuration"));
          List<Map<String, Object>> rows = new ArrayList<>();
          Json.list(answer.get("rows"), "rows").forEach(r -> rows.add(Json.object(r, "a row")));
          runs.put(label, rows);
        });
    return better(runs);
  }

  /** Without what a machine may set for older libraries, so that each finds its best by itself. */
  private static Map<String, String> environment(String policy) {
    return Map.of("OMP_WAIT_POLICY", policy, "OPENBLAS_CORETYPE", "", "OPENBLAS_L2_SIZE", "");
  }

  /** Of each row that in which the peer was fastest, with how its threads waited. */
  static List<Map<String, Object>> better(Map<String, List<Map<String, Object>>> runs) {
    Map<Object, Map<String, Object>> best = new LinkedHashMap<>();
    runs.forEach(
        (label, rows) -> {
          for (Map<String, Object> row : rows) {
            Map<String, Object> other = best.get(row.get("name"));
            if (other == null || number(row, "peer_ms") < number(other, "peer_ms")) {
              Map<String, Object> kept = new LinkedHashMap<>(row);
              kept.put("peer_waits", label);
              best.put(row.get("name"), kept);
            }
          }
        });
    return List.copyOf(best.values());
  }

  private Map<String, Object> memory(String peer, String name, List<String> layouts) {
    Map<String, Object> ours = ask(PeerProcess.limbeckMemory(peer, name, threads));
    List<Map<String, Object>> theirs = new ArrayList<>();
    for (int i = 0; i < layouts.size(); i++) {
      Map<String, Object> report = ask(PeerProcess.peerMemory(peer, name, i, threads, ours));
      report.put("layout", layouts.get(i));
      theirs.add(report);
    }
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("name", MEMORY + name);
    row.put("threads", threads);
    row.put("jdk", System.getProperty("java.version"));
    row.put("peer", peer);
    row.putAll(comparison(ours, theirs));
    progress.accept(
        String.format(
            Locale.ROOT,
            "%-34s %8.1f MB (%.1f before), %s %8.1f MB (%.1f before): %.2f×",
            row.get("name"),
            number(row, "limbeck_mb"),
            number(row, "limbeck_base_mb"),
            peer,
            number(row, "peer_mb"),
            number(row, "peer_base_mb"),
            number(row, "ratio")));
    return row;
  }

  private Map<String, Object> ask(Map<String, Object> request) {
    return ChildJvm.ask(request, environment(""), progress);
  }

  /** Our report beside that one of theirs whose peak is least; the ratio is ours over theirs. */
  static Map<String, Object> comparison(
      Map<String, Object> ours, List<Map<String, Object>> theirs) {
    Map<String, Object> least = theirs.get(0);
    for (Map<String, Object> report : theirs) {
      if (number(report, MemoryCase.PEAK) < number(least, MemoryCase.PEAK)) {
        least = report;
      }
    }
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("limbeck_mb", rounded(number(ours, MemoryCase.PEAK)));
    row.put("peer_mb", rounded(number(least, MemoryCase.PEAK)));
    row.put("ratio", rounded(number(ours, MemoryCase.PEAK) / number(least, MemoryCase.PEAK)));
    row.put("limbeck_base_mb", rounded(number(ours, MemoryCase.BASE)));
    row.put("peer_base_mb", rounded(number(least, MemoryCase.BASE)));
    row.put("limbeck_step_ms", rounded(number(ours, MemoryCase.STEP)));
    row.put("peer_step_ms", rounded(number(least, MemoryCase.STEP)));
    row.put("peer_layout", least.get("layout"));
    return row;
  }

  private static double rounded(double value) {
    return Math.round(value * 1e3) / 1e3;
  }

  private static double number(Map<String, Object> row, String key) {
    return ((Number) row.get(key)).doubleValue();
  }
}
