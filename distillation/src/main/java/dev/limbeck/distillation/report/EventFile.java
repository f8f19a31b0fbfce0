package dev.limbeck.distillation.report;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Picture;
import dev.limbeck.distillation.data.SafeFiles;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.function.DoubleSupplier;
import java.util.zip.CRC32C;

/**
 * Scalars and pictures by step, for TensorBoard.
 *
 * <p>A file of records: length (8 bytes), its masked CRC-32C (4), the event, the event's masked
 * CRC-32C (4), all little endian, where {@code mask(c) = rotateRight(c, 15) + 0xa282ead8}. An event
 * is the protocol buffer {@code Event {double wall_time = 1; int64 step = 2; string file_version =
 * 3; Summary summary = 5}}, a summary {@code repeated Value {string tag = 1; float simple_value =
 * 2; Image image = 4}}, an image {@code {int32 height = 1; int32 width = 2; int32 colorspace = 3;
 * bytes encoded_image_string = 4}}.
 *
 * <p>Every record is handed to the operating system at once, so that a run that is killed leaves
 * all but the last. A resumed run writes another file beside the first.
 */
public final class EventFile implements AutoCloseable {
  private static final int MASK = 0xa282ead8;

  private final Path path;
  private final OutputStream out;
  private final DoubleSupplier clock;

  private EventFile(Path path, OutputStream out, DoubleSupplier clock) {
    this.path = path;
    this.out = out;
    this.clock = clock;
  }

  /**
   * A new file in a folder.
   *
   * @throws DataException if it cannot be made
   */
  public static EventFile in(Path folder) {
    return in(folder, () -> System.currentTimeMillis() / 1000.0);
  }

  static EventFile in(Path folder, DoubleSupplier clock) {
    SafeFiles.makeFolder(folder);
    double start = clock.getAsDouble();
    Path path = null;
    for (int i = 0; path == null || Files.exists(path); i++) {
      String name = "events.out.tfevents.%010d.limbeck.%d";
      path = folder.resolve(String.format(Locale.ROOT, name, (long) start, i));
    }
    try {
      EventFile file =
          new EventFile(path, Files.newOutputStream(path, StandardOpenOption.CREATE_NEW), clock);
      Message event = new Message().real(1, start);
      file.write(event.bytes(3, "brain.Event:2".getBytes(StandardCharsets.UTF_8)));
      return file;
    } catch (IOException e) {
      throw DataException.because("cannot write " + path, e);
    }
  }

  public Path path() {
    return path;
  }

  /** One point of a curve; tags with a common beginning, as in {@code loss/pd}, form a group. */
  public void scalar(String tag, long step, double value) {
    summary(step, tag, new Message().single(2, (float) value));
  }

  /** One picture, as PNG. */
  public void picture(String tag, long step, Picture picture) {
    Message image =
        new Message()
            .integer(1, picture.height())
            .integer(2, picture.width())
            .integer(3, picture.channels())
            .bytes(4, picture.png());
    summary(step, tag, new Message().bytes(4, image.toArray()));
  }

  private void summary(long step, String tag, Message content) {
    byte[] name = new Message().bytes(1, tag.getBytes(StandardCharsets.UTF_8)).toArray();
    byte[] rest = content.toArray();
    byte[] value = new byte[name.length + rest.length];
    System.arraycopy(name, 0, value, 0, name.length);
    System.arraycopy(rest, 0, value, name.length, rest.length);
    byte[] summary = new Message().bytes(1, value).toArray();
    write(new Message().real(1, clock.getAsDouble()).integer(2, step).bytes(5, summary));
  }

  private synchronized void write(Message message) {
    byte[] event = message.toArray();
    ByteBuffer record =
        ByteBuffer.allocate(8 + 4 + event.length + 4).order(ByteOrder.LITTLE_ENDIAN);
    record.putLong(event.length);
    record.putInt(maskedCrc(record.array(), 0, 8));
    record.put(event);
    record.putInt(maskedCrc(event, 0, event.length));
    try {
      out.write(record.array());
    } catch (IOException e) {
      throw DataException.because("cannot write " + path, e);
    }
  }

  private static int maskedCrc(byte[] bytes, int from, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, length);
    return Integer.rotateRight((int) crc.getValue(), 15) + MASK;
  }

  @Override
  public void close() {
    try {
      out.close();
    } catch (IOException e) {
      throw DataException.because("cannot write " + path, e);
    }
  }

  /** A protocol buffer in the making. */
  private static final class Message {
    private static final int VARINT = 0;
    private static final int FIXED64 = 1;
    private static final int BYTES = 2;
    private static final int FIXED32 = 5;

    private ByteBuffer buffer = ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN);

    private void need(int bytes) {
      if (buffer.remaining() < bytes) {
        int capacity = Math.max(2 * buffer.capacity(), buffer.position() + bytes);
        buffer = ByteBuffer.allocate(capacity).order(ByteOrder.LITTLE_ENDIAN).put(buffer.flip());
      }
    }

    private void varint(long value) {
      need(10);
      long rest = value;
      while ((rest & ~0x7fL) != 0) {
        buffer.put((byte) (rest & 0x7f | 0x80));
        rest >>>= 7;
      }
      buffer.put((byte) rest);
    }

    Message real(int field, double value) {
      varint(field << 3 | FIXED64);
      need(8);
      buffer.putDouble(value);
      return this;
    }

    Message single(int field, float value) {
      varint(field << 3 | FIXED32);
      need(4);
      buffer.putFloat(value);
      return this;
    }

    Message integer(int field, long value) {
      varint(field << 3 | VARINT);
      varint(value);
      return this;
    }

    Message bytes(int field, byte[] value) {
      varint(field << 3 | BYTES);
      varint(value.length);
      need(value.length);
      buffer.put(value);
      return this;
    }

    byte[] toArray() {
      byte[] bytes = new byte[buffer.position()];
      buffer.get(0, bytes);
      return bytes;
    }
  }
}
