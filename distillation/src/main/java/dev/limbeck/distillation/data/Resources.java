package dev.limbeck.distillation.data;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** The files of {@code distillation/data}, which the jar carries: digits, weights, statistics. */
public final class Resources {
  private Resources() {}

  /** Whether the jar carries a file, named as in {@code mnist/t10k-images-idx3-ubyte.gz}. */
  public static boolean exists(String name) {
    return Resources.class.getResource(name) != null;
  }

  /** Opens a file for reading. */
  public static InputStream open(String name) throws IOException {
    InputStream in = Resources.class.getResourceAsStream(name);
    if (in == null) {
      throw new NoSuchFileException("the resource " + name);
    }
    return in;
  }

  /** Works on a file that must have a path, because it is mapped into memory. */
  @FunctionalInterface
  public interface PathFunction<T> {
    T apply(Path path) throws IOException;
  }

  /** Copies a file to a temporary one, works on that, and deletes it. */
  public static <T> T withPath(String name, PathFunction<T> function) {
    try {
      Path copy = Files.createTempFile("limbeck", ".tmp");
      try (InputStream in = open(name)) {
        Files.copy(in, copy, StandardCopyOption.REPLACE_EXISTING);
        return function.apply(copy);
      } finally {
        Files.deleteIfExists(copy);
      }
    } catch (IOException e) {
      String where = System.getProperty("java.io.tmpdir");
      throw DataException.because("cannot unpack the built-in " + name + " into " + where, e);
    }
  }
}
