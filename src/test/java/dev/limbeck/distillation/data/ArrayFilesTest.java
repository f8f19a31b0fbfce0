package dev.limbeck.distillation.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.TensorFile;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ArrayFilesTest {
  @TempDir Path folder;

  private static byte[] npy(String header, byte... values) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0});
    out.write(header.length());
    out.write(header.length() >> 8);
    out.writeBytes(header.getBytes(StandardCharsets.US_ASCII));
    out.writeBytes(values);
    return out.toByteArray();
  }

  private static String header(String type, String shape) {
    return "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  }

  @Test
  void everyTypeIsReadInEitherByteOrder() throws IOException {
    assertEquals(-2, value("<i2", -2, -1), 0);
    assertEquals(-2, value(">i4", -1, -1, -1, -2), 0);
    assertEquals(65534, value("<u2", -2, -1), 0);
    assertEquals(1, value("|b1", 1), 0);
    assertEquals(1.5, value("<f2", 0, 0x3e), 0);
    assertEquals(-Math.scalb(1, -24), value("<f2", 1, 0x80), 0);
    assertEquals(-2, value("<f4", 0, 0, 0, 0xc0), 0);
    assertEquals(-2, value(">f8", 0xc0, 0, 0, 0, 0, 0, 0, 0), 0);
    assertEquals(258, value("<i8", 2, 1, 0, 0, 0, 0, 0, 0), 0);
  }

  private static double value(String type, int... bytes) throws IOException {
    byte[] values = new byte[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      values[i] = (byte) bytes[i];
    }
    return Npy.read("x", new ByteArrayInputStream(npy(header(type, "1,"), values))).get(0);
  }

  @Test
  void whatIsWrittenIsReadBack() {
    Path file = folder.resolve("images.npy");
    float[] values = {-1, -0.5f, 0, 0.25f, 0.5f, 1, 0, 0};
    Npy.write(file, new int[] {2, 2, 2}, values);
    Npy.write(folder.resolve("labels.npy"), new int[] {2}, new int[] {4, 0});
    Dataset data = Datasets.open(folder.toString());
    assertEquals("2×2×2×1,", data.toString().split(" ")[1]);
    assertArrayEquals(values, data.images(0, 1));
    assertEquals(5, data.classes());
    assertEquals(data.hash(), Datasets.open(file.toString()).hash());
  }

  @Test
  void writtenHeaderIsAlignedAsNumpyAsks() throws IOException {
    Path file = folder.resolve("x.npy");
    Npy.write(file, new int[] {3}, new float[] {1, 2, 3});
    byte[] bytes = Files.readAllBytes(file);
    int length = bytes[8] & 0xff | (bytes[9] & 0xff) << 8;
    assertEquals(0, (10 + length) % 64);
    assertEquals('\n', bytes[9 + length]);
    assertEquals(10 + length + 12, bytes.length);
    assertTrue(new String(bytes, 10, length, StandardCharsets.US_ASCII).contains("(3, )"));
  }

  @Test
  void channelsMayStandFirstAndRangesAreRecognised() {
    Path file = folder.resolve("x.npy");
    Npy.write(file, new int[] {1, 3, 1, 2}, new float[] {0, 1, 0.25f, 0.5f, 1, 0});
    Dataset data = Datasets.open(file.toString());
    assertEquals("1×1×2×3,", data.toString().split(" ")[1]);
    assertArrayEquals(new float[] {-1, -0.5f, 1, 1, 0, -1}, data.images(0));
    Npy.write(file, new int[] {1, 1, 2}, new float[] {0, 255});
    assertArrayEquals(new float[] {-1, 1}, Datasets.open(file.toString()).images(0), 1e-6f);
  }

  @Test
  void npzAndSafetensorsHoldImagesAndLabels() throws IOException {
    byte[] images = npy(header("|u1", "2, 1, 2"), (byte) 0, (byte) 255, (byte) 51, (byte) 102);
    byte[] labels = npy(header("|u1", "2,"), (byte) 1, (byte) 2);
    Path npz = folder.resolve("x.npz");
    zip(npz, "x_train.npy", images, "y_train.npy", labels);
    Dataset first = Datasets.open(npz.toString());
    assertArrayEquals(new float[] {-1, 1, -0.6f, -0.2f}, first.images(0, 1), 1e-6f);
    assertEquals(3, first.classes());
    Path tensors = folder.resolve("x.safetensors");
    TensorFile.writer()
        .add("images", Shape.of(2, 1, 2), first.images(0, 1))
        .add("labels", Shape.of(2), new int[] {1, 2})
        .write(tensors);
    assertArrayEquals(first.images(0, 1), Datasets.open(tensors.toString()).images(0, 1));
    TensorFile.writer().add("images", Shape.of(1, 1, 1), new int[] {256}).write(tensors);
    says("pixel 256", tensors);
    TensorFile.writer().add("weights", Shape.of(1), new float[] {1}).write(tensors);
    says("no tensor named images", tensors);
    zip(npz, "z.npy", images, "labels.npy", labels);
    says("no array named images", npz);
    byte[] zipped = Files.readAllBytes(npz);
    Files.write(npz, Arrays.copyOf(zipped, 10));
    says("x.npz", npz);
  }

  private static void zip(Path file, String a, byte[] first, String b, byte[] second)
      throws IOException {
    try (ZipOutputStream zip = new ZipOutputStream(Files.newOutputStream(file))) {
      zip.putNextEntry(new ZipEntry(a));
      zip.write(first);
      zip.putNextEntry(new ZipEntry(b));
      zip.write(second);
    }
  }

  @Test
  void everyBrokenArrayIsToldInOneSentence() throws IOException {
    Path file = folder.resolve("x.npy");
    says("not a NumPy array", file, new byte[] {1, 2, 3});
    says("promises 4", file, npy(header("|u1", "1, 2, 2"), (byte) 1));
    says("type", file, npy("{'shape': (1, 2, 2)}"));
    says("only u1", file, npy(header("<c8", "1, 1, 1"), new byte[8]));
    says("not say the array's type", file, npy(header("|O", "1, 1, 1"), new byte[8]));
    says("[N,H,W]", file, npy(header("|u1", "4,"), new byte[4]));
    says("[N,H,W]", file, npy(header("|u1", "1, 2, 1, 2"), new byte[4]));
    says("too large", file, npy(header("<f8", "99999, 99999, 99999")));
    says("cannot be", file, npy(header("<f8", "99999999999, 1, 1")));
    says("no image", file, npy(header("<f8", "0, 1, 1")));
    says("cut short", file, Arrays.copyOf(npy(header("<f8", "1, 1, 1")), 30));
    says("Fortran", file, npy("{'descr': '|u1', 'fortran_order': True, 'shape': (1, 1, 1)}"));
    byte[] nan = Base64.getDecoder().decode("AADAfw==");
    says("not finite", file, npy(header("<f4", "1, 1, 1"), nan));
    Npy.write(file, new int[] {1, 1, 2}, new float[] {-3, 1});
    says("neither in", file);
    Npy.write(file, new int[] {1, 1, 2}, new float[] {0, 1});
    Npy.write(folder.resolve("labels.npy"), new int[] {1}, new float[] {0.5f});
    DataException e = assertThrows(DataException.class, () -> Datasets.open(file.toString()));
    assertTrue(e.getMessage().contains("label 0.5 is no class number"), e.getMessage());
  }

  private void says(String words, Path file, byte[] content) throws IOException {
    Files.write(file, content);
    says(words, file);
  }

  private static void says(String words, Path file) {
    DataException e = assertThrows(DataException.class, () -> Datasets.open(file.toString()));
    assertTrue(e.getMessage().contains(words), e.getMessage());
    assertTrue(e.getMessage().contains(file.getFileName().toString()), e.getMessage());
  }
}
