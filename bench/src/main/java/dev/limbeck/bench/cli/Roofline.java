package dev.limbeck.bench.cli;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.distillation.report.HtmlReport;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * Operations per second over operations per byte, under what the machine allows: min(peak, bytes
 * per second · operations per byte). What lies above the slope found its operands in a cache.
 *
 * @paper Williams, Waterman and Patterson 2009, Roofline
 */
final class Roofline {
  private static final double FROM = 1.0 / 32;
  private static final double TO = 2048;
  private static final int WIDTH = 1000;
  private static final int HEIGHT = 640;

  private final double compute;
  private final double memory;
  private final Map<String, List<double[]>> points = new LinkedHashMap<>();

  /** Takes what has both numbers from the rows of {@link JmhRun}. */
  Roofline(List<Map<String, Object>> rows) {
    compute = JmhRun.value(rows, JmhRun.COMPUTE, JmhRun.FLOPS);
    memory = JmhRun.value(rows, JmhRun.MEMORY, JmhRun.BYTES);
    for (Map<String, Object> row : rows) {
      String name = (String) row.get("name");
      if (!name.equals(JmhRun.COMPUTE)
          && row.get(JmhRun.FLOPS) instanceof Double flops
          && row.get(JmhRun.BYTES) instanceof Double bytes) {
        points
            .computeIfAbsent(name.replaceFirst("Bench\\..*", ""), f -> new ArrayList<>())
            .add(new double[] {flops / bytes, flops});
      }
    }
  }

  /** Writes {@code roofline.png} and a page with it. */
  void write(Path folder, Map<String, Object> facts) {
    SafeFiles.makeFolder(folder);
    byte[] png = png();
    SafeFiles.write(folder.resolve("roofline.png"), png);
    List<HtmlReport.Fact> lines = new ArrayList<>();
    facts.forEach((name, value) -> lines.add(new HtmlReport.Fact(name, value.toString())));
    String summary =
        String.format(
            Locale.ROOT,
            "Measured by this run: %.0f gflop/s on registers alone, %.1f GB/s in a copy.",
            compute,
            memory);
    HtmlReport.Figure figure = new HtmlReport.Figure("Each point is a kernel and a shape.", png);
    HtmlReport page = new HtmlReport("Roofline", summary, List.of(figure), null, List.of(), lines);
    page.write(folder.resolve("roofline.html"));
  }

  private byte[] png() {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title("Roofline")
            .xAxisTitle("flop per byte")
            .yAxisTitle("gflop/s")
            .build();
    chart.getStyler().setXAxisLogarithmic(true).setYAxisLogarithmic(true);
    chart.getStyler().setXAxisMin(FROM).setXAxisMax(TO);
    chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
    double ridge = compute / memory;
    XYSeries roof =
        chart.addSeries(
            "ceiling",
            new double[] {FROM, ridge, TO},
            new double[] {FROM * memory, compute, compute});
    roof.setMarker(SeriesMarkers.NONE);
    points.forEach(
        (family, all) -> {
          double[] x = all.stream().mapToDouble(p -> p[0]).toArray();
          double[] y = all.stream().mapToDouble(p -> p[1]).toArray();
          chart
              .addSeries(family, x, y)
              .setXYSeriesRenderStyle(XYSeries.XYSeriesRenderStyle.Scatter);
        });
    try (ByteArrayOutputStream out = new ByteArrayOutputStream()) {
      BitmapEncoder.saveBitmap(chart, out, BitmapEncoder.BitmapFormat.PNG);
      return out.toByteArray();
    } catch (IOException e) {
      throw new DataException("the roofline cannot be drawn", e);
    }
  }
}
