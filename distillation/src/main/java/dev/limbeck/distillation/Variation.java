package dev.limbeck.distillation;

import java.util.List;

/**
 * A change to other methods, named before them as in {@code ddil+pd}.
 *
 * @param name what the command line calls it
 * @param summary one line that says what it does
 * @param bases names of the methods that it can change
 */
public record Variation(String name, String summary, List<String> bases, Factory factory) {
  /** Makes the changed method ready to run. */
  @FunctionalInterface
  public interface Factory {
    Distiller create(Method base, Preset preset, Teacher teacher);
  }

  /**
   * The changed method.
   *
   * @throws IllegalArgumentException if this variation cannot change it
   */
  public Method of(Method base) {
    if (!bases.contains(base.name())) {
      throw new IllegalArgumentException(
          name + " does not fit " + base.name() + "; it fits " + String.join(", ", bases));
    }
    return new Method(
        name + "+" + base.name(),
        summary,
        (preset, teacher) -> factory.create(base, preset, teacher));
  }
}
