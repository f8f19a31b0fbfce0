package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/** Cells of a comparison on the embedded digits, with the teacher that comes with Limbeck. */
final class ComparisonDigits {
  /** Lengths by which is told how a method's steps follow from those of its stages. */
  private static final long[] PROBES = {400, 800};

  /** Students are kept beside their results: the picture is drawn from them. */
  static final String STUDENT = "student.safetensors";

  private final ComparisonScale scale;
  private final Path out;
  private final Device device;
  private final TrainJob.Watcher watcher;
  private final Dataset data;
  private final Model teacher;
  private final Evaluation evaluation;
  private final Map<String, Preset> sized = new HashMap<>();

  ComparisonDigits(ComparisonScale scale, Path out, Device device, TrainJob.Watcher watcher) {
    this.scale = scale;
    this.out = out;
    this.device = device;
    this.watcher = watcher;
    this.data = Datasets.mnist().fitted(scale.digits().side());
    this.teacher = Model.builtIn(device, scale.digits());
    this.evaluation = Evaluation.againstDigits(device, scale.digits().evaluated());
  }

  Model teacher() {
    return teacher;
  }

  /** The distance of real digits. */
  double floor() {
    return evaluation.floor(device);
  }

  /**
   * Measures cells of one method and seed, largest number of steps first; each result is told when
   * it is there. A training whose student draws in another number of steps too serves both.
   */
  void run(List<ComparisonCell> cells, BiConsumer<ComparisonCell, Map<String, Object>> found) {
    ComparisonCell any = cells.get(0);
    if (any.method().equals("teacher")) {
      cells.forEach(cell -> found.accept(cell, teacher(cell)));
      return;
    }
    if (any.data().equals("mnist-curve")) {
      cells.forEach(cell -> found.accept(cell, curve(cell)));
      return;
    }
    List<ComparisonCell> open = new ArrayList<>(cells);
    Map<String, List<Integer>> trained = new HashMap<>();
    for (ComparisonCell cell : cells) {
      if (!open.contains(cell)) {
        continue;
      }
      Preset preset = sized(cell.method(), cell.steps());
      double guidance = cell.data().equals("mnist-guided") ? ComparisonScale.GUIDANCE : 1;
      Distiller distiller =
          Methods.of(cell.method()).create(preset, teacher.teacher().guided(guidance));
      // Asked for another number of steps, a method may answer with the same student as before.
      String kind = distiller.sampler().text();
      if (!trained.containsKey(kind)) {
        trained.put(kind, train(cell, distiller, preset, guidance, open, found));
      }
      if (open.remove(cell)) {
        found.accept(cell, absent(trained.get(kind)));
      }
    }
  }

  private static Map<String, Object> absent(List<Integer> has) {
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("absent", "not trained for so many steps; it draws in " + has);
    return result;
  }

  /** Trains into a cell's folder, and measures it and every open cell that the result is of. */
  private List<Integer> train(
      ComparisonCell cell,
      Distiller distiller,
      Preset preset,
      double guidance,
      List<ComparisonCell> open,
      BiConsumer<ComparisonCell, Map<String, Object>> found) {
    Path folder = cell.folder(out);
    TrainJob.prepare(folder);
    double seconds;
    try (RunLog log = new RunLog(folder)) {
      String origin = "teacher " + teacher.hash() + " guidance " + guidance;
      seconds = training(folder, preset, cell.seed()).train(cell.method(), distiller, origin, log);
    }
    List<Integer> has = new ArrayList<>();
    for (Distiller.Result result : distiller.results()) {
      int steps = result.sampler().evaluations();
      has.add(steps);
      for (ComparisonCell other : List.copyOf(open)) {
        if (other.steps() == steps) {
          Model student = teacher.student(result);
          TrainJob.prepare(other.folder(out));
          student.save(other.folder(out).resolve(STUDENT), other.id());
          Map<String, Object> measured = measure(student.generation(), cell.seed());
          measured.put("training_steps", distiller.steps());
          measured.put("images", distiller.steps() * preset.batch());
          if (other.equals(cell)) { // A training that serves several counts once.
            measured.put(ComparisonResults.SECONDS, seconds);
          }
          found.accept(other, measured);
          open.remove(other);
        }
      }
    }
    return has;
  }

  private Training training(Path folder, Preset preset, long seed) {
    Batches batches = Batches.of(data, device, preset.batch(), seed);
    return new Training(folder, preset, seed, data.hash(), batches, watcher);
  }

  /** The preset with which a method for so many steps sees as many images as the others. */
  private Preset sized(String method, int sampleSteps) {
    return sized.computeIfAbsent(
        method + "/" + sampleSteps,
        unused -> {
          Method of = Methods.of(method);
          Preset digits = scale.digits().withSampleSteps(sampleSteps);
          double[] steps = new double[PROBES.length];
          for (int i = 0; i < steps.length; i++) {
            Preset probe = digits.withStudentSteps(PROBES[i]);
            steps[i] = of.create(probe, teacher.teacher()).steps();
          }
          // Stages are as long as they are told, and there may be some of a length of their own.
          double each = (steps[1] - steps[0]) / (PROBES[1] - PROBES[0]);
          double wanted = (double) scale.images() / scale.digits().batch();
          long length = each > 0 ? Math.round(PROBES[0] + (wanted - steps[0]) / each) : 1;
          return digits.withStudentSteps(Math.max(1, length));
        });
  }

  private Map<String, Object> teacher(ComparisonCell cell) {
    if (cell.data().equals("mnist")) {
      return measure(teacher.generation(), cell.seed());
    }
    Sampler ddim =
        Samplers.eulerOn(
            NoiseLevels.fallingCosine(cell.steps(), scale.digits().shift(), NoiseLevels.SIGMA_MAX));
    Generation own = teacher.generation();
    Map<String, Object> measured =
        measure(own.by(own.denoiser().guided(ComparisonScale.GUIDANCE), ddim), cell.seed());
    // With and without the class in each step.
    measured.put("nfe", 2 * cell.steps());
    return measured;
  }

  private Map<String, Object> measure(Generation generation, long seed) {
    Evaluation.Quality quality = evaluation.quality(device, generation, seed + 1);
    Map<String, Object> found = new LinkedHashMap<>();
    found.put("nfe", quality.score().nfe());
    found.put("fd", quality.score().fd());
    found.put("kid", quality.kernel().value());
    found.put("precision", quality.inside().precision());
    found.put("recall", quality.inside().recall());
    found.put("seconds_per_image", quality.score().secondsPerImage());
    return found;
  }

  // ---- convergence ----

  /** The Fréchet distance as training goes on; what is measured is kept at every point. */
  private Map<String, Object> curve(ComparisonCell cell) {
    Path folder = cell.folder(out);
    TrainJob.prepare(folder);
    Path kept = folder.resolve("curve.json");
    Preset preset = sized(ComparisonScale.BASE, 1);
    Distiller distiller = Methods.of(cell.method()).create(preset, teacher.teacher());
    long before =
        distiller.steps()
            - Methods.of(ComparisonScale.BASE).create(preset, teacher.teacher()).steps();
    Batches batches = Batches.of(data, device, preset.batch(), cell.seed());
    Trainer.Options options =
        new Trainer.Options(
            folder.resolve("checkpoint.safetensors"), Long.MAX_VALUE, (d, step, losses) -> {});
    String origin =
        String.format(
            "curve of %d steps, teacher %s seed %d",
            distiller.steps(), teacher.hash(), cell.seed());
    distiller.keepIn(folder);
    Trainer trainer = new Trainer(distiller, batches, origin, options);
    long done = trainer.resume();
    List<Object> points = read(kept, done);
    Evaluation few = Evaluation.againstDigits(device, scale.curveSamples());
    watcher.begins(cell.id(), done, distiller.steps());
    while (done < distiller.steps()) {
      long to = done < before ? before : Math.min(distiller.steps(), done + scale.curveEvery());
      trainer.run(done, to);
      Generation generation = teacher.student(distiller).generation();
      double fd = few.measure(device, generation, cell.seed() + 1, n -> {}).fd();
      points.add(Map.of("iterations", to, "seconds", trainer.seconds(), "fd", fd));
      trainer.save(to);
      SafeFiles.write(kept, Json.write(points) + "\n");
      watcher.progress(to, fd, (int) (to - done) * preset.batch());
      done = to;
    }
    watcher.ends("done");
    Map<String, Object> found = new LinkedHashMap<>();
    found.put("before", before);
    found.put("points", points);
    return found;
  }

  static double number(Object point, String key) {
    return ((Number) Json.object(point, "a point").get(key)).doubleValue();
  }

  /** The points of an earlier run that its checkpoint knows of. */
  private static List<Object> read(Path file, long done) {
    List<Object> points = new ArrayList<>();
    if (Files.exists(file)) {
      try {
        for (Object point : Json.list(Json.parse(Files.readString(file)), "the curve")) {
          if (number(point, "iterations") <= done) {
            points.add(point);
          }
        }
      } catch (IOException | IllegalArgumentException e) {
        throw new TrainingException(file + " cannot be read: " + e.getMessage(), e);
      }
    }
    return points;
  }
}
