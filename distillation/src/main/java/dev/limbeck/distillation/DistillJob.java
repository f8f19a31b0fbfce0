package dev.limbeck.distillation;

import dev.limbeck.distillation.Evaluation.Score;
import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.ImageGrid;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.distillation.report.HtmlReport;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Precision;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The main job: takes or trains a teacher, distils it with each method, measures, and writes
 * models, pictures and numbers into one folder.
 */
public final class DistillJob {
  /** Columns of the sample grid: every class, and some twice. */
  private static final int COLUMNS = 20;

  /** Images on either side of a measurement of covariate shift. */
  private static final int SHIFT_IMAGES = 1000;

  /**
   * What to do.
   *
   * @param dataName what {@code data} was opened by
   * @param teacher the teacher, or null to train one
   * @param codec whose latents a teacher is trained on; one that is given has its own
   * @param guidance scale of classifier-free guidance that students learn; 1 for none
   * @param precision what the networks compute in
   */
  public record Options(
      Device device,
      long seed,
      String dataName,
      Dataset data,
      Path out,
      List<String> methods,
      Model teacher,
      Codec codec,
      Preset preset,
      double guidance,
      Precision precision,
      Evaluation evaluation) {}

  /** A trained student. */
  private record Student(String method, Model model, List<CovariateShift> shifts) {}

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
      double floor,
      Score teacher,
      Map<String, Score> students,
      Map<String, List<CovariateShift>> shifts,
      double wallSeconds) {}

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
    teacher.in(options.precision);
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
    Map<String, List<CovariateShift>> shifts = new LinkedHashMap<>();
    students.forEach(student -> shifts.put(student.method, student.shifts));
    Result result = new Result(floor, teacherScore, scores, shifts, seconds);
    SafeFiles.write(options.out.resolve("metrics.json"), Json.writePretty(json(result)) + "\n");
    log.picture("samples", grid.picture());
    log.number("fd/teacher", teacherScore.fd());
    scores.forEach((method, score) -> log.number("fd/" + method, score.fd()));
    report(result, grid, log).write(options.out.resolve("report.html"));
    return result;
  }

  private void checkFits(Model teacher) {
    Shape images = Shape.of(data.height(), data.width(), data.channels());
    if (!teacher.image().equals(images)) {
      throw new DataException(
          "the teacher draws images of "
              + sizes(teacher.image())
              + ", the run is set to "
              + sizes(images));
    }
  }

  private static String sizes(Shape image) {
    return image.dim(0) + "×" + image.dim(1) + "×" + image.dim(2);
  }

  private Codec codec() {
    return options.teacher == null ? options.codec : options.teacher.codec();
  }

  private Model trainTeacher(RunLog log) {
    Model teacher = job().trainTeacher(log);
    job().save("teacher", teacher, "EDM, seed " + options.seed);
    return teacher;
  }

  private TrainJob job() {
    TrainJob.Options o =
        new TrainJob.Options(
            options.device,
            options.seed,
            data,
            codec(),
            options.out,
            options.preset,
            options.precision);
    return new TrainJob(o, watcher);
  }

  private Student distil(String method, Model teacher, RunLog log) {
    Teacher source = teacher.teacher().guided(options.guidance);
    // Latents lie beyond the bounds of images.
    boolean bounded = codec() == Codec.IDENTITY;
    Preset own = options.preset;
    Preset preset = bounded ? own : own.with(Ddil.Config.of(own).unbounded());
    Distiller distiller = Methods.of(method).create(preset, source);
    String origin = "teacher " + teacher.hash() + " guidance " + options.guidance;
    job().train(method, distiller, origin, log);
    Model student = teacher.student(distiller);
    job().save("student-" + method, student, method + ", seed " + options.seed);
    return new Student(method, student, shifts(distiller));
  }

  /** What the student meets when it samples against what it was trained on, where that differs. */
  private List<CovariateShift> shifts(Distiller distiller) {
    InputDriven method = CovariateShift.methodOf(distiller);
    if (method == null) {
      return List.of();
    }
    int half = Math.min(SHIFT_IMAGES, data.count() / 2);
    int[] order = Arrays.copyOf(Rng.of(options.seed).permutation(data.count()), 2 * half);
    Rng rng = Rng.of(options.seed).split(SHIFT_IMAGES);
    try (Scope scope = Scope.open()) {
      Tensor labels = data.labels(options.device, Arrays.copyOf(order, half));
      Tensor real = codec().encode(data.images(options.device, order));
      return CovariateShift.of(
          method, distiller.student(), distiller.steps() - 1, real, labels, rng);
    }
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
    int classes = teacher.architecture().classes();
    int[] labels = new int[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
      labels[i] = classes == 0 ? 0 : i % classes;
    }
    ImageGrid grid = ImageGrid.of(teacher.image()).scale(3);
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
            new HtmlReport.Fact("precision", precision()),
            new HtmlReport.Fact("guidance", Double.toString(options.guidance)),
            new HtmlReport.Fact("wall seconds", String.format("%.0f", result.wallSeconds))));
  }

  private static HtmlReport.Row row(String method, Score score) {
    return new HtmlReport.Row(method, score.nfe(), score.secondsPerImage(), score.fd());
  }

  private String precision() {
    return options.precision.name().toLowerCase(Locale.ROOT);
  }

  private Map<String, Object> json(Result result) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("device", options.device.description());
    all.put("seed", options.seed);
    all.put("data", options.dataName);
    all.put("preset", options.preset.name());
    all.put("precision", precision());
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
          one.put("covariate_shift", jsonOf(result.shifts.get(method)));
          students.add(one);
        });
    all.put("students", students);
    all.put("wall_seconds", result.wallSeconds);
    return all;
  }

  private static List<Object> jsonOf(List<CovariateShift> shifts) {
    List<Object> nodes = new ArrayList<>();
    for (CovariateShift shift : shifts) {
      Map<String, Object> node = new LinkedHashMap<>();
      node.put("sigma", shift.sigma());
      node.put("distance", shift.distance());
      node.put("floor", shift.floor());
      nodes.add(node);
    }
    return nodes;
  }

  private static Map<String, Object> json(Score score) {
    Map<String, Object> one = new LinkedHashMap<>();
    one.put("nfe", score.nfe());
    one.put("fd", score.fd());
    one.put("seconds_per_image", score.secondsPerImage());
    return one;
  }
}
