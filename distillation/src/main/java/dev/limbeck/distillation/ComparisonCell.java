package dev.limbeck.distillation;

import java.nio.file.Path;

/**
 * One measurement of a comparison.
 *
 * @param data {@code toy-NAME}, {@code mnist}, {@code mnist-guided}, {@code mnist-curve} or {@code
 *     rates}
 * @param method a method's name, or {@code teacher}
 * @param steps sampling steps; {@link #ALL} for every number that one training has results for
 */
record ComparisonCell(String data, String method, int steps, long seed) {
  static final int ALL = 0;

  /** As in {@code mnist/pd/4/0}: what {@code --only} is matched with. */
  String id() {
    return data + "/" + method + "/" + (steps == ALL ? "all" : steps) + "/" + seed;
  }

  /** Where it is kept. */
  Path folder(Path out) {
    return out.resolve("cells").resolve(id());
  }

  boolean isOnPoints() {
    return data.startsWith("toy-");
  }

  /** Whether one training may serve both. */
  boolean sharesTraining(ComparisonCell other) {
    return data.equals(other.data) && method.equals(other.method) && seed == other.seed;
  }
}
