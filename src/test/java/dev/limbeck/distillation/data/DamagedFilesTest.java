package dev.limbeck.distillation.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

/** Files cut short or with wrong bytes: one sentence that names the file, or data, nothing else. */
class DamagedFilesTest {
  private static final int COUNT = 6;
  private static final int SIDE = 4;

  /** Cuts the bytes and overwrites one of them, writes them, and reads them. */
  private static void damaged(
      String name, byte[] whole, int length, int at, byte value, Consumer<Path> read) {
    byte[] bytes = Arrays.copyOf(whole, Math.min(whole.length, length));
    if (bytes.length > 0) {
      bytes[at % bytes.length] = value;
    }
    try {
      Path folder = Files.createTempDirectory("damaged");
      Path file = folder.resolve(name);
      try {
        Files.write(file, bytes);
        read.accept(file);
      } catch (DataException e) {
        assertTrue(e.getMessage().contains(name), e.getMessage());
        assertEquals(1, e.getMessage().lines().count(), e.getMessage());
      } finally {
        Files.deleteIfExists(file);
        Files.delete(folder);
      }
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static byte[] idx() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      for (int number : new int[] {0x803, COUNT, SIDE, SIDE}) {
        out.writeInt(number);
      }
      out.write(new byte[COUNT * SIDE * SIDE]);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return bytes.toByteArray();
  }

  private static byte[] npy() {
    String header = "{'descr': '|u1', 'fortran_order': False, 'shape': (" + COUNT + ", 4, 4, 1), }";
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0});
    out.write(header.length());
    out.write(0);
    out.writeBytes(header.getBytes(StandardCharsets.US_ASCII));
    out.writeBytes(new byte[COUNT * SIDE * SIDE]);
    return out.toByteArray();
  }

  private static byte[] tensors() {
    String header = "{\"images\":{\"dtype\":\"U8\",\"shape\":[6,4,4,1],\"data_offsets\":[0,96]}}";
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(header.length());
    out.writeBytes(new byte[7]);
    out.writeBytes(header.getBytes(StandardCharsets.US_ASCII));
    out.writeBytes(new byte[COUNT * SIDE * SIDE]);
    return out.toByteArray();
  }

  private static void open(Path file) {
    Dataset data = Datasets.open(file.toString());
    assertTrue(data.count() > 0);
  }

  @Property(tries = 300)
  void idx(
      @ForAll @IntRange(max = 120) int length,
      @ForAll @IntRange(max = 120) int at,
      @ForAll byte value) {
    damaged("images-idx3-ubyte", idx(), length, at, value, DamagedFilesTest::open);
  }

  @Property(tries = 300)
  void npy(
      @ForAll @IntRange(max = 180) int length,
      @ForAll @IntRange(max = 180) int at,
      @ForAll byte value) {
    damaged("images.npy", npy(), length, at, value, DamagedFilesTest::open);
  }

  @Property(tries = 300)
  void safetensors(
      @ForAll @IntRange(max = 180) int length,
      @ForAll @IntRange(max = 180) int at,
      @ForAll byte value) {
    damaged("images.safetensors", tensors(), length, at, value, DamagedFilesTest::open);
  }

  @Property(tries = 300)
  void tensorFiles(
      @ForAll @IntRange(max = 180) int length,
      @ForAll @IntRange(max = 180) int at,
      @ForAll byte value) {
    damaged(
        "model.safetensors",
        tensors(),
        length,
        at,
        value,
        path -> {
          try (TensorFile file = TensorFile.open(path)) {
            assertTrue(file.names().size() <= 1);
          } catch (TensorFileException e) {
            assertTrue(e.getMessage().contains("model.safetensors"), e.getMessage());
          }
        });
  }

  /** What is written is read again, of any shape and with any values. */
  @Property(tries = 100)
  void npyRoundTrip(@ForAll @Size(min = 1, max = 40) float[] values) throws IOException {
    Path file = Files.createTempFile("round", ".npy");
    try {
      Npy.write(file, new int[] {values.length, 1}, values);
      Npy.Array read = Npy.read("round", new ByteArrayInputStream(Files.readAllBytes(file)));
      for (int i = 0; i < values.length; i++) {
        assertEquals(values[i], (float) read.get(i), 0f);
      }
    } finally {
      Files.delete(file);
    }
  }
}
