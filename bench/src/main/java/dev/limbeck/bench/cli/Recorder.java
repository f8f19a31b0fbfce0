package dev.limbeck.bench.cli;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.kernels.Json;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Keeps a run: NAME.json holds everything, NAME.md what people read. */
final class Recorder {
  private final Path json;
  private final Path md;

  /**
   * Prepares a record.
   *
   * @throws DataException if there is one of that name: what was measured is not replaced
   */
  Recorder(Path folder, String name) {
    if (!name.matches("\\w[\\w.-]*")) {
      throw new DataException(
          "\"" + name + "\" is no name of a record: letters, digits, dots and dashes make one");
    }
    json = folder.resolve(name + ".json");
    md = folder.resolve(name + ".md");
    for (Path file : List.of(json, md)) {
      if (Files.exists(file)) {
        throw new DataException(file + " exists; give the record another name");
      }
    }
  }

  /** The folder of the project, which the launcher tells. */
  static Path folder() {
    String home = System.getProperty("limbeck.home");
    if (home == null) {
      throw new DataException("a record lies in the project's bench/results: run ./limbeck bench");
    }
    return Path.of(home, "bench", "results");
  }

  /** The name of a record that was given none, as in 2026-01-31-jdk17-t2. */
  static String name(LocalDate date, int threads) {
    return date + "-jdk" + Runtime.version().feature() + "-t" + threads;
  }

  /**
   * Writes both files.
   *
   * @param facts that hold for all rows
   * @param configurations how each peer was built, by its name
   */
  void write(
      Map<String, Object> facts,
      Map<String, Object> configurations,
      List<Map<String, Object>> rows) {
    Map<String, Object> whole = new LinkedHashMap<>(facts);
    whole.put("peers", configurations);
    whole.put("rows", rows);
    SafeFiles.write(json, Json.writePretty(whole));
    StringBuilder text = new StringBuilder();
    Map<String, Object> before = facts;
    for (List<Map<String, Object>> table : tables(rows)) {
      text.append(text.length() == 0 ? "" : "\n")
          .append(Table.text(Table.Format.MD, before, table));
      before = Map.of();
    }
    SafeFiles.write(md, text.toString());
  }

  /** Rows of the same columns together, in the order of their first. */
  private static List<List<Map<String, Object>>> tables(List<Map<String, Object>> rows) {
    Map<Set<String>, List<Map<String, Object>>> tables = new LinkedHashMap<>();
    for (Map<String, Object> row : rows) {
      tables.computeIfAbsent(row.keySet(), columns -> new ArrayList<>()).add(row);
    }
    return List.copyOf(tables.values());
  }
}
