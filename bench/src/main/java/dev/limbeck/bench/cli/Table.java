package dev.limbeck.bench.cli;

import dev.limbeck.kernels.Json;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.StringJoiner;

/** Rows of named values as text. */
final class Table {
  /** How a table is written. */
  enum Format {
    MD,
    CSV,
    JSON
  }

  private Table() {}

  /**
   * All rows, each column of any row; ends with a line break.
   *
   * @param facts that hold for all rows: lines before a table for readers, else columns
   */
  static String text(Format format, Map<String, Object> facts, List<Map<String, Object>> rows) {
    if (format == Format.MD) {
      StringBuilder text = new StringBuilder();
      facts.forEach(
          (name, value) -> text.append("- ").append(name).append(": ").append(value).append("\n"));
      return text.append(facts.isEmpty() ? "" : "\n").append(text(format, rows)).toString();
    }
    List<Map<String, Object>> whole = new ArrayList<>();
    for (Map<String, Object> row : rows) {
      Map<String, Object> all = new LinkedHashMap<>(row);
      facts.forEach(all::putIfAbsent);
      whole.add(all);
    }
    return format == Format.JSON ? Json.writePretty(whole) + "\n" : text(format, whole);
  }

  private static String text(Format format, List<Map<String, Object>> rows) {
    Set<String> columns = new LinkedHashSet<>();
    rows.forEach(row -> columns.addAll(row.keySet()));
    boolean md = format == Format.MD;
    StringBuilder text = new StringBuilder();
    text.append(line(md, columns));
    if (md) {
      text.append("|").append("---|".repeat(columns.size())).append("\n");
    }
    for (Map<String, Object> row : rows) {
      text.append(line(md, columns.stream().map(c -> cell(md, row.get(c))).toList()));
    }
    return text.toString();
  }

  private static String line(boolean md, Iterable<String> cells) {
    StringJoiner joined =
        md ? new StringJoiner(" | ", "| ", " |\n") : new StringJoiner(",", "", "\n");
    cells.forEach(joined::add);
    return joined.toString();
  }

  private static String cell(boolean md, Object value) {
    String text = value == null ? "" : value.toString();
    boolean quote = !md && (text.contains(",") || text.contains("\""));
    return quote ? "\"" + text.replace("\"", "\"\"") + "\"" : text;
  }
}
