package dev.limbeck.distillation.cli;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.Locale;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/** Tells a person in one sentence what an exception means. */
final class Failure {
  private static final String PROJECT = "dev.limbeck.";

  private Failure() {}

  static String sentence(Throwable thrown) {
    Throwable e = cause(thrown);
    if (e instanceof FileSystemException file) {
      return oneLine(fileSystem(file));
    }
    if (e instanceof OutOfMemoryError) {
      long megabytes = Runtime.getRuntime().maxMemory() >> 20;
      return "not enough memory: the heap may grow to "
          + megabytes
          + " MB; use smaller batches or give more, as in JAVA_OPTS=-Xmx8g";
    }
    if (isMeantForPeople(e) && e.getMessage() != null && !e.getMessage().isBlank()) {
      return oneLine(e.getMessage());
    }
    String what = e.getMessage() == null ? "" : " (" + oneLine(e.getMessage()) + ")";
    return "internal error: "
        + e.getClass().getSimpleName()
        + what
        + "; JAVA_OPTS=-Dlimbeck.debug shows where";
  }

  /** Skips the wrappers that say nothing themselves. */
  private static Throwable cause(Throwable e) {
    boolean wrapper =
        e instanceof UncheckedIOException
            || e instanceof CompletionException
            || e instanceof ExecutionException;
    // A wrapper with words of its own (which file, doing what) keeps them.
    boolean ownWords =
        e.getCause() != null
            && e.getMessage() != null
            && !e.getMessage().equals(e.getCause().toString());
    if (wrapper && e.getCause() != null && !ownWords) {
      return cause(e.getCause());
    }
    return e;
  }

  private static String fileSystem(FileSystemException e) {
    String file = e.getFile() == null ? "a file" : e.getFile();
    if (e instanceof NoSuchFileException) {
      return "no such file: " + file;
    }
    if (e instanceof AccessDeniedException) {
      return "permission denied: " + file;
    }
    if (e instanceof FileAlreadyExistsException) {
      return file + " is in the way: it exists and is not a folder";
    }
    if (e instanceof NotDirectoryException) {
      return "not a folder: " + file;
    }
    String reason = e.getReason() == null ? "cannot be read or written" : e.getReason();
    return file + ": " + reason.toLowerCase(Locale.ROOT);
  }

  /** True if the message was written to be read by whoever gave the input. */
  private static boolean isMeantForPeople(Throwable e) {
    return e instanceof IOException
        || e instanceof UncheckedIOException
        || e instanceof FileNotFoundException
        || e instanceof IllegalArgumentException
        || e.getClass().getName().startsWith(PROJECT);
  }

  /** The text without line breaks and without a full stop at its end. */
  static String oneLine(String text) {
    String line = text.strip().replaceAll("\\s*\\R\\s*", " ");
    return line.endsWith(".") ? line.substring(0, line.length() - 1) : line;
  }
}
