package dev.limbeck.distillation.report;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Picture;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Reads event files back with a reader that shares no code with the writer. */
class EventFileTest {
  @TempDir Path folder;

  /** The Castagnoli checksum, bit by bit. */
  private static int crc(byte[] bytes, int from, int length) {
    int crc = ~0;
    for (int i = from; i < from + length; i++) {
      crc ^= bytes[i] & 0xff;
      for (int bit = 0; bit < 8; bit++) {
        crc = (crc >>> 1) ^ ((crc & 1) * 0x82f63b78);
      }
    }
    crc = ~crc;
    return ((crc >>> 15) | (crc << 17)) + 0xa282ead8;
  }

  private static List<byte[]> records(byte[] file) {
    List<byte[]> records = new ArrayList<>();
    ByteBuffer in = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    while (in.hasRemaining()) {
      int start = in.position();
      byte[] record = new byte[Math.toIntExact(in.getLong())];
      assertEquals(crc(file, start, 8), in.getInt());
      in.get(record);
      assertEquals(crc(record, 0, record.length), in.getInt());
      records.add(record);
    }
    return records;
  }

  /** The fields of a message: varints and fixed numbers as Long, the rest as byte[]. */
  private static Map<Integer, Object> fields(byte[] message) {
    Map<Integer, Object> fields = new TreeMap<>();
    ByteBuffer in = ByteBuffer.wrap(message).order(ByteOrder.LITTLE_ENDIAN);
    while (in.hasRemaining()) {
      long key = varint(in);
      Object value;
      switch ((int) (key & 7)) {
        case 0 -> value = varint(in);
        case 1 -> value = in.getLong();
        case 2 -> {
          byte[] bytes = new byte[(int) varint(in)];
          in.get(bytes);
          value = bytes;
        }
        case 5 -> value = (long) in.getInt();
        default -> throw new AssertionError("wire type " + (key & 7));
      }
      fields.put((int) (key >> 3), value);
    }
    return fields;
  }

  private static long varint(ByteBuffer in) {
    long value = 0;
    for (int shift = 0; ; shift += 7) {
      byte b = in.get();
      value |= (long) (b & 0x7f) << shift;
      if (b >= 0) {
        return value;
      }
    }
  }

  private static String text(Object bytes) {
    return new String((byte[]) bytes, StandardCharsets.UTF_8);
  }

  @Test
  void theChecksumIsTheOneOfItsStandard() {
    // RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 0x8a9136aa.
    int crc = 0x8a9136aa;
    assertEquals(((crc >>> 15) | (crc << 17)) + 0xa282ead8, crc(new byte[32], 0, 32));
  }

  @Test
  void anotherReaderFindsScalarsAndPictures() throws IOException {
    Picture picture = new Picture(new byte[] {0, 1, 2, 3, 4, 5}, 1, 2, 3);
    Path path;
    try (EventFile file = EventFile.in(folder.resolve("new"), () -> 1234.5)) {
      file.scalar("loss/pd", 7, 0.25);
      file.scalar("größe", 300, -1e30);
      file.picture("samples", 1L << 40, picture);
      path = file.path();
    }
    assertTrue(path.getFileName().toString().startsWith("events.out.tfevents.0000001234"));
    List<byte[]> records = records(Files.readAllBytes(path));
    assertEquals(4, records.size());
    Map<Integer, Object> version = fields(records.get(0));
    assertEquals("brain.Event:2", text(version.get(3)));
    assertEquals(1234.5, Double.longBitsToDouble((Long) version.get(1)));
    assertScalar(records.get(1), "loss/pd", 7, 0.25f);
    assertScalar(records.get(2), "größe", 300, -1e30f);
    Map<Integer, Object> event = fields(records.get(3));
    assertEquals(1L << 40, event.get(2));
    Map<Integer, Object> image = fields((byte[]) value(event).get(4));
    assertEquals(1L, image.get(1));
    assertEquals(2L, image.get(2));
    assertEquals(3L, image.get(3));
    assertArrayEquals(picture.png(), (byte[]) image.get(4));
  }

  private static Map<Integer, Object> value(Map<Integer, Object> event) {
    return fields((byte[]) fields((byte[]) event.get(5)).get(1));
  }

  private static void assertScalar(byte[] record, String tag, long step, float expected) {
    Map<Integer, Object> event = fields(record);
    assertEquals(step, event.get(2));
    assertEquals(tag, text(value(event).get(1)));
    long bits = (Long) value(event).get(2);
    assertEquals(expected, Float.intBitsToFloat((int) bits));
  }

  @Test
  void aResumedRunWritesBesideTheFirst() throws IOException {
    try (EventFile first = EventFile.in(folder, () -> 1);
        EventFile second = EventFile.in(folder, () -> 1)) {
      assertTrue(!first.path().equals(second.path()));
      assertEquals(1, records(Files.readAllBytes(first.path())).size());
    }
    Path inTheWay = Files.writeString(folder.resolve("file"), "x");
    assertThrows(DataException.class, () -> EventFile.in(inTheWay));
  }
}
