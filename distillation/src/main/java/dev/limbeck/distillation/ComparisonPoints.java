package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Mixture;
import dev.limbeck.distillation.metrics.MixtureEvaluation;
import dev.limbeck.distillation.metrics.MixtureScore;
import dev.limbeck.kernels.Device;
import java.nio.file.Path;
import java.util.ArrayList;
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
      Trained trained = new Trained(work, fitted, training, log);
      Distiller own = method.create(scale.points(), teacher);
      trained.add(cell.method(), own);
      // What the method's own choice does not draw in, other students do.
      for (int steps : ComparisonScale.STEPS) {
        if (!trained.rows.containsKey(steps)) {
          Distiller other = method.create(scale.points().withSampleSteps(steps), teacher);
          trained.add(cell.method() + "-" + steps, other);
        }
      }
      MixtureScore floor = evaluation.floor();
      Map<String, Object> found = new LinkedHashMap<>();
      found.put(
          "floor",
          Map.of(
              "within_mode_w2", floor.withinMode(),
              "mass_error", floor.massError(),
              "outliers", floor.outliers()));
      found.put("training_steps", own.steps());
      found.put(ComparisonResults.SECONDS, trained.seconds);
      found.put("rows", trained.rows(floor));
      return found;
    }
  }

  /** Students of a method, by the steps that they draw in. */
  private static final class Trained {
    private final PointsWork work;
    private final Model fitted;
    private final Training training;
    private final RunLog log;
    private final Map<Integer, MixtureScore> rows = new TreeMap<>();
    private double seconds;

    Trained(PointsWork work, Model fitted, Training training, RunLog log) {
      this.work = work;
      this.fitted = fitted;
      this.training = training;
      this.log = log;
    }

    void add(String part, Distiller distiller) {
      seconds += training.train(part, distiller, "exact", log);
      for (Distiller.Result result : distiller.results()) {
        Model student = fitted.student(result);
        PointsWork.Scored scored = work.score(student.denoiser(), student.sampler());
        rows.putIfAbsent(scored.nfe(), scored.score());
      }
    }

    List<Object> rows(MixtureScore floor) {
      List<Object> all = new ArrayList<>();
      rows.forEach(
          (steps, score) -> {
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("steps", steps);
            row.put("within_mode_w2", score.withinMode());
            row.put("within_mode_ratio", score.withinMode() / floor.withinMode());
            row.put("mass_error", score.massError());
            row.put("outliers", score.outliers());
            all.add(row);
          });
      return all;
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
