package dev.limbeck.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Device;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class TensorFileTest {
  @TempDir Path folder;

  @Test
  void returnsWhatWasWritten() throws IOException {
    Path path = folder.resolve("a.safetensors");
    float[] big = new float[150_000];
    for (int i = 0; i < big.length; i++) {
      big[i] = i * 0.5f;
    }
    TensorFile.writer()
        .add("f", Shape.of(2, 2), new float[] {1f, -0f, Float.MIN_VALUE, Float.NaN})
        .add("i", Shape.of(3), new int[] {1, -2, Integer.MAX_VALUE})
        .add("l", Shape.of(2), new long[] {-1L, 1L << 40})
        .add("scalar", Shape.of(), new float[] {7f})
        .add("none", Shape.of(0, 3), new float[0])
        .add("big", Shape.of(150_000), big)
        .metadata("note", "a \"quoted\" é")
        .write(path);
    try (TensorFile file = TensorFile.open(path)) {
      assertEquals(Map.of("note", "a \"quoted\" é"), file.metadata());
      assertEquals(6, file.names().size());
      assertArrayEquals(new float[] {1f, -0f, Float.MIN_VALUE, Float.NaN}, file.floats("f"), 0f);
      assertArrayEquals(new int[] {1, -2, Integer.MAX_VALUE}, file.ints("i"));
      assertArrayEquals(new long[] {-1L, 1L << 40}, file.longs("l"));
      assertEquals(Shape.of(), file.shape("scalar"));
      assertArrayEquals(big, file.floats("big"));
      try (Tensor t = file.read("scalar", Device.cpu())) {
        assertEquals(7f, t.item());
      }
      assertThrows(TensorFileException.class, () -> file.floats("i"));
      assertThrows(TensorFileException.class, () -> file.ints("f"));
      assertThrows(TensorFileException.class, () -> file.ints("l"), "1 << 40 needs 64 bits");
      assertThrows(TensorFileException.class, () -> file.floats("absent"));
    }
  }

  @Test
  void tensorsOfADeviceAreWrittenAndReplaceAnOlderFile() throws IOException {
    Path path = folder.resolve("a.safetensors");
    Files.writeString(path, "old");
    try (Tensor x = Tensor.of(Device.cpu(), Shape.of(2), 1f, 2f);
        Tensor n = Tensor.of(Device.cpu(), Shape.of(1), 3)) {
      TensorFile.write(path, Map.of("x", x, "n", n), Map.of());
    }
    try (TensorFile file = TensorFile.open(path)) {
      assertArrayEquals(new float[] {1f, 2f}, file.floats("x"));
      assertArrayEquals(new int[] {3}, file.ints("n"));
    }
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(List.of(path), files.toList(), "no temporary file stays");
    }
  }

  @Test
  void otherTypesAreConverted() throws IOException {
    String header =
        "{\"h\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,12]},"
            + "\"b\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[12,14]},"
            + "\"u\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[14,16]},"
            + "\"d\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[16,24]}}";
    ByteBuffer data = ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN);
    for (int half : new int[] {0x3c00, 0xc000, 0x0001, 0x7c00, 0x8000, 0x7bff}) {
      data.putShort((short) half);
    }
    data.putShort((short) 0x4049).put((byte) 200).put((byte) 1).putDouble(Math.PI);
    try (TensorFile file = TensorFile.open(file(header, data.array()))) {
      assertArrayEquals(
          new float[] {1f, -2f, 0x1p-24f, Float.POSITIVE_INFINITY, -0f, 65504f},
          file.floats("h"),
          0f);
      assertArrayEquals(new float[] {3.140625f}, file.floats("b"));
      assertArrayEquals(new int[] {200, 1}, file.ints("u"));
      assertArrayEquals(new float[] {(float) Math.PI}, file.floats("d"));
    }
  }

  private Path file(String header, byte[] data) throws IOException {
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer all = ByteBuffer.allocate(8 + text.length + data.length);
    all.order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).put(text).put(data);
    return Files.write(folder.resolve("made.safetensors"), all.array());
  }

  private static String tensor(String name, String type, String shape, long from, long to) {
    return String.format(
        "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}",
        name, type, shape, from, to);
  }

  static Stream<Arguments> damaged() {
    return Stream.of(
        Arguments.of(
            "{" + tensor("a", "F32", "[2]", 0, 8) + "," + tensor("b", "F32", "[2]", 4, 12) + "}",
            "overlap"),
        Arguments.of("{" + tensor("a", "F32", "[4]", 0, 16) + "}", "outside"),
        Arguments.of("{" + tensor("a", "F32", "[2]", 8, 0) + "}", "outside"),
        Arguments.of("{" + tensor("a", "F32", "[2]", -8, 0) + "}", "not a number"),
        Arguments.of("{" + tensor("a", "F32", "[2]", 0, 8) + "}", "belong to no tensor"),
        Arguments.of("{" + tensor("a", "F32", "[2]", 4, 12) + "}", "belong to no tensor"),
        Arguments.of("{" + tensor("a", "F32", "[3]", 0, 8) + "}", "takes 12 bytes"),
        Arguments.of("{" + tensor("a", "F4", "[3]", 0, 12) + "}", "has type F4"),
        Arguments.of("{" + tensor("a", "F32", "[3000000000,3]", 0, 12) + "}", "not a number"),
        Arguments.of(
            "{" + tensor("a", "F32", "[2000000000,2000000000,2000000000]", 0, 12) + "}",
            "too many elements"),
        Arguments.of("{" + tensor("a", "F32", "3", 0, 12) + "}", "not a JSON array"),
        Arguments.of("{" + tensor("a", "F32", "[1.5]", 0, 12) + "}", "not a number"),
        Arguments.of(
            "{" + tensor("a", "F32", "[3]", 0, 12) + "," + tensor("a", "F32", "[0]", 12, 12) + "}",
            "appears twice"),
        Arguments.of("{\"a\":5}", "not a JSON object"),
        Arguments.of("{\"__metadata__\":{\"a\":5}}", "not a string"),
        Arguments.of("[]", "not a JSON object"),
        Arguments.of("{\"a\":", "ends early"));
  }

  @ParameterizedTest
  @MethodSource("damaged")
  void damagedHeadersAreRefusedInOneSentence(String header, String part) throws IOException {
    Path path = file(header, new byte[12]);
    String message =
        assertThrows(TensorFileException.class, () -> TensorFile.open(path)).getMessage();
    assertTrue(message.contains(part), message);
    assertTrue(message.contains("made.safetensors"), message);
    assertFalse(message.contains("\n"), message);
  }

  @Test
  void everyTruncationIsRefused() throws IOException {
    Path path = folder.resolve("whole.safetensors");
    TensorFile.writer().add("a", Shape.of(5), new float[5]).write(path);
    byte[] whole = Files.readAllBytes(path);
    for (int length = 0; length < whole.length; length++) {
      Path cut = Files.write(folder.resolve("cut"), Arrays.copyOf(whole, length));
      assertThrows(TensorFileException.class, () -> TensorFile.open(cut), "length " + length);
    }
  }

  @Test
  void absurdHeaderLengthsAreRefused() throws IOException {
    for (long length : new long[] {-1, 0, 1, 100_000_001, Long.MAX_VALUE}) {
      ByteBuffer b = ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
      Path path = Files.write(folder.resolve("absurd"), b.array());
      assertThrows(TensorFileException.class, () -> TensorFile.open(path));
    }
  }

  @Test
  void missingAndUnwritablePathsAreNamed() {
    Path absent = folder.resolve("no/such.safetensors");
    assertTrue(
        assertThrows(TensorFileException.class, () -> TensorFile.open(absent))
            .getMessage()
            .contains("no such file"));
    assertThrows(TensorFileException.class, () -> TensorFile.open(folder));
    assertThrows(TensorFileException.class, () -> TensorFile.writer().write(absent));
    assertThrows(TensorFileException.class, () -> TensorFile.writer().write(folder));
  }
}
