package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Picture;
import dev.limbeck.distillation.report.EventFile;
import dev.limbeck.distillation.report.LineChart;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The curves of a run: written as TensorBoard events while it goes on, and kept for its report. */
final class RunLog implements AutoCloseable {
  private final EventFile events;
  private final Map<String, Map<String, List<double[]>>> parts = new LinkedHashMap<>();

  RunLog(Path folder) {
    this.events = EventFile.in(folder);
  }

  /** Notes the losses of one step, by objective. */
  void losses(String part, long step, Map<String, Float> losses) {
    Map<String, List<double[]>> curves =
        parts.computeIfAbsent(part, unused -> new LinkedHashMap<>());
    losses.forEach(
        (objective, loss) -> {
          events.scalar("loss/" + part + "/" + objective, step, loss);
          curves
              .computeIfAbsent(objective, unused -> new ArrayList<>())
              .add(new double[] {step, loss});
        });
  }

  void number(String tag, double value) {
    events.scalar(tag, 0, value);
  }

  void picture(String tag, Picture picture) {
    events.picture(tag, 0, picture);
  }

  /** One chart for each part of the run. */
  List<LineChart> charts() {
    List<LineChart> charts = new ArrayList<>();
    parts.forEach(
        (part, curves) -> {
          List<LineChart.Curve> lines = new ArrayList<>();
          curves.forEach((name, points) -> lines.add(curve(name, points)));
          charts.add(new LineChart("Loss of " + part, lines));
        });
    return charts;
  }

  private static LineChart.Curve curve(String name, List<double[]> points) {
    double[] steps = new double[points.size()];
    double[] values = new double[points.size()];
    for (int i = 0; i < steps.length; i++) {
      steps[i] = points.get(i)[0];
      values[i] = points.get(i)[1];
    }
    return new LineChart.Curve(name, steps, values);
  }

  @Override
  public void close() {
    events.close();
  }
}
