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
      Distiller distiller = Methods.of(cell.method()).create(scale.points(), work.teacher(fitted));
      Training training = work.training(folder, watcher);
      double seconds = training.train(cell.method(), distiller, "exact", log);
      MixtureScore floor = evaluation.floor();
      List<Object> rows = new ArrayList<>();
      for (Distiller.Result result : distiller.results()) {
        Model student = fitted.student(result);
        PointsWork.Scored scored = work.score(student.denoiser(), student.sampler());
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("steps", scored.nfe());
        row.put("within_mode_w2", scored.score().withinMode());
        row.put("within_mode_ratio", scored.score().withinMode() / floor.withinMode());
        row.put("mass_error", scored.score().massError());
        row.put("outliers", scored.score().outliers());
        rows.add(row);
      }
      Map<String, Object> found = new LinkedHashMap<>();
      found.put(
          "floor",
          Map.of(
              "within_mode_w2", floor.withinMode(),
              "mass_error", floor.massError(),
              "outliers", floor.outliers()));
      found.put("training_steps", distiller.steps());
      found.put(ComparisonResults.SECONDS, seconds);
      found.put("rows", rows);
      return found;
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
