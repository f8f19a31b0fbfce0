package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.rates.Experiment;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Locale;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler;

/** An experiment's curves on logarithmic axes, with their slopes and standard errors. */
final class LogLogPlot {
  private static final int WIDTH = 1000;
  private static final int HEIGHT = 560;

  private LogLogPlot() {}

  /** The bytes of a PNG file. */
  static byte[] png(Experiment experiment) {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(experiment.id() + ": " + experiment.title())
            .xAxisTitle(experiment.xAxis())
            .yAxisTitle(experiment.yAxis())
            .build();
    chart.getStyler().setXAxisLogarithmic(true).setYAxisLogarithmic(true);
    chart.getStyler().setLegendPosition(Styler.LegendPosition.OutsideE);
    for (Experiment.Series series : experiment.curves()) {
      double[] mean = new double[series.x().length];
      double[] error = new double[mean.length];
      for (int i = 0; i < mean.length; i++) {
        mean[i] = series.mean(i);
        error[i] = series.standardError(i);
      }
      String name = String.format(Locale.ROOT, "%s (%.2f)", series.name(), series.slope().value());
      chart.addSeries(name, series.x(), mean, error);
    }
    try (ByteArrayOutputStream out = new ByteArrayOutputStream()) {
      BitmapEncoder.saveBitmap(chart, out, BitmapEncoder.BitmapFormat.PNG);
      return out.toByteArray();
    } catch (IOException e) {
      throw new DataException("the plot of " + experiment.id() + " cannot be drawn", e);
    }
  }
}
