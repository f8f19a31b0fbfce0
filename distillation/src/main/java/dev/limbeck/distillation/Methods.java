package dev.limbeck.distillation;

import dev.limbeck.nn.Params;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The methods of distillation by the names that the command line takes. */
public final class Methods {
  /** Makes a method ready to run. */
  @FunctionalInterface
  public interface Factory {
    /**
     * Prepares a run.
     *
     * @param start first values of the student, or null for the teacher's
     */
    Distiller create(Preset preset, Teacher teacher, Params start);
  }

  private static final Map<String, Factory> ALL = new LinkedHashMap<>();

  static {
    ALL.put("pd", (preset, teacher, start) -> new ProgressiveDistillation(preset.pd(), teacher));
    ALL.put(
        "dmd2",
        (preset, teacher, start) ->
            new Dmd2(
                preset.dmd2(), teacher, start == null ? teacher.initial() : start, preset.batch()));
  }

  private Methods() {}

  /** Every method, in the order in which a run without a choice takes them. */
  public static Map<String, Factory> all() {
    return Map.copyOf(ALL);
  }

  /** The names, in order. */
  public static List<String> names() {
    return List.copyOf(ALL.keySet());
  }

  /**
   * The method of a name.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static Factory of(String name) {
    Factory factory = ALL.get(name);
    if (factory == null) {
      throw new IllegalArgumentException(
          "there is no method \"" + name + "\"; known are " + String.join(", ", ALL.keySet()));
    }
    return factory;
  }
}
