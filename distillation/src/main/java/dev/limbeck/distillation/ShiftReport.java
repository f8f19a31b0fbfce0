package dev.limbeck.distillation;

import dev.limbeck.distillation.report.HtmlReport;
import dev.limbeck.kernels.Json;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Covariate shift, before training and after it, in a job's metrics and in its report. */
final class ShiftReport {
  /** The metrics' key. */
  static final String KEY = "covariate_shift";

  private ShiftReport() {}

  /** What metrics hold of a student's nodes. */
  static List<Object> json(List<CovariateShift> shifts) {
    List<Object> nodes = new ArrayList<>();
    for (CovariateShift shift : shifts) {
      Map<String, Object> node = new LinkedHashMap<>();
      node.put("sigma", shift.sigma());
      node.put("before", shift.before());
      node.put("distance", shift.distance());
      node.put("floor", shift.floor());
      nodes.add(node);
    }
    return nodes;
  }

  /**
   * The nodes of a student that an earlier run measured; none if it did not.
   *
   * @param student what {@link #json} is kept in, under {@link #KEY}
   */
  static List<CovariateShift> read(Map<String, Object> student) {
    List<CovariateShift> shifts = new ArrayList<>();
    if (student.get(KEY) != null) {
      for (Object each : Json.list(student.get(KEY), "nodes")) {
        Map<String, Object> node = Json.object(each, "a node");
        shifts.add(
            new CovariateShift(
                number(node, "sigma"),
                number(node, "before"),
                number(node, "distance"),
                number(node, "floor")));
      }
    }
    return shifts;
  }

  /** JSON has no numbers that are not finite. */
  private static double number(Map<String, Object> node, String key) {
    return node.get(key) instanceof Number number ? number.doubleValue() : Double.NaN;
  }

  /** A line for each node of each student; no table where there is none. */
  static List<HtmlReport.Table> tables(Map<String, List<CovariateShift>> shifts) {
    List<List<String>> rows = new ArrayList<>();
    shifts.forEach(
        (student, nodes) -> {
          for (CovariateShift node : nodes) {
            rows.add(
                List.of(
                    student,
                    String.format(Locale.ROOT, "%.3g", node.sigma()),
                    cell(node.before()),
                    cell(node.distance()),
                    cell(node.floor())));
          }
        });
    HtmlReport.Table table =
        new HtmlReport.Table(
            "Covariate shift",
            List.of("method", "noise level", "before training", "after training", "floor"),
            rows,
            "sliced W2 of the states of the student's own chain from noisy real data, at the levels"
                + " where the chain goes on; before training it is the chain of the student as it"
                + " starts, and a base method's rows tell what its student reaches without"
                + " imitation");
    return rows.isEmpty() ? List.of() : List.of(table);
  }

  private static String cell(double distance) {
    return Double.isNaN(distance) ? "–" : String.format(Locale.ROOT, "%.4f", distance);
  }
}
