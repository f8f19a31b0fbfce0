package dev.limbeck.distillation.data;

import java.nio.file.Path;

/**
 * A picture of bytes, rows from the top.
 *
 * @param pixels {@code [height, width, channels]}
 * @param channels 1 (grey) or 3 (red, green, blue)
 */
@SuppressWarnings("ArrayRecordComponent") // A picture is written, never compared.
public record Picture(byte[] pixels, int height, int width, int channels) {
  /** A picture from floats in [-1, 1]; values outside are clamped. */
  public static Picture of(float[] image, int offset, int height, int width, int channels) {
    byte[] pixels = new byte[height * width * channels];
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = Dataset.toByte(image[offset + i]);
    }
    return new Picture(pixels, height, width, channels);
  }

  /** The bytes of a PNG file. */
  public byte[] png() {
    return Png.encode(pixels, height, width, channels);
  }

  /** Writes a PNG file, whole or not at all. */
  public void write(Path file) {
    SafeFiles.write(file, png());
  }
}
