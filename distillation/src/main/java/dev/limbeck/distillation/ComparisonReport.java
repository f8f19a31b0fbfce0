package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.ImageGrid;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.distillation.report.HtmlReport;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The page, the numbers and the picture of a comparison. */
final class ComparisonReport {
  private static final int COLUMNS = 10;
  private static final int ENLARGED = 3;
  private static final String MISSING = "–";

  private final ComparisonScale scale;
  private final ComparisonResults results;
  private final List<ComparisonClaims.Claim> claims;
  private final Path out;

  ComparisonReport(ComparisonScale scale, ComparisonResults results, Path out) {
    this.scale = scale;
    this.results = results;
    this.out = out;
    this.claims = new ComparisonClaims(results, scale).all();
  }

  List<ComparisonClaims.Claim> claims() {
    return claims;
  }

  /**
   * Writes {@code compare.json}, {@code compare.html} and, if there are students of digits, {@code
   * compare.png}.
   */
  void write(Device device, double wallSeconds) {
    SafeFiles.write(
        out.resolve("compare.json"), Json.writePretty(json(device, wallSeconds)) + "\n");
    List<HtmlReport.Figure> figures = new ArrayList<>();
    ImageGrid picture = picture(device);
    if (picture != null) {
      picture.write(out.resolve("compare.png"));
      figures.add(
          new HtmlReport.Figure(
              "Rows: the teacher and every method with its number of steps; columns: one class and"
                  + " the same noise",
              picture.picture().png()));
    }
    page(device, figures, wallSeconds).write(out.resolve("compare.html"));
  }

  private Map<String, Object> json(Device device, double wallSeconds) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("device", device.description());
    all.put("settings", scale.settings());
    all.put("wall_seconds", wallSeconds);
    List<Object> verdicts = new ArrayList<>();
    for (ComparisonClaims.Claim claim : claims) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("claim", claim.text());
      one.put("numbers", claim.numbers());
      one.put("verdict", verdict(claim));
      verdicts.add(one);
    }
    all.put("verdicts", verdicts);
    List<Object> cells = new ArrayList<>();
    results
        .all()
        .forEach(
            (cell, result) -> {
              Map<String, Object> one = new LinkedHashMap<>();
              one.put("cell", cell.id());
              one.putAll(result);
              cells.add(one);
            });
    all.put("cells", cells);
    Map<String, Object> failures = new LinkedHashMap<>();
    results.failures().forEach((cell, why) -> failures.put(cell.id(), why));
    all.put("failures", failures);
    return all;
  }

  /** In words. */
  String verdict(ComparisonClaims.Claim claim) {
    if (scale.isQuick()) {
      return "not judged: a quick run trains nothing";
    }
    return switch (claim.verdict()) {
      case HOLDS -> "holds";
      case FAILS -> "does not hold";
      case OPEN -> "open";
    };
  }

  // ---- the page ----

  private HtmlReport page(Device device, List<HtmlReport.Figure> figures, double wallSeconds) {
    List<HtmlReport.Table> tables = new ArrayList<>();
    tables.add(verdicts());
    tables.add(mixtures());
    tables.add(digits());
    if (!results.failures().isEmpty()) {
      List<List<String>> rows = new ArrayList<>();
      results.failures().forEach((cell, why) -> rows.add(List.of(cell.id(), why)));
      tables.add(
          new HtmlReport.Table(
              "Failures", List.of("cell", "why"), rows, "the next run tries them again"));
    }
    return new HtmlReport(
        "Limbeck: every method side by side",
        "Every method on mixtures with an exact teacher, and on handwritten digits with the same"
            + " teacher and the same number of training images.",
        figures,
        null,
        tables,
        List.of(),
        List.of(
            new HtmlReport.Fact("device", device.description()),
            new HtmlReport.Fact("settings", scale.settings()),
            new HtmlReport.Fact(
                "wall seconds of the last run", String.format(Locale.ROOT, "%.0f", wallSeconds))));
  }

  private HtmlReport.Table verdicts() {
    List<List<String>> rows = new ArrayList<>();
    claims.forEach(claim -> rows.add(List.of(claim.text(), claim.numbers(), verdict(claim))));
    return new HtmlReport.Table(
        "Claims",
        List.of("claim", "numbers", "verdict"),
        rows,
        "Distances are Fréchet distances, means over seeds with their deviation.");
  }

  private HtmlReport.Table mixtures() {
    List<List<String>> rows = new ArrayList<>();
    results
        .all()
        .forEach(
            (cell, result) -> {
              if (!cell.isOnPoints()) {
                return;
              }
              for (Map<String, Object> row : ComparisonResults.rows(result)) {
                rows.add(
                    List.of(
                        cell.data().substring("toy-".length()),
                        cell.method(),
                        String.format(Locale.ROOT, "%.0f", number(row, "steps")),
                        String.format(Locale.ROOT, "%.4f", number(row, "within_mode_w2")),
                        String.format(Locale.ROOT, "%.2f×", number(row, "within_mode_ratio")),
                        String.format(Locale.ROOT, "%.4f", number(row, "mass_error")),
                        String.format(Locale.ROOT, "%.4f", number(row, "outliers")),
                        seconds(row)));
              }
            });
    return new HtmlReport.Table(
        "Mixtures",
        List.of(
            "data",
            "method",
            "steps",
            "within-mode sliced W2",
            "of the floor",
            "mass error",
            "outliers",
            "seconds of training"),
        rows,
        scale.points().evaluated() + " samples");
  }

  private static double number(Map<String, Object> row, String key) {
    return ComparisonResults.number(row, key);
  }

  private static String seconds(Map<String, Object> result) {
    return result.containsKey(ComparisonResults.SECONDS)
        ? String.format(Locale.ROOT, "%.0f", number(result, ComparisonResults.SECONDS))
        : MISSING;
  }

  private HtmlReport.Table digits() {
    List<List<String>> rows = new ArrayList<>();
    rows.add(row("mnist", "teacher", EdmTraining.SAMPLER.evaluations()));
    rows.add(row("mnist-guided", "teacher", ComparisonScale.GUIDED_STEPS));
    for (String method : Methods.allNames()) {
      for (int steps : ComparisonScale.STEPS) {
        rows.add(row("mnist", method, steps));
      }
    }
    rows.add(row("mnist-guided", "guided", 4));
    return new HtmlReport.Table(
        "Digits",
        List.of("data", "method", "steps", "FD", "KID", "precision", "recall", "seeds"),
        rows,
        scale.digits().evaluated()
            + " samples each, "
            + scale.images()
            + " images of training; "
            + MISSING
            + " where a method was not trained for so many steps, or not measured");
  }

  private List<String> row(String data, String method, int steps) {
    List<String> cells = new ArrayList<>(List.of(data, method, Integer.toString(steps)));
    for (String key : List.of("fd", "kid", "precision", "recall")) {
      ComparisonResults.Sample sample = results.sample(data, method, steps, key);
      cells.add(sample == null ? MISSING : sample.text());
    }
    cells.add(Integer.toString(results.numbers(data, method, steps, "fd").size()));
    return cells;
  }

  // ---- the picture ----

  /** Drawn from the students that are kept, so that a run that was continued has all of them. */
  private ImageGrid picture(Device device) {
    int[] labels = new int[COLUMNS];
    ImageGrid grid = null;
    for (String method : Methods.allNames()) {
      for (int steps : ComparisonScale.STEPS) {
        ComparisonCell cell = new ComparisonCell("mnist", method, steps, 0);
        Path file = cell.folder(out).resolve(ComparisonDigits.STUDENT);
        if (results.of(cell) == null || !Files.exists(file)) {
          continue;
        }
        Model student = Model.load(file, device);
        if (grid == null) {
          for (int i = 0; i < COLUMNS; i++) {
            labels[i] = i % Math.max(1, student.architecture().classes());
          }
          grid = ImageGrid.of(student.image()).scale(ENLARGED);
          Model teacher = Model.builtIn(device, scale.digits());
          grid.row("teacher", draw(teacher, labels, device));
          teacher.network().close();
        }
        grid.row(method + " " + steps, draw(student, labels, device));
        student.network().close();
      }
    }
    return grid;
  }

  private static float[] draw(Model model, int[] labels, Device device) {
    return model
        .generation()
        .draw(device, 2, labels, done -> {})
        .images(Dataset.range(0, labels.length));
  }
}
