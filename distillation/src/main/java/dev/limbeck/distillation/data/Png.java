package dev.limbeck.distillation.data;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;
import java.util.zip.Deflater;
import java.util.zip.DeflaterOutputStream;

/**
 * Encodes pictures as PNG: 8 bits a channel, grey or RGB, without row filters (digits and grids of
 * small pictures compress best so).
 */
public final class Png {
  private static final byte[] SIGNATURE = {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  private static final int GREY = 0;
  private static final int RGB = 2;

  private Png() {}

  /**
   * The bytes of a PNG file.
   *
   * @param pixels {@code [height, width, channels]}
   * @param channels 1 (grey) or 3 (red, green, blue)
   */
  public static byte[] encode(byte[] pixels, int height, int width, int channels) {
    if (channels != 1 && channels != 3) {
      throw new DataException("png: a picture has 1 or 3 channels, not " + channels);
    }
    if (pixels.length != height * width * channels || pixels.length == 0) {
      throw new DataException(
          "png: " + pixels.length + " values are no " + height + "×" + width + " picture");
    }
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(file)) {
      out.write(SIGNATURE);
      ByteArrayOutputStream header = new ByteArrayOutputStream();
      DataOutputStream fields = new DataOutputStream(header);
      fields.writeInt(width);
      fields.writeInt(height);
      fields.write(new byte[] {8, (byte) (channels == 1 ? GREY : RGB), 0, 0, 0});
      chunk(out, "IHDR", header.toByteArray());
      chunk(out, "IDAT", compressed(pixels, height, width * channels));
      chunk(out, "IEND", new byte[0]);
    } catch (IOException e) {
      throw new AssertionError("writing to memory does not fail", e);
    }
    return file.toByteArray();
  }

  private static byte[] compressed(byte[] pixels, int height, int row) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    Deflater deflater = new Deflater(Deflater.BEST_COMPRESSION);
    try (DeflaterOutputStream out = new DeflaterOutputStream(bytes, deflater)) {
      for (int y = 0; y < height; y++) {
        out.write(0);
        out.write(pixels, y * row, row);
      }
    } finally {
      deflater.end();
    }
    return bytes.toByteArray();
  }

  private static void chunk(DataOutputStream out, String type, byte[] data) throws IOException {
    byte[] name = type.getBytes(StandardCharsets.US_ASCII);
    CRC32 crc = new CRC32();
    crc.update(name);
    crc.update(data);
    out.writeInt(data.length);
    out.write(name);
    out.write(data);
    out.writeInt((int) crc.getValue());
  }
}
