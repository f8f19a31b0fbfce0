package dev.limbeck.distillation.report;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * Curves drawn as inline SVG.
 *
 * <p>A curve of more points than the chart is wide is averaged in bins. The value axis is
 * logarithmic where all values are positive and span more than a factor of 20.
 *
 * @param title what the values are
 */
public record LineChart(String title, List<Curve> curves) {
  private static final int WIDTH = 640;
  private static final int HEIGHT = 260;
  private static final int LEFT = 64;
  private static final int RIGHT = 12;
  private static final int TOP = 28;
  private static final int BOTTOM = 30;
  private static final int MOST_POINTS = 300;
  private static final double LOGARITHMIC_FROM = 20;
  private static final List<String> COLOURS =
      List.of("#3b7dd8", "#d8663b", "#3ba55d", "#9b59b6", "#c9a227", "#5f6b7a");

  /** Values over steps; points that are not finite are left out. */
  @SuppressWarnings("ArrayRecordComponent") // A curve is drawn, never compared.
  public record Curve(String name, double[] steps, double[] values) {
    public Curve {
      if (steps.length != values.length) {
        throw new IllegalArgumentException(
            "curve " + name + ": " + steps.length + " steps, " + values.length + " values");
      }
    }

    /** At most {@link #MOST_POINTS} points {@code {step, value}}, bins averaged. */
    private double[][] points() {
      int bins = Math.min(MOST_POINTS, values.length);
      double[][] points = new double[bins][];
      int found = 0;
      for (int b = 0; b < bins; b++) {
        double[] sums = new double[3];
        int to = (int) ((long) values.length * (b + 1) / bins);
        for (int i = (int) ((long) values.length * b / bins); i < to; i++) {
          if (Double.isFinite(values[i])) {
            sums[0] += steps[i];
            sums[1] += values[i];
            sums[2]++;
          }
        }
        if (sums[2] > 0) {
          points[found++] = new double[] {sums[0] / sums[2], sums[1] / sums[2]};
        }
      }
      return Arrays.copyOf(points, found);
    }
  }

  /** Maps data to pixels. */
  private static final class Axis {
    private double low = Double.POSITIVE_INFINITY;
    private double high = Double.NEGATIVE_INFINITY;
    private boolean logarithmic;

    void include(double value) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }

    void settle(boolean mayBeLogarithmic) {
      if (low > high) {
        low = 0;
        high = 1;
      }
      logarithmic = mayBeLogarithmic && low > 0 && high / low > LOGARITHMIC_FROM;
      if (low == high) {
        high = low + Math.max(1e-9, Math.abs(low));
      }
    }

    /** 0 at the low end, 1 at the high end. */
    double share(double value) {
      return logarithmic
          ? Math.log(value / low) / Math.log(high / low)
          : (value - low) / (high - low);
    }

    double at(double share) {
      return logarithmic ? low * Math.pow(high / low, share) : low + share * (high - low);
    }
  }

  /** The chart as one {@code <svg>} element. */
  public String svg() {
    Axis x = new Axis();
    Axis y = new Axis();
    for (Curve curve : curves) {
      for (double[] point : curve.points()) {
        x.include(point[0]);
        y.include(point[1]);
      }
    }
    x.settle(false);
    y.settle(true);
    StringBuilder svg = new StringBuilder();
    svg.append("<svg viewBox=\"0 0 ").append(WIDTH).append(' ').append(HEIGHT);
    svg.append("\" role=\"img\" aria-label=\"").append(HtmlReport.escaped(title)).append("\">\n");
    text(svg, LEFT, 16, "start", title + (y.logarithmic ? " (logarithmic)" : ""));
    grid(svg, x, y);
    for (int c = 0; c < curves.size(); c++) {
      curve(svg, x, y, c);
    }
    return svg.append("</svg>\n").toString();
  }

  private static void grid(StringBuilder svg, Axis x, Axis y) {
    for (int i = 0; i <= 4; i++) {
      double share = i / 4.0;
      double py = py(share);
      svg.append(
          String.format(
              Locale.ROOT,
              "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>%n",
              LEFT,
              WIDTH - RIGHT,
              py,
              py));
      text(svg, LEFT - 6, py + 4, "end", number(y.at(share)));
      String anchor = i == 0 ? "start" : i == 4 ? "end" : "middle";
      text(svg, px(share), HEIGHT - 10, anchor, number(x.at(share)));
    }
  }

  private void curve(StringBuilder svg, Axis x, Axis y, int index) {
    Curve curve = curves.get(index);
    String colour = COLOURS.get(index % COLOURS.size());
    svg.append("<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\"").append(colour);
    svg.append("\" points=\"");
    for (double[] point : curve.points()) {
      svg.append(
          String.format(Locale.ROOT, "%.1f,%.1f ", px(x.share(point[0])), py(y.share(point[1]))));
    }
    svg.append("\"/>\n");
    int top = 16 + 14 * index;
    svg.append("<g fill=\"").append(colour).append("\">");
    text(svg, WIDTH - RIGHT, top, "end", curve.name());
    svg.append("</g>\n");
  }

  private static double px(double share) {
    return LEFT + share * (WIDTH - LEFT - RIGHT);
  }

  private static double py(double share) {
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
  }

  private static void text(StringBuilder svg, double x, double y, String anchor, String text) {
    svg.append(
        String.format(
            Locale.ROOT,
            "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>%n",
            x,
            y,
            anchor,
            HtmlReport.escaped(text)));
  }

  /** As in {@code 0.0125}, {@code 3.7} or {@code 1200}. */
  static String number(double value) {
    double size = Math.abs(value);
    if (size != 0 && (size < 1e-3 || size >= 1e6)) {
      return String.format(Locale.ROOT, "%.1e", value);
    }
    int digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 4;
    return String.format(Locale.ROOT, "%." + digits + "f", value);
  }
}
