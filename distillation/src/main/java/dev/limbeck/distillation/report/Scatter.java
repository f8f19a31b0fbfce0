package dev.limbeck.distillation.report;

import java.util.Arrays;

/**
 * Points as an image: how many fall into each pixel, by the first two coordinates; points on a line
 * as a histogram.
 */
public final class Scatter {
  /** Pixels of a side. */
  public static final int SIDE = 160;

  /** A pixel is full white with so many times the mean number of points in pixels that have any. */
  private static final double WHITE = 2;

  /** Share of a histogram's image that its highest bar may take. */
  private static final double HIGHEST = 0.9;

  private final int dimension;
  private final double[] centre;
  private final double reach;

  /**
   * A window on the plane.
   *
   * @param centre of the data, [d]
   * @param reach half the width of the window
   */
  public Scatter(double[] centre, double reach) {
    this.dimension = centre.length;
    this.centre = centre.clone();
    this.reach = reach;
  }

  /**
   * The image [{@value #SIDE}, {@value #SIDE}] in [−1, 1]; points outside the window are left out.
   *
   * @param points [n·d]
   */
  public float[] image(float[] points) {
    int[] counts = new int[SIDE * SIDE];
    for (int at = 0; at < points.length; at += dimension) {
      int x = pixel(points[at] - centre[0]);
      int y = dimension == 1 ? 0 : SIDE - 1 - pixel(points[at + 1] - centre[1]);
      if (x >= 0 && x < SIDE && y >= 0 && y < SIDE) {
        counts[y * SIDE + x]++;
      }
    }
    return dimension == 1 ? bars(counts) : density(counts);
  }

  private int pixel(double offset) {
    return (int) Math.floor((offset / reach + 1) / 2 * SIDE);
  }

  private static float[] density(int[] counts) {
    double mean = Arrays.stream(counts).filter(c -> c > 0).average().orElse(1);
    float[] image = new float[counts.length];
    for (int i = 0; i < image.length; i++) {
      double share = Math.min(1, counts[i] / (WHITE * mean));
      image[i] = (float) (2 * Math.sqrt(share) - 1);
    }
    return image;
  }

  private static float[] bars(int[] counts) {
    int most = Math.max(1, Arrays.stream(counts, 0, SIDE).max().getAsInt());
    float[] image = new float[counts.length];
    Arrays.fill(image, -1);
    for (int x = 0; x < SIDE; x++) {
      int height = (int) (HIGHEST * SIDE * counts[x] / most);
      for (int y = 0; y < height; y++) {
        image[(SIDE - 1 - y) * SIDE + x] = 1;
      }
    }
    return image;
  }
}
