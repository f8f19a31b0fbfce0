package dev.limbeck;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/** The project's own files, for tests about them. */
final class Project {
  /** Every module that holds code of the product, lowest first. */
  static final List<String> MODULES =
      List.of("kernels", "tensor", "autograd", "nn", "distillation", "bench");

  private Project() {}

  static Path root() {
    String root = System.getProperty("limbeck.root");
    if (root == null) {
      throw new IllegalStateException("limbeck.root is not set: run the tests through Maven");
    }
    return Path.of(root).toAbsolutePath().normalize();
  }

  static Path classes(String module) {
    return root().resolve(module).resolve("target/classes");
  }

  /** The Java files of the product. */
  static List<Path> mainSources() {
    return MODULES.stream()
        .flatMap(m -> files(root().resolve(m).resolve("src/main/java"), ".java").stream())
        .collect(Collectors.toList());
  }

  /** The Java files of the tests. */
  static List<Path> testSources() {
    return files(root().resolve("src/test/java"), ".java");
  }

  /** Files below a folder whose name ends so, sorted. */
  static List<Path> files(Path folder, String ending) {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> walk = Files.walk(folder)) {
      return walk.filter(p -> p.toString().endsWith(ending) && Files.isRegularFile(p))
          .sorted()
          .collect(Collectors.toList());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static String text(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The text of a file that gzip packed. */
  static String unzipped(Path file) {
    try (InputStream in = new GZIPInputStream(Files.newInputStream(file))) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The file's name for messages, from the project's root. */
  static String name(Path file) {
    return root().relativize(file).toString();
  }
}
