package dev.limbeck.distillation.data;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** Files written whole or not at all: a temporary file beside the target, then a rename. */
public final class SafeFiles {
  private SafeFiles() {}

  /** Writes the content of a file. */
  @FunctionalInterface
  public interface Content {
    void to(OutputStream out) throws IOException;
  }

  public static void write(Path file, byte[] bytes) {
    write(file, out -> out.write(bytes));
  }

  public static void write(Path file, String text) {
    write(file, text.getBytes(StandardCharsets.UTF_8));
  }

  /**
   * Writes a file, making its folders; an earlier file of that name survives unless all went well.
   *
   * @throws DataException if the folder or the file cannot be written
   */
  public static void write(Path file, Content content) {
    Path folder = file.toAbsolutePath().getParent();
    Path partial = null;
    try {
      Files.createDirectories(folder);
      partial = Files.createTempFile(folder, "." + file.getFileName(), ".part");
      try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(partial), 1 << 16)) {
        content.to(out);
      }
      readableByOthers(partial);
      Files.move(partial, file.toAbsolutePath(), StandardCopyOption.REPLACE_EXISTING);
      partial = null;
    } catch (IOException e) {
      throw DataException.because("cannot write " + file, e);
    } finally {
      delete(partial);
    }
  }

  /** Makes a folder and those above it, unless they exist. */
  public static void makeFolder(Path folder) {
    try {
      Files.createDirectories(folder);
    } catch (IOException e) {
      throw DataException.because("cannot make folder " + folder, e);
    }
  }

  /** Temporary files are private to their owner; a result is an ordinary file. */
  private static void readableByOthers(Path file) {
    file.toFile().setReadable(true, false);
  }

  private static void delete(Path partial) {
    if (partial != null) {
      try {
        Files.deleteIfExists(partial);
      } catch (IOException e) {
        // The write's own failure is the one to report; the temporary file stays behind.
        partial.toFile().deleteOnExit();
      }
    }
  }
}
