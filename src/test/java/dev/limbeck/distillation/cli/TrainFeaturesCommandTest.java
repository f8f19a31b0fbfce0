package dev.limbeck.distillation.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainFeaturesCommandTest {
  private static final int SIDE = 28;

  @TempDir private Path folder;

  /** Writes digits as MNIST's two files are written. */
  static void write(Path folder, String split, int first, int count) throws IOException {
    Dataset digits = Datasets.mnist();
    int[] indices = new int[count];
    for (int i = 0; i < count; i++) {
      indices[i] = first + i;
    }
    float[] pixels = digits.images(indices);
    Path images = folder.resolve(split + "-images-idx3-ubyte");
    Path labels = folder.resolve(split + "-labels-idx1-ubyte");
    try (DataOutputStream out = new DataOutputStream(Files.newOutputStream(images))) {
      for (int number : new int[] {0x803, count, SIDE, SIDE}) {
        out.writeInt(number);
      }
      for (float pixel : pixels) {
        out.writeByte(Math.round((pixel + 1) * 127.5f));
      }
    }
    try (DataOutputStream out = new DataOutputStream(Files.newOutputStream(labels))) {
      out.writeInt(0x801);
      out.writeInt(count);
      for (int index : indices) {
        out.writeByte(digits.label(index));
      }
    }
  }

  /** After a hundred steps on 640 digits it tells others apart far better than by chance. */
  @Test
  void aClassifierIsTrainedAndWritten() throws IOException {
    write(folder, "train", 0, 640);
    write(folder, "t10k", 1000, 200);
    Path out = folder.resolve("features");
    MainTest.Run run =
        MainTest.run(
            "train-features", "--device=cpu", "--data=" + folder, "--epochs=20", "--out=" + out);
    assertEquals(0, run.status(), run.err());
    String said = run.out().replaceAll("(?s).*: ([0-9.]+) % of 200 .*", "$1");
    assertTrue(Double.parseDouble(said) > 50, run.out());
    try (Stream<Path> files = Files.list(out)) {
      assertTrue(files.anyMatch(f -> f.toString().endsWith(".safetensors")));
    }
  }

  @Test
  void wrongInputIsRefused() {
    MainTest.sentence(2, "train-features", "--epochs=0", "--data=mnist");
    MainTest.sentence(1, "train-features", "--data=" + folder.resolve("nowhere"));
  }
}
