package dev.limbeck.distillation;

import dev.limbeck.kernels.Json;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What is known of the cells of a comparison so far. */
final class ComparisonResults {
  /** Wall time of a training, or of what was left of one that was interrupted. */
  static final String SECONDS = "training_seconds";

  private final Map<ComparisonCell, Map<String, Object>> found = new LinkedHashMap<>();
  private final Map<ComparisonCell, String> failures = new LinkedHashMap<>();

  /** A number that is measured once for each seed. */
  record Sample(double mean, double deviation, int count) {
    String text() {
      String spread = count > 1 ? String.format(" ± %.3f", deviation) : "";
      return String.format("%.3f%s", mean, spread);
    }
  }

  synchronized void add(ComparisonCell cell, Map<String, Object> result) {
    found.put(cell, result);
    failures.remove(cell);
  }

  synchronized void fail(ComparisonCell cell, String why) {
    failures.put(cell, why);
  }

  synchronized Map<ComparisonCell, String> failures() {
    return new LinkedHashMap<>(failures);
  }

  synchronized Map<ComparisonCell, Map<String, Object>> all() {
    return new LinkedHashMap<>(found);
  }

  /** The result of a cell, or null. */
  synchronized Map<String, Object> of(ComparisonCell cell) {
    return found.get(cell);
  }

  /** A number of every seed that has it. */
  List<Double> numbers(String data, String method, int steps, String key) {
    List<Double> numbers = new ArrayList<>();
    all()
        .forEach(
            (cell, result) -> {
              boolean wanted =
                  cell.data().equals(data) && cell.method().equals(method) && cell.steps() == steps;
              if (wanted && result.get(key) instanceof Number number) {
                numbers.add(number.doubleValue());
              }
            });
    return numbers;
  }

  /** Mean and deviation over the seeds, or null where nothing is known. */
  Sample sample(String data, String method, int steps, String key) {
    List<Double> numbers = numbers(data, method, steps, key);
    if (numbers.isEmpty()) {
      return null;
    }
    double mean = numbers.stream().mapToDouble(d -> d).average().getAsDouble();
    double square = 0;
    for (double number : numbers) {
      square += (number - mean) * (number - mean);
    }
    int n = numbers.size();
    return new Sample(mean, n == 1 ? 0 : Math.sqrt(square / (n - 1)), n);
  }

  /** The rows of a cell on a mixture, one for each number of steps. */
  static List<Map<String, Object>> rows(Map<String, Object> result) {
    List<Map<String, Object>> rows = new ArrayList<>();
    for (Object row : Json.list(result.get("rows"), "rows")) {
      rows.add(Json.object(row, "a row"));
    }
    return rows;
  }

  static double number(Map<String, Object> row, String key) {
    return ((Number) row.get(key)).doubleValue();
  }
}
