package dev.limbeck.distillation.data;

import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Lays images out in rows, each with an optional label on its left.
 *
 * <p>Small images are enlarged by a whole factor, to about 64 pixels.
 */
public final class ImageGrid {
  private static final int COMFORTABLE_HEIGHT = 64;
  private static final int GAP = 2;
  private static final int LETTER_SCALE = 2;
  private static final byte BACKGROUND = 40;
  private static final byte INK = (byte) 230;

  private record Row(String label, float[] images, int count) {}

  private final int height;
  private final int width;
  private final int channels;
  private final List<Row> rows = new ArrayList<>();
  private int scale;

  private ImageGrid(int height, int width, int channels) {
    this.height = height;
    this.width = width;
    this.channels = channels;
    this.scale = Math.max(1, COMFORTABLE_HEIGHT / Math.max(1, height));
  }

  /** An empty grid for images of one size, with 1 or 3 channels. */
  public static ImageGrid of(int height, int width, int channels) {
    return new ImageGrid(height, width, channels);
  }

  /** The same for images of a shape, [H,W,C]. */
  public static ImageGrid of(Shape image) {
    return of(image.dim(0), image.dim(1), image.dim(2));
  }

  /** A grid of a tensor's images, {@code columns} a row. */
  public static ImageGrid of(Tensor images, int columns) {
    if (images.shape().rank() != 4) {
      throw new ShapeException("image grid: expects [N,H,W,C], images has " + images.shape());
    }
    ImageGrid grid = new ImageGrid(images.dim(1), images.dim(2), images.dim(3));
    float[] pixels = images.toFloats();
    int row = columns * grid.imageSize();
    for (int from = 0; from < pixels.length; from += row) {
      grid.row("", Arrays.copyOfRange(pixels, from, Math.min(pixels.length, from + row)));
    }
    return grid;
  }

  /** Enlarges every image by this whole factor. */
  public ImageGrid scale(int factor) {
    scale = factor;
    return this;
  }

  /** Adds a row of images, {@code [count, height, width, channels]} in [-1, 1]. */
  public ImageGrid row(String label, float[] images) {
    if (images.length % imageSize() != 0) {
      throw new ShapeException(
          "image grid: "
              + images.length
              + " values are no whole number of images of "
              + height
              + "×"
              + width
              + "×"
              + channels);
    }
    rows.add(new Row(label, images, images.length / imageSize()));
    return this;
  }

  private int imageSize() {
    return height * width * channels;
  }

  /** The picture of all rows. */
  public Picture picture() {
    int columns = 1;
    int letters = 0;
    for (Row row : rows) {
      columns = Math.max(columns, row.count());
      letters = Math.max(letters, row.label().length());
    }
    int left = letters == 0 ? 0 : letters * PixelFont.ADVANCE * LETTER_SCALE + 2 * GAP;
    int tileHeight = height * scale + GAP;
    int tileWidth = width * scale + GAP;
    int pictureHeight = GAP + Math.max(1, rows.size()) * tileHeight;
    int pictureWidth = left + GAP + columns * tileWidth;
    byte[] pixels = new byte[pictureHeight * pictureWidth * channels];
    Arrays.fill(pixels, BACKGROUND);
    Picture picture = new Picture(pixels, pictureHeight, pictureWidth, channels);
    for (int r = 0; r < rows.size(); r++) {
      Row row = rows.get(r);
      int top = GAP + r * tileHeight;
      letters(picture, row.label(), top + (tileHeight - PixelFont.HEIGHT * LETTER_SCALE) / 2);
      for (int i = 0; i < row.count(); i++) {
        tile(picture, row.images(), i, top, left + GAP + i * tileWidth);
      }
    }
    return picture;
  }

  private void tile(Picture picture, float[] images, int index, int top, int left) {
    int from = index * imageSize();
    for (int y = 0; y < height * scale; y++) {
      for (int x = 0; x < width * scale; x++) {
        for (int c = 0; c < channels; c++) {
          float value = images[from + (y / scale * width + x / scale) * channels + c];
          set(picture, top + y, left + x, c, Dataset.toByte(value));
        }
      }
    }
  }

  private void letters(Picture picture, String label, int top) {
    for (int i = 0; i < label.length(); i++) {
      int left = GAP + i * PixelFont.ADVANCE * LETTER_SCALE;
      for (int y = 0; y < PixelFont.HEIGHT * LETTER_SCALE; y++) {
        for (int x = 0; x < PixelFont.ADVANCE * LETTER_SCALE; x++) {
          if (PixelFont.isSet(label.charAt(i), x / LETTER_SCALE, y / LETTER_SCALE)) {
            for (int c = 0; c < channels; c++) {
              set(picture, top + y, left + x, c, INK);
            }
          }
        }
      }
    }
  }

  private void set(Picture picture, int y, int x, int c, byte value) {
    if (y >= 0 && y < picture.height()) {
      picture.pixels()[(y * picture.width() + x) * channels + c] = value;
    }
  }

  /** Writes the picture as PNG, whole or not at all. */
  public void write(Path file) {
    picture().write(file);
  }
}
