package dev.limbeck.distillation.cli;

/** A command line whose options, each fine alone, make no sense together; exit status 2. */
final class UsageException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  UsageException(String message) {
    super(message);
  }
}
