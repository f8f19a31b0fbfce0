package dev.limbeck.bench.cli;

import dev.limbeck.distillation.data.DataException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The shapes of a network's operations, by family: lines {@code Conv2d Nx16x32x32x3x1}, where N
 * stands for each number of the line {@code batches 1 64}; {@code #} begins a comment.
 */
final class ShapeFile {
  /** The networks whose files come with this module. */
  static final List<String> NAMES = List.of("mnist", "cifar10", "imagenet64", "sd15");

  private ShapeFile() {}

  /**
   * The shapes of a network, without repetitions.
   *
   * @throws DataException if there is no such file
   */
  static Map<String, List<String>> of(String name) {
    try (InputStream in = ShapeFile.class.getResourceAsStream("/shapes/" + name + ".txt")) {
      if (in == null || !NAMES.contains(name)) {
        throw new DataException(
            "there are no shapes of \"" + name + "\"; known are " + String.join(", ", NAMES));
      }
      return parse(new String(in.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new DataException("the shapes of " + name + " cannot be read", e);
    }
  }

  private static Map<String, List<String>> parse(String text) {
    Map<String, List<String>> families = new LinkedHashMap<>();
    List<String> batches = new ArrayList<>();
    for (String line : text.split("\n")) {
      String[] words = line.strip().split(" +");
      if (words[0].isEmpty() || words[0].startsWith("#")) {
        continue;
      }
      if (words[0].equals("batches")) {
        batches = List.of(words).subList(1, words.length);
        continue;
      }
      List<String> shapes = families.computeIfAbsent(words[0], f -> new ArrayList<>());
      for (String batch : batches) {
        String shape = words[1].replace("N", batch);
        if (!shapes.contains(shape)) {
          shapes.add(shape);
        }
      }
    }
    return families;
  }
}
