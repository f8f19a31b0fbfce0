package dev.limbeck.tensor;

import java.io.IOException;

/** A tensor file that cannot be read or written; the message is one sentence naming the file. */
public final class TensorFileException extends IOException {
  private static final long serialVersionUID = 1L;

  public TensorFileException(String message) {
    super(message);
  }

  public TensorFileException(String message, Throwable cause) {
    super(message, cause);
  }
}
