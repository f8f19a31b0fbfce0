package dev.limbeck.distillation;

import dev.limbeck.distillation.Evaluation.Score;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.ImageGrid;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.distillation.report.HtmlReport;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Precision;
import dev.limbeck.tensor.Rng;
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

  private static final String METRICS = "metrics.json";

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
      Evaluation evaluation) {
    /**
     * The same in another folder, with a number after its name, where this one holds results of
     * other settings.
     */
    public Options inFreeFolder() {
      Map<String, Object> settings = settings(this, data.fitted(preset.side()));
      return new Options(
          device,
          seed,
          dataName,
          data,
          RunFolder.free(out, settings),
          methods,
          teacher,
          codec,
          preset,
          guidance,
          precision,
          evaluation);
    }
  }

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

  /**
   * Runs everything; a job that was interrupted goes on from its last checkpoints, and students
   * that lie in the folder already are measured and shown with the others.
   */
  public Result run() {
    RunFolder.keepTeacher(options.out, options.teacher);
    RunFolder.claim(options.out, settings(options, data));
    try (RunLog log = new RunLog(options.out)) {
      return run(log);
    }
  }

  /**
   * Makes every method that is asked for, and lets it go again: what does not fit is said before
   * anything is trained.
   *
   * @throws IllegalArgumentException if a method does not fit the teacher, or what is asked of it
   */
  public void check() {
    boolean trains = options.teacher == null;
    Model teacher = trains ? job().untrained() : options.teacher;
    TrainJob.checkFits(teacher, data);
    options.methods.forEach(method -> Methods.tryOut(create(method, teacher), options.out));
    if (trains) {
      teacher.network().close();
    }
  }

  private static Map<String, Object> settings(Options o, Dataset data) {
    boolean trained = RunFolder.trains(o.out, o.teacher);
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("data", data.hash());
    all.put("seed", o.seed);
    all.put("preset", o.preset.name());
    all.put("batch", o.preset.batch());
    all.put("teacher", trained ? "trained here" : o.teacher.hash());
    all.put("latents", codec(o).text());
    all.put("guidance", o.guidance);
    if (!o.preset.changes().isEmpty()) {
      all.put("set", o.preset.changes());
    }
    all.put("precision", precision(o));
    return all;
  }

  private Result run(RunLog log) {
    long start = System.nanoTime();
    Model teacher = options.teacher == null ? trainTeacher(log) : options.teacher;
    teacher.in(options.precision);
    TrainJob.checkFits(teacher, data);
    List<Student> students = earlier();
    for (String method : options.methods) {
      students.add(distil(method, teacher, log));
    }
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
    SafeFiles.write(options.out.resolve(METRICS), Json.writePretty(json(result)) + "\n");
    log.picture("samples", grid.picture());
    log.number("fd/teacher", teacherScore.fd());
    scores.forEach((method, score) -> log.number("fd/" + method, score.fd()));
    report(result, grid, log).write(options.out.resolve("report.html"));
    return result;
  }

  private static Codec codec(Options o) {
    return o.teacher == null ? o.codec : o.teacher.codec();
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
            codec(options),
            options.out,
            options.preset,
            options.precision);
    return new TrainJob(o, watcher);
  }

  /** The method of a name, ready to distil a teacher by this job's settings. */
  Distiller create(String method, Model teacher) {
    Teacher source = teacher.teacher().guided(options.guidance);
    Preset preset = options.preset;
    // Latents lie beyond the bounds of images.
    if (codec(options) != Codec.IDENTITY && method.startsWith(Ddil.VARIATION.name() + "+")) {
      preset = Ddil.unbounded(preset);
    }
    return Methods.of(method).create(preset, source);
  }

  private Student distil(String method, Model teacher, RunLog log) {
    Distiller distiller = create(method, teacher);
    String origin = "teacher " + teacher.hash() + " guidance " + options.guidance;
    List<CovariateShift> before = shifts(distiller);
    job().train(method, distiller, options.preset.changed(origin), log);
    Model student = teacher.student(distiller);
    student.save(RunFolder.student(options.out, method), method + ", seed " + options.seed);
    return new Student(method, student, CovariateShift.after(before, shifts(distiller)));
  }

  /** The students of other methods that earlier runs left in the folder. */
  private List<Student> earlier() {
    List<Student> all = new ArrayList<>();
    Object measured = RunFolder.read(options.out.resolve(METRICS)).get("students");
    for (String method : RunFolder.methods(options.out, options.methods)) {
      Path file = RunFolder.student(options.out, method);
      Model model = Model.load(file, options.device, codec(options));
      TrainJob.checkFits(model, data);
      List<CovariateShift> shifts = new ArrayList<>();
      for (Object each : measured == null ? List.of() : Json.list(measured, "students")) {
        Map<String, Object> one = Json.object(each, "a student");
        if (method.equals(one.get("method"))) {
          shifts.addAll(ShiftReport.read(one));
        }
      }
      all.add(new Student(method, model.in(options.precision), shifts));
    }
    return all;
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
      Tensor real = codec(options).encode(data.images(options.device, order));
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

  /** For each wanted class the next of its images, in turn; blank where there is none. */
  private float[] realOf(int[] labels) {
    float[] all = new float[labels.length * data.imageSize()];
    Arrays.fill(all, -1);
    int next = 0;
    for (int i = 0; i < labels.length; i++) {
      for (int tried = 0; tried < data.count(); tried++) {
        int image = next++ % data.count();
        if (data.classes() == 0 || data.label(image) == labels[i]) {
          data.image(image, all, i * data.imageSize());
          break;
        }
      }
    }
    return all;
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
        ShiftReport.tables(result.shifts),
        log.charts(),
        List.of(
            new HtmlReport.Fact("device", options.device.description()),
            new HtmlReport.Fact("seed", Long.toString(options.seed)),
            new HtmlReport.Fact("data", options.dataName + " (" + data.count() + " images)"),
            new HtmlReport.Fact("preset", options.preset.name()),
            new HtmlReport.Fact("precision", precision(options)),
            new HtmlReport.Fact("guidance", Double.toString(options.guidance)),
            new HtmlReport.Fact("settings", options.preset.told()),
            new HtmlReport.Fact("wall seconds", String.format("%.0f", result.wallSeconds))));
  }

  private static HtmlReport.Row row(String method, Score score) {
    return new HtmlReport.Row(method, score.nfe(), score.secondsPerImage(), score.fd());
  }

  private static String precision(Options o) {
    return o.precision.name().toLowerCase(Locale.ROOT);
  }

  private Map<String, Object> json(Result result) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("device", options.device.description());
    all.put("seed", options.seed);
    all.put("data", options.dataName);
    all.put("preset", options.preset.name());
    all.put("precision", precision(options));
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
          one.put(ShiftReport.KEY, ShiftReport.json(result.shifts.get(method)));
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
