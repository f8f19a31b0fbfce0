package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.DistillJob;
import dev.limbeck.distillation.Evaluation;
import dev.limbeck.distillation.Methods;
import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.PointsJob;
import dev.limbeck.distillation.Preset;
import dev.limbeck.distillation.Settings;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.data.Mixture;
import dev.limbeck.distillation.metrics.MixtureScore;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.Precision;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The main job: from a teacher to students of few steps, with a report. */
@Command(
    name = "distill",
    description = {
      "Distils a teacher into students that draw in one or few steps, measures them, and writes"
          + " models, pictures and a report into a folder.",
      "A run that was interrupted goes on where it stopped when it is started again."
    },
    mixinStandardHelpOptions = true)
final class DistillCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;
  @Mixin private DataOption data;
  @Mixin private SeedOption seed;
  @Mixin private OutOption out;
  @Mixin private PresetOption preset;
  @Mixin private PrecisionOption precision;
  @Mixin private LatentOption latent;

  @Option(
      names = "--method",
      split = ",",
      paramLabel = "NAME",
      description =
          "Name of a method; repeat it or separate by commas (default: pd, dmd2). An unknown one"
              + " lists them all.")
  private List<String> methods = Methods.byDefault();

  @ArgGroup private Origin origin = new Origin();

  /** Where the teacher comes from. */
  private static final class Origin {
    @Option(
        names = "--teacher",
        paramLabel = "FILE",
        description = "The teacher (default: the one that comes with Limbeck).")
    private Path file;

    @Option(names = "--train-teacher", description = "Train a teacher on the spot.")
    private boolean train;
  }

  @Option(
      names = "--guidance",
      paramLabel = "SCALE",
      defaultValue = "1",
      description = "Scale of the guidance that students learn (default: ${DEFAULT-VALUE}, none).")
  private double guidance;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Training steps of each halving (pd), and iterations (dmd2).")
  private Long steps;

  @Option(
      names = "--teacher-steps",
      paramLabel = "N",
      description =
          "Training steps of the teacher (--train-teacher), or of the network that learns the exact"
              + " one of toy:NAME.")
  private Long teacherSteps;

  @Option(
      names = "--sample-steps",
      paramLabel = "N",
      description = "Steps that students are to draw in (default: each method's own choice).")
  private Integer sampleSteps;

  @Option(
      names = "--set",
      paramLabel = "KEY=VALUE",
      description =
          "Changes a setting of the methods, as in --set critic.steps=5; repeat it for"
              + " several. --settings prints them all.")
  private List<String> changes = List.of();

  @Option(
      names = "--settings",
      description = "Print the settings of the methods, as they would choose them, and stop.")
  private boolean settings;

  @Override
  public Integer call() throws IOException {
    AtLeast.check(spec, "--steps", steps, 1);
    AtLeast.check(spec, "--sample-steps", sampleSteps, 1);
    AtLeast.check(spec, "--teacher-steps", teacherSteps, 1);
    AtLeast.check(spec, "--guidance", guidance, 0);
    preset.checkMeasured();
    checkMethods();
    if (latent.isGiven() && !origin.train) {
      throw new ParameterException(
          spec.commandLine(),
          "--latent is for --train-teacher: a teacher that exists brings its own latent space");
    }
    if (Mixture.isNamed(data.data())) {
      return points();
    }
    Settings changed = changes();
    Preset p = withSteps(preset.preset()).with(changed);
    Dataset images = Datasets.open(data.data());
    Path folder = out.folder("distill");
    Device opened = device.open();
    Evaluation evaluation =
        data.data().equals(Datasets.MNIST)
            ? Evaluation.againstDigits(opened, p.evaluated())
            : Evaluation.against(opened, images, data.data(), p.evaluated());
    DistillJob.Options options =
        new DistillJob.Options(
            opened,
            seed.seed(),
            data.data(),
            images,
            folder,
            methods,
            teacher(opened, p),
            latent.codec(opened, () -> images.fitted(p.side())),
            p,
            guidance,
            precision.precision(),
            evaluation);
    DistillJob.Options free = out.isGiven() ? options : options.inFreeFolder();
    DistillJob job = new DistillJob(free, new ConsoleWatcher());
    fits(job::check);
    if (isOnlyToList(changed)) {
      return 0;
    }
    DistillJob.Result result = job.run();
    print(spec.commandLine().getOut(), result, evaluation, free.out());
    return 0;
  }

  private void checkMethods() {
    methods = methods.stream().map(String::strip).collect(Collectors.toList());
    for (String method : methods) {
      fits(() -> Methods.of(method));
      if (methods.indexOf(method) != methods.lastIndexOf(method)) {
        throw new ParameterException(
            spec.commandLine(), "--method names " + method + " twice; once is enough");
      }
    }
  }

  /** Does what tells of a command line that makes no sense by an exception. */
  private void fits(Runnable check) {
    try {
      check.run();
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  private Settings changes() {
    try {
      return Settings.of(changes);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), "--set: " + e.getMessage(), e);
    }
  }

  /** Checks names of settings, which are known once the methods are, and prints them if asked. */
  private boolean isOnlyToList(Settings changed) {
    fits(changed::checkKnown);
    if (settings) {
      spec.commandLine().getOut().println(changed.list().strip());
    }
    return settings;
  }

  private Preset withSteps(Preset of) {
    Preset p = steps == null ? of : of.withStudentSteps(steps);
    p = sampleSteps == null ? p : p.withSampleSteps(sampleSteps);
    return teacherSteps == null ? p : p.withTeacherSteps(teacherSteps);
  }

  private int points() throws IOException {
    if (origin.train || origin.file != null) {
      throw new ParameterException(
          spec.commandLine(),
          "the teacher of "
              + data.data()
              + " is exact: leave out "
              + (origin.train ? "--train-teacher" : "--teacher"));
    }
    if (precision.precision() != Precision.F32) {
      throw new ParameterException(
          spec.commandLine(), "--precision is for images: networks of points compute in f32 only");
    }
    Mixture mixture = Mixture.open(data.data());
    if (guidance != 1 && mixture.classes() == 0) {
      throw new ParameterException(
          spec.commandLine(), "--guidance needs data with labels, " + data.data() + " has none");
    }
    Settings changed = changes();
    Preset p = withSteps(preset.points()).with(changed);
    Path folder = out.folder("distill");
    PointsJob.Options options =
        new PointsJob.Options(
            device.open(), seed.seed(), data.data(), mixture, folder, methods, p, guidance);
    PointsJob.Options free = out.isGiven() ? options : options.inFreeFolder();
    PointsJob job = new PointsJob(free, new ConsoleWatcher());
    fits(job::check);
    if (isOnlyToList(changed)) {
      return 0;
    }
    PointsJob.Result result = job.run();
    PrintWriter to = spec.commandLine().getOut();
    to.printf(
        "%-20s %5s %12s %8s %8s %8s%n", "", "NFE", "within-mode", "ratio", "mass", "outliers");
    line(to, new PointsJob.Row("data", 0, result.floor(), 0), result);
    line(to, result.teacher(), result);
    result.students().forEach(row -> line(to, row, result));
    to.printf("%d samples; %.0f s in all%n", p.evaluated(), result.wallSeconds());
    to.println(
        "see " + free.out().resolve("samples.png") + " and " + free.out().resolve("report.html"));
    return 0;
  }

  private static void line(PrintWriter to, PointsJob.Row row, PointsJob.Result result) {
    MixtureScore score = row.score();
    double ratio = score.withinMode() / result.floor().withinMode();
    to.printf(
        "%-20s %5s %12.4f %8.2f %8.4f %8.4f%n",
        row.method(),
        row.nfe() == 0 ? "" : row.nfe(),
        score.withinMode(),
        ratio,
        score.massError(),
        score.outliers());
  }

  private Model teacher(Device opened, Preset p) {
    if (origin.train) {
      return null;
    }
    return origin.file == null ? Model.builtIn(opened, p) : Model.load(origin.file, opened);
  }

  private static void print(
      PrintWriter out, DistillJob.Result result, Evaluation evaluation, Path folder) {
    out.printf("%-10s %5s %10s %12s%n", "", "NFE", "FD", "s/image");
    out.printf("%-10s %5s %10.2f%n", "real", "", result.floor());
    line(out, "teacher", result.teacher());
    result.students().forEach((method, score) -> line(out, method, score));
    out.printf(
        "FD of %d samples against %s; %.0f s in all%n",
        evaluation.samples(), evaluation.referenceText(), result.wallSeconds());
    out.println("see " + folder.resolve("samples.png") + " and " + folder.resolve("report.html"));
  }

  private static void line(PrintWriter out, String name, Evaluation.Score score) {
    out.printf("%-10s %5d %10.2f %12.5f%n", name, score.nfe(), score.fd(), score.secondsPerImage());
  }
}
