package dev.limbeck.distillation;

import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.distillation.rates.Experiment;
import dev.limbeck.distillation.rates.Rates;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.cpu.CpuDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * Compares every method on mixtures and on digits, and holds the numbers against what the papers
 * claim.
 *
 * <p>What is measured is kept cell by cell: a run that is started again goes on with the cells that
 * are missing, and with the checkpoint of the one that was interrupted. A cell that fails does not
 * stop the others.
 */
public final class ComparisonJob {
  private static final String RESULT = "result.json";
  private static final String SETTINGS = "settings";

  /**
   * What to do.
   *
   * @param quick whether only to try that everything runs
   * @param only which cells, by their names as in {@code mnist/pd/4/0}; or null: all
   * @param threads mixtures that are worked on at a time, on the CPU
   */
  public record Options(Device device, Path out, boolean quick, Pattern only, int threads) {}

  /**
   * How a comparison ended.
   *
   * @param cells number of cells that are known
   * @param failures what went wrong, by cell
   * @param verdicts one line for each claim
   */
  public record Result(int cells, Map<String, String> failures, List<String> verdicts) {}

  private final Options options;
  private final TrainJob.Watcher watcher;
  private final Consumer<String> lines;
  private final ComparisonScale scale;
  private final ComparisonResults results = new ComparisonResults();

  /**
   * Prepares a comparison.
   *
   * @param lines told when a cell is done
   */
  public ComparisonJob(Options options, TrainJob.Watcher watcher, Consumer<String> lines) {
    this.options = options;
    this.watcher = watcher;
    this.lines = lines;
    this.scale = options.quick ? ComparisonScale.quick() : ComparisonScale.full();
  }

  /** Names of all cells that there are. */
  public static List<String> cells(boolean quick) {
    ComparisonScale scale = quick ? ComparisonScale.quick() : ComparisonScale.full();
    return scale.cells().stream().map(ComparisonCell::id).toList();
  }

  /** Measures what is missing, and writes the report of everything that is known. */
  public Result run() {
    long start = System.nanoTime();
    TrainJob.prepare(options.out);
    List<ComparisonCell> missing = new ArrayList<>();
    for (ComparisonCell cell : scale.cells()) {
      if (!known(cell) && (options.only == null || options.only.matcher(cell.id()).find())) {
        missing.add(cell);
      }
    }
    rates(missing);
    points(missing);
    digits(missing);
    ComparisonReport report = new ComparisonReport(scale, results, options.out);
    report.write(options.device, (System.nanoTime() - start) / 1e9);
    Map<String, String> failures = new LinkedHashMap<>();
    results.failures().forEach((cell, why) -> failures.put(cell.id(), why));
    List<String> verdicts =
        report.claims().stream()
            .map(claim -> claim.text() + ": " + claim.numbers() + ": " + report.verdict(claim))
            .toList();
    return new Result(results.all().size(), failures, verdicts);
  }

  // ---- what is kept ----

  /** Reads the result of a cell, if there is one. */
  private boolean known(ComparisonCell cell) {
    Path file = cell.folder(options.out).resolve(RESULT);
    if (!Files.exists(file)) {
      return false;
    }
    try {
      Map<String, Object> result = Json.parseObject(Files.readString(file));
      if (!scale.settings(cell).equals(result.get(SETTINGS))) {
        throw new TrainingException(
            file
                + " was measured with other settings ("
                + result.get(SETTINGS)
                + ", this run has "
                + scale.settings(cell)
                + "): choose another --out, or remove it");
      }
      results.add(cell, result);
      return true;
    } catch (IOException | IllegalArgumentException e) {
      throw new TrainingException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  private void keep(ComparisonCell cell, Map<String, Object> found) {
    Map<String, Object> result = new LinkedHashMap<>(found);
    result.put(SETTINGS, scale.settings(cell));
    SafeFiles.write(cell.folder(options.out).resolve(RESULT), Json.writePretty(result) + "\n");
    results.add(cell, result);
    lines.accept(cell.id());
  }

  private void fail(List<ComparisonCell> cells, RuntimeException e) {
    for (ComparisonCell cell : cells) {
      if (results.of(cell) == null) {
        String why = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        results.fail(cell, why);
        lines.accept(cell.id() + " failed: " + why);
      }
    }
  }

  private void attempt(ComparisonCell cell, Function<ComparisonCell, Map<String, Object>> work) {
    try {
      keep(cell, work.apply(cell));
    } catch (RuntimeException e) {
      fail(List.of(cell), e);
    }
  }

  // ---- the parts ----

  private void rates(List<ComparisonCell> missing) {
    for (ComparisonCell cell : missing) {
      if (cell.data().equals("rates")) {
        attempt(cell, this::slopes);
      }
    }
  }

  private Map<String, Object> slopes(ComparisonCell cell) {
    Experiment experiment =
        new Rates(cell.seed(), options.quick).experiments().get(cell.method()).get();
    List<Object> slopes = new ArrayList<>();
    for (Experiment.Series series : experiment.curves()) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("name", series.name());
      one.put("value", series.slope().value());
      one.put("low", series.slope().low());
      one.put("high", series.slope().high());
      slopes.add(one);
    }
    Map<String, Object> found = new LinkedHashMap<>();
    found.put("slopes", slopes);
    return found;
  }

  /** Each on a device of one thread where that is the CPU: its matrices are small. */
  private void points(List<ComparisonCell> missing) {
    List<ComparisonCell> cells = missing.stream().filter(ComparisonCell::isOnPoints).toList();
    if (cells.isEmpty()) {
      return;
    }
    ComparisonPoints points = new ComparisonPoints(scale, options.out);
    TrainJob.Watcher quiet = new Quiet();
    if (!options.device.id().equals("cpu")) {
      cells.forEach(cell -> attempt(cell, c -> points.run(c, options.device, quiet)));
      return;
    }
    ExecutorService workers = Executors.newFixedThreadPool(options.threads);
    for (ComparisonCell cell : cells) {
      workers.execute(
          () ->
              attempt(
                  cell,
                  c -> {
                    try (CpuDevice own = CpuDevice.open(true, 1)) {
                      return points.run(c, own, quiet);
                    }
                  }));
    }
    workers.shutdown();
    try {
      workers.awaitTermination(Long.MAX_VALUE, TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      workers.shutdownNow();
      Thread.currentThread().interrupt();
      throw new TrainingException("the comparison was interrupted", e);
    }
  }

  private void digits(List<ComparisonCell> missing) {
    List<ComparisonCell> cells = new ArrayList<>();
    for (ComparisonCell cell : missing) {
      if (cell.data().startsWith("mnist")) {
        cells.add(cell);
      }
    }
    if (cells.isEmpty()) {
      return;
    }
    ComparisonDigits digits = new ComparisonDigits(scale, options.out, options.device, watcher);
    while (!cells.isEmpty()) {
      ComparisonCell first = cells.get(0);
      List<ComparisonCell> group = cells.stream().filter(first::sharesTraining).toList();
      cells.removeAll(group);
      try {
        digits.run(group, this::keep);
      } catch (RuntimeException e) {
        fail(group, e);
      }
    }
  }

  /** Several parts at once cannot share one bar. */
  private static final class Quiet implements TrainJob.Watcher {
    @Override
    public void begins(String part, long first, long steps) {}

    @Override
    public void progress(long done, double loss, int images) {}

    @Override
    public void ends(String result) {}
  }
}
