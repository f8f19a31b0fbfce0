package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Mixture;
import dev.limbeck.distillation.metrics.MixtureEvaluation;
import dev.limbeck.distillation.metrics.MixtureScore;
import dev.limbeck.kernels.Device;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/** Cells of a comparison on mixtures; several may run at once, each on a device of its own. */
final class ComparisonPoints {
  private final ComparisonScale scale;
  private final Path out;
  private final Map<String, MixtureEvaluation> evaluations = new ConcurrentHashMap<>();

  ComparisonPoints(ComparisonScale scale, Path out) {
    this.scale = scale;
    this.out = out;
  }

  /** Trains and measures; what is found of every number of steps. */
  Map<String, Object> run(ComparisonCell cell, Device device, TrainJob.Watcher watcher) {
    Mixture mixture = Mixture.open(cell.data().replaceFirst("toy-", Mixture.PREFIX));
    MixtureEvaluation evaluation =
        evaluations.computeIfAbsent(
            cell.data(), unused -> new MixtureEvaluation(mixture, scale.points().evaluated()));
    PointsWork work = new PointsWork(device, cell.seed(), mixture, scale.points(), 1, evaluation);
    Path folder = cell.folder(out);
    TrainJob.prepare(folder);
    try (RunLog log = new RunLog(folder)) {
      Model fitted = fitted(cell, work, watcher);
      Teacher teacher = work.teacher(fitted);
      Method method = Methods.of(cell.method());
      Training training = work.training(folder, watcher);
      MixtureScore floor = evaluation.floor();
      Trained trained = new Trained(work, fitted, training, log, floor);
      trained.add(cell.method(), method.create(scale.points(), teacher));
      // What the method's own choice does not draw in, other students do.
      for (int steps : ComparisonScale.STEPS) {
        if (!trained.rows.containsKey(steps)) {
          Distiller other = method.create(scale.points().withSampleSteps(steps), teacher);
          trained.add(cell.method() + "-" + steps, other);
        }
      }
      Map<String, Object> found = new LinkedHashMap<>();
      found.put(
          "floor",
          Map.of(
              "within_mode_w2", floor.withinMode(),
              "mass_error", floor.massError(),
              "outliers", floor.outliers()));
      found.put("rows", List.copyOf(trained.rows.values()));
      return found;
    }
  }

  /** Students of a method, by the steps that they draw in. */
  private static final class Trained {
    private final PointsWork work;
    private final Model fitted;
    private final Training training;
    private final RunLog log;
    private final MixtureScore floor;
    private final Map<Integer, Map<String, Object>> rows = new TreeMap<>();

    Trained(PointsWork work, Model fitted, Training training, RunLog log, MixtureScore floor) {
      this.work = work;
      this.fitted = fitted;
      this.training = training;
      this.log = log;
      this.floor = floor;
    }

    void add(String part, Distiller distiller) {
      double seconds = training.train(part, distiller, "exact", log);
      for (Distiller.Result result : distiller.results()) {
        if (rows.containsKey(result.sampler().evaluations())) {
          continue;
        }
        Model student = fitted.student(result);
        PointsWork.Scored scored = work.score(student.denoiser(), student.sampler());
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("steps", scored.nfe());
        row.put("within_mode_w2", scored.score().withinMode());
        row.put("within_mode_ratio", scored.score().withinMode() / floor.withinMode());
        row.put("mass_error", scored.score().massError());
        row.put("outliers", scored.score().outliers());
        row.put("training_steps", distiller.steps());
        row.put(ComparisonResults.SECONDS, seconds);
        rows.put(scored.nfe(), row);
      }
    }
  }

  /** The network that knows the exact denoiser: trained once for each mixture. */
  private Model fitted(ComparisonCell cell, PointsWork work, TrainJob.Watcher watcher) {
    Path folder = out.resolve("teachers").resolve(cell.data());
    synchronized (evaluations.get(cell.data())) {
      TrainJob.prepare(folder);
      try (RunLog log = new RunLog(folder)) {
        return work.fitted(work.training(folder, watcher), log);
      }
    }
  }
}
