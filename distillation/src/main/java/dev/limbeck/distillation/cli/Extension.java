package dev.limbeck.distillation.cli;

/**
 * A command that another jar adds to the command line; found as a service.
 *
 * @see java.util.ServiceLoader
 */
public interface Extension {
  /** A new object with picocli's annotations, that runs the command. */
  Object command();
}
