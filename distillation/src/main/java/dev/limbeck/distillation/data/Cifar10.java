package dev.limbeck.distillation.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * CIFAR-10 in its binary form: records of one label byte and 3×32×32 pixel bytes, red, green and
 * blue planes one after the other.
 *
 * <p>The folder holds {@code data_batch_1.bin} to {@code data_batch_5.bin} and {@code
 * test_batch.bin}; a part of the batches will do.
 */
final class Cifar10 {
  private static final int SIDE = 32;
  private static final int PLANE = SIDE * SIDE;
  private static final int RECORD = 1 + 3 * PLANE;
  private static final int CLASSES = 10;

  private Cifar10() {}

  static boolean isBatch(Path path) {
    return path.getFileName().toString().matches("(data_batch_\\d|test_batch)\\.bin");
  }

  /** The batches of one split; null if the folder has none of CIFAR-10's files. */
  static Dataset folder(String name, Path folder, Split split) {
    Path inside = folder.resolve("cifar-10-batches-bin");
    Path from = Files.isDirectory(inside) ? inside : folder;
    List<Path> train = new ArrayList<>();
    for (int i = 1; i <= 5; i++) {
      Path batch = from.resolve("data_batch_" + i + ".bin");
      if (Files.isRegularFile(batch)) {
        train.add(batch);
      }
    }
    Path test = from.resolve("test_batch.bin");
    boolean hasTest = Files.isRegularFile(test);
    if (train.isEmpty() && !hasTest) {
      return null;
    }
    boolean useTest = hasTest && (split == Split.TEST || train.isEmpty());
    return files(name, useTest ? List.of(test) : train);
  }

  static Dataset files(String name, List<Path> batches) {
    List<byte[]> contents = new ArrayList<>();
    int count = 0;
    for (Path batch : batches) {
      byte[] bytes = read(batch);
      contents.add(bytes);
      count += bytes.length / RECORD;
    }
    byte[] pixels = new byte[Math.multiplyExact(count, 3 * PLANE)];
    int[] labels = new int[count];
    int image = 0;
    for (byte[] bytes : contents) {
      for (int from = 0; from < bytes.length; from += RECORD) {
        labels[image] = bytes[from] & 0xff;
        interleave(bytes, from + 1, pixels, image * 3 * PLANE);
        image++;
      }
    }
    return Dataset.ofBytes(name, new int[] {count, SIDE, SIDE, 3}, pixels, labels)
        .withClasses(CLASSES);
  }

  private static byte[] read(Path batch) {
    try {
      byte[] bytes = Files.readAllBytes(batch);
      if (bytes.length == 0 || bytes.length % RECORD != 0) {
        throw new DataException(
            batch
                + ": its "
                + bytes.length
                + " bytes are no whole number of CIFAR-10 records of "
                + RECORD);
      }
      return bytes;
    } catch (IOException e) {
      throw DataException.because("cannot read " + batch, e);
    }
  }

  private static void interleave(byte[] from, int offset, byte[] into, int to) {
    for (int i = 0; i < PLANE; i++) {
      for (int c = 0; c < 3; c++) {
        into[to + 3 * i + c] = from[offset + c * PLANE + i];
      }
    }
  }
}
