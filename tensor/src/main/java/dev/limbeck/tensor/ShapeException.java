package dev.limbeck.tensor;

/** Shapes that an operation cannot take; the message names operation, violated rule and shapes. */
public final class ShapeException extends IllegalArgumentException {
  private static final long serialVersionUID = 1L;

  public ShapeException(String message) {
    super(message);
  }
}
