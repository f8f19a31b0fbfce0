package dev.limbeck.distillation.data;

/**
 * Resizes images by averaging over areas: an output pixel is the mean of the input under it, partly
 * covered pixels counting with their share.
 *
 * <p>Whole factors are the k×k box average; enlarging repeats pixels. Separable: columns first,
 * then rows, in double.
 *
 * @cost H·W'·C·(W/W' + 1) + H'·W'·C·(H/H' + 1) multiply-adds an image
 */
public final class AreaResize {
  private final int height;
  private final int width;
  private final int toHeight;
  private final int toWidth;
  private final int channels;
  private final double[] rows;

  public AreaResize(int height, int width, int toHeight, int toWidth, int channels) {
    this.height = height;
    this.width = width;
    this.toHeight = toHeight;
    this.toWidth = toWidth;
    this.channels = channels;
    this.rows = new double[height * toWidth * channels];
  }

  /** Resizes one image; not for several threads at once. */
  public void apply(float[] image, int from, float[] into, int to) {
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < toWidth; x++) {
        columns(image, from + y * width * channels, x, (y * toWidth + x) * channels);
      }
    }
    for (int y = 0; y < toHeight; y++) {
      double start = (double) y * height / toHeight;
      double end = (double) (y + 1) * height / toHeight;
      int row = toWidth * channels;
      for (int i = 0; i < row; i++) {
        double sum = 0;
        for (int s = (int) start; s < end && s < height; s++) {
          sum += share(s, start, end) * rows[s * row + i];
        }
        into[to + y * row + i] = (float) (sum / (end - start));
      }
    }
  }

  private void columns(float[] image, int from, int x, int to) {
    double start = (double) x * width / toWidth;
    double end = (double) (x + 1) * width / toWidth;
    for (int c = 0; c < channels; c++) {
      double sum = 0;
      for (int s = (int) start; s < end && s < width; s++) {
        sum += share(s, start, end) * image[from + s * channels + c];
      }
      rows[to + c] = sum / (end - start);
    }
  }

  /** How much of pixel {@code [s, s + 1)} lies in {@code [start, end)}. */
  private static double share(int s, double start, double end) {
    return Math.min(s + 1, end) - Math.max(s, start);
  }
}
