package dev.limbeck.distillation.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** The folder that receives the results. */
final class OutOption {
  @Option(
      names = "--out",
      paramLabel = "FOLDER",
      description = "Folder for the results (default: runs/NAME).")
  private Path out;

  boolean isGiven() {
    return out != null;
  }

  /** The folder, made and tried out now, so that a run of minutes does not fail at its end. */
  Path folder(String defaultName) throws IOException {
    Path folder = out == null ? Path.of("runs", defaultName) : out;
    Files.createDirectories(folder);
    Files.delete(Files.createTempFile(folder, ".writable", ""));
    return folder;
  }
}
