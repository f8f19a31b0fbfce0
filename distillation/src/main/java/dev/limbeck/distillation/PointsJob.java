package dev.limbeck.distillation;

import dev.limbeck.distillation.data.ImageGrid;
import dev.limbeck.distillation.data.Mixture;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.distillation.metrics.MixtureEvaluation;
import dev.limbeck.distillation.metrics.MixtureScore;
import dev.limbeck.distillation.report.HtmlReport;
import dev.limbeck.distillation.report.Scatter;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.tensor.Rng;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * {@link DistillJob} for mixtures: the teacher is exact, the students are small, and their samples
 * are measured mode by mode.
 */
public final class PointsJob {
  private static final String METRICS = "metrics.json";

  /** Students of more steps are not looked for. */
  private static final int MOST_STEPS = 64;

  /** Half the pictures' width in standard deviations of the data: all but outliers. */
  private static final double REACH = 2.6;

  /**
   * What to do.
   *
   * @param dataName what the mixture was opened by
   * @param guidance scale of classifier-free guidance that students learn; 1 for none
   */
  public record Options(
      Device device,
      long seed,
      String dataName,
      Mixture mixture,
      Path out,
      List<String> methods,
      Preset preset,
      double guidance) {
    /**
     * The same in another folder, with a number after its name, where this one holds results of
     * other settings.
     */
    public Options inFreeFolder() {
      Path free = RunFolder.free(out, settings(this));
      return new Options(device, seed, dataName, mixture, free, methods, preset, guidance);
    }
  }

  /**
   * One way of drawing points, measured.
   *
   * @param nfe evaluations of a network, or of the exact denoiser, for each point
   * @param shifts how far a student's chain is from noisy data, before training and after it; none
   *     for one of a single step, and for methods that train on no noisy inputs of a chain
   */
  public record Row(
      String method,
      int nfe,
      MixtureScore score,
      double secondsPerSample,
      List<CovariateShift> shifts) {
    /** Of what has no chain of its own. */
    public Row(String method, int nfe, MixtureScore score, double secondsPerSample) {
      this(method, nfe, score, secondsPerSample, List.of());
    }
  }

  /** What a finished job found; the models and pictures lie in its folder. */
  public record Result(MixtureScore floor, Row teacher, List<Row> students, double wallSeconds) {}

  private final Options options;
  private final TrainJob.Watcher watcher;
  private final MixtureEvaluation evaluation;
  private final PointsWork work;
  private final ImageGrid grid = ImageGrid.of(Scatter.SIDE, Scatter.SIDE, 1).scale(1);
  private final Scatter scatter;

  public PointsJob(Options options, TrainJob.Watcher watcher) {
    this.options = options;
    this.watcher = watcher;
    Mixture mixture = options.mixture;
    evaluation = new MixtureEvaluation(mixture, options.preset.evaluated());
    work =
        new PointsWork(
            options.device, options.seed, mixture, options.preset, options.guidance, evaluation);
    scatter = new Scatter(mixture.centre(), REACH * mixture.deviation());
  }

  /**
   * Makes every method that is asked for, and lets it go again: what does not fit is said before
   * anything is trained.
   *
   * @throws IllegalArgumentException if a method does not fit what is asked of it
   */
  public void check() {
    Model untrained = work.untrained();
    Teacher teacher = work.teacher(untrained);
    for (String method : options.methods) {
      Methods.tryOut(Methods.of(method).create(options.preset, teacher), options.out);
    }
    untrained.network().close();
  }

  private static Map<String, Object> settings(Options o) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("data", o.mixture.hash());
    all.put("seed", o.seed);
    all.put("preset", o.preset.name());
    all.put("batch", o.preset.batch());
    all.put("guidance", o.guidance);
    if (!o.preset.changes().isEmpty()) {
      all.put("set", o.preset.changes());
    }
    return all;
  }

  /**
   * Runs everything; a job that was interrupted goes on from its last checkpoints, and students
   * that lie in the folder already are measured and shown with the others.
   */
  public Result run() {
    RunFolder.claim(options.out, settings(options));
    try (RunLog log = new RunLog(options.out)) {
      return run(log);
    }
  }

  private Result run(RunLog log) {
    long start = System.nanoTime();
    Training training = work.training(options.out, watcher);
    Model fitted = work.fitted(training, log);
    fitted.save(options.out.resolve("initial.safetensors"), "exact denoiser, fitted");
    int n = evaluation.samples();
    grid.row("data", scatter.image(options.mixture.draw(Rng.of(options.seed), n).points()));
    PointsWork.Scored exact = work.score(work.exact(), PointsWork.SAMPLER);
    Row teacher = row("teacher", exact, List.of());
    grid.row("teacher", scatter.image(exact.points()));
    List<Row> students = new ArrayList<>();
    for (String method : RunFolder.methods(options.out, options.methods)) {
      students.addAll(measure(method, earlier(method), measured(method)));
    }
    for (String method : options.methods) {
      students.addAll(distil(method, training, fitted, log));
    }
    grid.write(options.out.resolve("samples.png"));
    double seconds = (System.nanoTime() - start) / 1e9;
    Result result = new Result(evaluation.floor(), teacher, students, seconds);
    SafeFiles.write(options.out.resolve(METRICS), Json.writePretty(json(result)) + "\n");
    log.picture("samples", grid.picture());
    report(result, log).write(options.out.resolve("report.html"));
    return result;
  }

  private List<Row> distil(String method, Training training, Model fitted, RunLog log) {
    Distiller distiller = Methods.of(method).create(options.preset, work.teacher(fitted));
    String origin = "exact guidance " + options.guidance;
    Model start = fitted.student(distiller);
    training.train(method, distiller, options.preset.changed(origin), log);
    List<Model> students = new ArrayList<>();
    for (Distiller.Result result : distiller.results()) {
      Model student = fitted.student(result);
      students.add(student);
      save(method + "-" + student.sampler().evaluations(), student);
    }
    save(method, fitted.student(distiller));
    List<Row> rows = measure(method, students, shifts(distiller, start, students));
    start.network().close();
    rows.forEach(row -> log.number("within/" + method, row.score.withinMode()));
    return rows;
  }

  /** The students of a method that an earlier run left in the folder, one for each step count. */
  private List<Model> earlier(String method) {
    List<Model> students = new ArrayList<>();
    for (int steps = 1; steps <= MOST_STEPS; steps++) {
      Path file = RunFolder.student(options.out, method + "-" + steps);
      if (Files.exists(file)) {
        students.add(Model.load(file, options.device));
      }
    }
    return students;
  }

  /** By the number of steps, how far each student's chain is from noisy data. */
  private Map<Integer, List<CovariateShift>> shifts(
      Distiller distiller, Model start, List<Model> students) {
    Map<Integer, List<CovariateShift>> all = new TreeMap<>();
    InputDriven driven = CovariateShift.methodOf(distiller);
    if (driven != null) {
      InputDriven.Transition how = driven.chain().transition();
      for (Model student : students) {
        Sampler sampler = student.sampler();
        List<CovariateShift> before = work.shift(how, start.denoiser(), sampler);
        List<CovariateShift> now = work.shift(how, student.denoiser(), sampler);
        all.put(sampler.evaluations(), CovariateShift.after(before, now));
      }
    }
    return all;
  }

  /** The same as an earlier run measured it. */
  private Map<Integer, List<CovariateShift>> measured(String method) {
    Map<Integer, List<CovariateShift>> all = new TreeMap<>();
    Object found = RunFolder.read(options.out.resolve(METRICS)).get("students");
    for (Object each : found == null ? List.of() : Json.list(found, "students")) {
      Map<String, Object> one = Json.object(each, "a student");
      if (method.equals(one.get("method")) && one.get("nfe") instanceof Number steps) {
        all.put(steps.intValue(), ShiftReport.read(one));
      }
    }
    return all;
  }

  private List<Row> measure(
      String method, List<Model> students, Map<Integer, List<CovariateShift>> shifts) {
    TreeMap<Integer, PointsWork.Scored> found = new TreeMap<>();
    for (Model student : students) {
      found.put(student.sampler().evaluations(), work.score(student.denoiser(), student.sampler()));
    }
    List<Row> rows = new ArrayList<>();
    found.forEach(
        (steps, scored) -> rows.add(row(method, scored, shifts.getOrDefault(steps, List.of()))));
    grid.row(method, images(found));
    return rows;
  }

  private void save(String name, Model student) {
    student.save(RunFolder.student(options.out, name), name + ", seed " + options.seed);
  }

  /** The pictures of all step counts, one after the other. */
  private float[] images(TreeMap<Integer, PointsWork.Scored> found) {
    float[] all = new float[found.size() * Scatter.SIDE * Scatter.SIDE];
    int at = 0;
    for (PointsWork.Scored scored : found.values()) {
      float[] image = scatter.image(scored.points());
      System.arraycopy(image, 0, all, at, image.length);
      at += image.length;
    }
    return all;
  }

  private static Row row(String method, PointsWork.Scored scored, List<CovariateShift> shifts) {
    return new Row(method, scored.nfe(), scored.score(), scored.secondsPerSample(), shifts);
  }

  // ---- reports ----

  private Map<String, Object> json(Result result) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("device", options.device.description());
    all.put("seed", options.seed);
    all.put("data", options.dataName);
    all.put("preset", options.preset.name());
    all.put("samples", evaluation.samples());
    all.put("directions", MixtureEvaluation.DIRECTIONS);
    all.put("outlier_quantile", MixtureEvaluation.QUANTILE);
    all.put("floor", json(result.floor));
    all.put("teacher", json(result.teacher, result.floor));
    List<Object> students = new ArrayList<>();
    for (Row row : result.students) {
      Map<String, Object> one = json(row, result.floor);
      one.put(ShiftReport.KEY, ShiftReport.json(row.shifts));
      students.add(one);
    }
    all.put("students", students);
    all.put("wall_seconds", result.wallSeconds);
    return all;
  }

  private static Map<String, Object> json(MixtureScore score) {
    Map<String, Object> one = new LinkedHashMap<>();
    one.put("within_mode_w2", score.withinMode());
    one.put("mass_error", score.massError());
    one.put("outliers", score.outliers());
    return one;
  }

  private static Map<String, Object> json(Row row, MixtureScore floor) {
    Map<String, Object> one = new LinkedHashMap<>();
    one.put("method", row.method);
    one.put("nfe", row.nfe);
    one.putAll(json(row.score));
    one.put("within_mode_ratio", row.score.withinMode() / floor.withinMode());
    one.put("seconds_per_sample", row.secondsPerSample);
    return one;
  }

  private HtmlReport report(Result result, RunLog log) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(cells("data (the floor)", "", result.floor, result.floor));
    rows.add(cells("teacher", result.teacher, result.floor));
    result.students.forEach(each -> rows.add(cells(each.method, each, result.floor)));
    HtmlReport.Table table =
        new HtmlReport.Table(
            "Results",
            List.of(
                "method",
                "evaluations",
                "within-mode sliced W2",
                "of the floor",
                "mass error",
                "outliers"),
            rows,
            evaluation.samples()
                + " samples, "
                + MixtureEvaluation.DIRECTIONS
                + " directions; outliers are beyond the "
                + MixtureEvaluation.QUANTILE
                + " quantile of their mode");
    Map<String, List<CovariateShift>> shifts = new LinkedHashMap<>();
    result.students.forEach(each -> shifts.put(each.method + ", " + each.nfe, each.shifts));
    List<HtmlReport.Table> tables = new ArrayList<>(List.of(table));
    tables.addAll(ShiftReport.tables(shifts));
    return new HtmlReport(
        "Limbeck: distillation of " + options.dataName,
        "Rows of the picture: the data, the exact teacher with "
            + result.teacher.nfe
            + " evaluations, then each student, with fewer steps on the left.",
        List.of(new HtmlReport.Figure("Density of the samples", grid.picture().png())),
        null,
        tables,
        log.charts(),
        List.of(
            new HtmlReport.Fact("device", options.device.description()),
            new HtmlReport.Fact("settings", options.preset.told()),
            new HtmlReport.Fact("seed", Long.toString(options.seed)),
            new HtmlReport.Fact("data", options.dataName),
            new HtmlReport.Fact("guidance", Double.toString(options.guidance)),
            new HtmlReport.Fact("wall seconds", String.format("%.0f", result.wallSeconds))));
  }

  private static List<String> cells(String name, Row row, MixtureScore floor) {
    return cells(name, Integer.toString(row.nfe), row.score, floor);
  }

  private static List<String> cells(
      String name, String nfe, MixtureScore score, MixtureScore floor) {
    return List.of(
        name,
        nfe,
        String.format(Locale.ROOT, "%.4f", score.withinMode()),
        String.format(Locale.ROOT, "%.2f×", score.withinMode() / floor.withinMode()),
        String.format(Locale.ROOT, "%.4f", score.massError()),
        String.format(Locale.ROOT, "%.4f", score.outliers()));
  }
}
