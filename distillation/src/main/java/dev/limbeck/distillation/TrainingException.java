package dev.limbeck.distillation;

/** A training run that cannot go on; the message says why, in which step, and what is safe. */
public final class TrainingException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public TrainingException(String message) {
    super(message);
  }

  public TrainingException(String message, Throwable cause) {
    super(message, cause);
  }
}
