package dev.limbeck.distillation;

/**
 * A way of distilling, as one class offers it: everything that depends on the method, its settings
 * for each preset included, stands in that class.
 *
 * @param name what the command line calls it
 * @param summary one line that says what it does
 */
public record Method(String name, String summary, Factory factory) {
  /** Makes a method ready to run. */
  @FunctionalInterface
  public interface Factory {
    /**
     * Prepares a run.
     *
     * @throws IllegalArgumentException if the teacher does not fit the method: says what fits
     */
    Distiller create(Preset preset, Teacher teacher);
  }

  /** Prepares a run of a preset's size. */
  public Distiller create(Preset preset, Teacher teacher) {
    return factory.create(preset, teacher);
  }
}
