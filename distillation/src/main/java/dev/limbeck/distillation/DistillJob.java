package dev.limbeck.distillation;

import dev.limbeck.distillation.Evaluation.Score;
import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.ImageGrid;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.distillation.report.HtmlReport;
import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Json;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The main job: takes or trains a teacher, distils it with each method, measures, and writes
 * models, pictures and numbers into one folder.
 */
public final class DistillJob {
  /** Columns of the sample grid: every class, and some twice. */
  private static final int COLUMNS = 20;

  /**
   * What to do.
   *
   * @param dataName what {@code data} was opened by
   * @param teacher the teacher, or null to train one
   * @param guidance scale of classifier-free guidance that students learn; 1 for none
   */
  public record Options(
      Device device,
      long seed,
      String dataName,
      Dataset data,
      Path out,
      List<String> methods,
      Model teacher,
      Preset preset,
      double guidance,
      Evaluation evaluation) {}

  /** A trained student. */
  private record Student(String method, Model model) {}

  private final Options options;
  private final TrainJob.Watcher watcher;
  private final Dataset data;

  public DistillJob(Options options, TrainJob.Watcher watcher) {
    this.options = options;
    this.watcher = watcher;
    this.data = options.data.fitted(options.preset.side());
  }

  /** What a finished job found; the models and pictures lie in its folder. */
  public record Result(
      double floor, Score teacher, Map<String, Score> students, double wallSeconds) {}

  /** Runs everything; a job that was interrupted goes on from its last checkpoints. */
  public Result run() {
    TrainJob.prepare(options.out);
    try (RunLog log = new RunLog(options.out)) {
      return run(log);
    }
  }

  private Result run(RunLog log) {
    long start = System.nanoTime();
    Model teacher = options.teacher == null ? trainTeacher(log) : options.teacher;
    checkFits(teacher);
    List<Student> students = new ArrayList<>();
    for (String method : options.methods) {
      students.add(distil(method, teacher, log));
    }
    // Only now: a folder of another run was refused above, and keeps its teacher.
    if (options.teacher != null) {
      job().save("teacher", teacher, "a copy of the teacher");
    }
    Score teacherScore = measure("teacher", teacher);
    Map<String, Score> scores = new LinkedHashMap<>();
    for (Student student : students) {
      scores.put(student.method, measure(student.method, student.model));
    }
    ImageGrid grid = grid(teacher, students);
    grid.write(options.out.resolve("samples.png"));
    double floor = options.evaluation.floor(options.device);
    double seconds = (System.nanoTime() - start) / 1e9;
    Result result = new Result(floor, teacherScore, scores, seconds);
    SafeFiles.write(options.out.resolve("metrics.json"), Json.writePretty(json(result)) + "\n");
    log.picture("samples", grid.picture());
    log.number("fd/teacher", teacherScore.fd());
    scores.forEach((method, score) -> log.number("fd/" + method, score.fd()));
    report(result, grid, log).write(options.out.resolve("report.html"));
    return result;
  }

  private void checkFits(Model teacher) {
    if (teacher.side() != options.preset.side()
        || teacher.config().inChannels() != data.channels()) {
      throw new DataException(
          "the teacher draws images of "
              + teacher.side()
              + "×"
              + teacher.side()
              + "×"
              + teacher.config().inChannels()
              + ", the run is set to "
              + data.height()
              + "×"
              + data.width()
              + "×"
              + data.channels());
    }
  }

  private Model trainTeacher(RunLog log) {
    Model teacher = job().trainTeacher(log);
    job().save("teacher", teacher, "EDM, seed " + options.seed);
    return teacher;
  }

  private TrainJob job() {
    TrainJob.Options o =
        new TrainJob.Options(options.device, options.seed, data, options.out, options.preset);
    return new TrainJob(o, watcher);
  }

  private Student distil(String method, Model teacher, RunLog log) {
    Teacher source = teacher.teacher().guided(options.guidance);
    Distiller distiller = Methods.of(method).create(options.preset, source);
    String origin = "teacher " + teacher.hash() + " guidance " + options.guidance;
    job().train(method, distiller, origin, log);
    Model student = teacher.student(distiller);
    job().save("student-" + method, student, method + ", seed " + options.seed);
    return new Student(method, student);
  }

  private Score measure(String part, Model model) {
    Evaluation evaluation = options.evaluation;
    Generation generation = model.generation();
    watcher.begins(part + " samples", 0, evaluation.samples());
    int[] last = {0};
    Score score =
        evaluation.measure(
            options.device,
            generation,
            options.seed + 1,
            done -> {
              watcher.progress(done, Double.NaN, done - last[0]);
              last[0] = done;
            });
    watcher.ends(String.format("%d evaluations, FD %.2f", score.nfe(), score.fd()));
    return score;
  }

  private ImageGrid grid(Model teacher, List<Student> students) {
    int classes = teacher.config().classes();
    int[] labels = new int[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
      labels[i] = classes == 0 ? 0 : i % classes;
    }
    ImageGrid grid = ImageGrid.of(data.height(), data.width(), data.channels()).scale(3);
    grid.row("real", realOf(labels));
    grid.row("teacher", draw(teacher, labels));
    for (Student student : students) {
      grid.row(student.method, draw(student.model, labels));
    }
    return grid;
  }

  private float[] draw(Model model, int[] labels) {
    Dataset drawn = model.generation().draw(options.device, options.seed + 2, labels, done -> {});
    return drawn.images(Dataset.range(0, labels.length));
  }

  /** For each wanted class the next image of that class that was not taken yet. */
  private float[] realOf(int[] labels) {
    int[] found = new int[labels.length];
    int next = 0;
    for (int i = 0; i < labels.length; i++) {
      while (data.classes() > 0 && data.label(next % data.count()) != labels[i]) {
        next++;
      }
      found[i] = next++ % data.count();
    }
    return data.images(found);
  }

  private HtmlReport report(Result result, ImageGrid grid, RunLog log) {
    List<HtmlReport.Row> rows = new ArrayList<>();
    rows.add(row("teacher", result.teacher));
    result.students.forEach((method, score) -> rows.add(row(method, score)));
    String against =
        options.evaluation.samples()
            + " samples against "
            + options.evaluation.referenceText()
            + "; features "
            + options.evaluation.extractor().hash();
    return new HtmlReport(
        "Limbeck: distillation of " + options.dataName,
        "Rows of the picture: real images, the teacher with "
            + result.teacher.nfe()
            + " evaluations, then each student; one class per column.",
        List.of(new HtmlReport.Figure("Samples, drawn from the same noise", grid.picture().png())),
        new HtmlReport.Results(rows, result.floor, against),
        log.charts(),
        List.of(
            new HtmlReport.Fact("device", options.device.description()),
            new HtmlReport.Fact("seed", Long.toString(options.seed)),
            new HtmlReport.Fact("data", options.dataName + " (" + data.count() + " images)"),
            new HtmlReport.Fact("preset", options.preset.name()),
            new HtmlReport.Fact("guidance", Double.toString(options.guidance)),
            new HtmlReport.Fact("wall seconds", String.format("%.0f", result.wallSeconds))));
  }

  private static HtmlReport.Row row(String method, Score score) {
    return new HtmlReport.Row(method, score.nfe(), score.secondsPerImage(), score.fd());
  }

  private Map<String, Object> json(Result result) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("device", options.device.description());
    all.put("seed", options.seed);
    all.put("data", options.dataName);
    all.put("preset", options.preset.name());
    all.put("reference", options.evaluation.referenceText());
    all.put("features", options.evaluation.extractor().hash());
    all.put("samples", options.evaluation.samples());
    all.put("floor", result.floor);
    all.put("teacher", json(result.teacher));
    List<Object> students = new ArrayList<>();
    result.students.forEach(
        (method, score) -> {
          Map<String, Object> one = new LinkedHashMap<>();
          one.put("method", method);
          one.putAll(json(score));
          students.add(one);
        });
    all.put("students", students);
    all.put("wall_seconds", result.wallSeconds);
    return all;
  }

  private static Map<String, Object> json(Score score) {
    Map<String, Object> one = new LinkedHashMap<>();
    one.put("nfe", score.nfe());
    one.put("fd", score.fd());
    one.put("seconds_per_image", score.secondsPerImage());
    return one;
  }
}
