package dev.limbeck.distillation.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class IdxTest {
  @TempDir Path folder;

  private static byte[] idx(int type, int[] sizes, int values) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(new byte[] {0, 0, (byte) type, (byte) sizes.length});
    for (int size : sizes) {
      out.writeBytes(new byte[] {(byte) (size >> 24), (byte) (size >> 16), (byte) (size >> 8)});
      out.write(size);
    }
    byte[] data = new byte[values];
    for (int i = 0; i < values; i++) {
      data[i] = (byte) (i % 7);
    }
    out.writeBytes(data);
    return out.toByteArray();
  }

  private static byte[] gzip(byte[] bytes) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream zip = new GZIPOutputStream(out)) {
      zip.write(bytes);
    }
    return out.toByteArray();
  }

  @Test
  void embeddedDigitsAreTheTenThousand() {
    Dataset mnist = Datasets.open("mnist");
    assertEquals("mnist 10000×28×28×1, 10 classes", mnist.toString());
    assertEquals(7, mnist.label(0));
    assertEquals(980, mnist.ofClass(0).count());
  }

  @Test
  void pairsAreFoundByNameAndSplit() throws IOException {
    Files.write(
        folder.resolve("train-images-idx3-ubyte.gz"), gzip(idx(8, new int[] {3, 2, 2}, 12)));
    Files.write(folder.resolve("train-labels-idx1-ubyte"), idx(8, new int[] {3}, 3));
    Files.write(folder.resolve("t10k-images-idx3-ubyte"), idx(8, new int[] {2, 2, 2}, 8));
    Dataset train = Datasets.open(folder.toString());
    assertEquals(3, train.count());
    assertEquals(3, train.classes());
    Dataset test = Datasets.open(folder.toString(), Split.TEST);
    assertEquals(2, test.count());
    assertEquals(0, test.classes());
    assertEquals(3, Datasets.open(folder.resolve("train-images-idx3-ubyte.gz").toString()).count());
  }

  @Test
  void colourImagesHaveFourAxes() throws IOException {
    Path file = folder.resolve("images-idx4-ubyte");
    Files.write(file, idx(8, new int[] {2, 3, 4, 3}, 72));
    assertEquals(
        "2×3×4×3", Datasets.open(file.toString()).toString().split(" ")[1].replace(",", ""));
  }

  @Test
  void everyBrokenFileIsToldInOneSentence() throws IOException {
    byte[] good = idx(8, new int[] {3, 2, 2}, 12);
    says("cut short", Arrays.copyOf(gzip(good), 20));
    says("only 11", Arrays.copyOf(good, good.length - 1));
    says("more", Arrays.copyOf(good, good.length + 1));
    says("cut short", Arrays.copyOf(good, 9));
    says("not an IDX", "hello".getBytes(java.nio.charset.StandardCharsets.US_ASCII));
    says("not an IDX", new byte[0]);
    says("type 13", idx(13, new int[] {3, 2, 2}, 48));
    says("3 or 4 axes", idx(8, new int[] {12}, 12));
    says("cannot be", idx(8, new int[] {-1, 2, 2}, 12));
    says("cannot be", idx(8, new int[] {1 << 30, 1 << 10, 2}, 12));
  }

  private void says(String words, byte[] content) throws IOException {
    Path file = folder.resolve("images-idx3-ubyte");
    Files.write(file, content);
    DataException e = assertThrows(DataException.class, () -> Datasets.open(file.toString()));
    assertTrue(e.getMessage().contains(words), e.getMessage());
    assertTrue(e.getMessage().startsWith(file.toString()) || e.getMessage().contains("images"));
  }

  @Test
  void missingPathsAndUnknownNamesAreRefused() {
    assertThrows(DataException.class, () -> Datasets.open("cifar"));
    assertThrows(DataException.class, () -> Datasets.open(folder.toString()));
    assertThrows(DataException.class, () -> Datasets.open("a\0b"));
  }
}
