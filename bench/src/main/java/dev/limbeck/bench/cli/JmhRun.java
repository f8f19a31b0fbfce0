package dev.limbeck.bench.cli;

import dev.limbeck.bench.PeakBench;
import dev.limbeck.bench.PeakMemory;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.NoBenchmarksException;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.format.OutputFormatFactory;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/** Runs this module's JMH benchmarks and gathers their scores, with the share of the peak. */
final class JmhRun {
  static final String PACKAGE = "dev.limbeck.bench.";
  private static final String PEAK = PeakBench.class.getSimpleName();

  /** The rows of the ceilings, and the columns of what was reached. */
  static final String COMPUTE = PEAK + ".fma";

  static final String MEMORY = PEAK + ".copy";
  static final String FLOPS = "gflop/s";
  static final String BYTES = "GB/s";

  private final int threads;
  private final boolean quick;

  /**
   * Prepares a run.
   *
   * @param quick whether to measure for one second each
   */
  JmhRun(int threads, boolean quick) {
    this.threads = threads;
    this.quick = quick;
  }

  /**
   * One row for each benchmark and combination of its parameters, those of the peak first.
   *
   * @param only a regular expression on the benchmarks' names
   */
  List<Map<String, Object>> rows(Pattern only) {
    List<Map<String, Object>> rows = run(options(PACKAGE + PEAK));
    List<Map<String, Object>> others = run(options(included(only)).exclude(PEAK));
    if (others.isEmpty() && !only.matcher(PEAK).find()) {
      return others;
    }
    rows.addAll(others);
    return comparedWithPeak(rows);
  }

  /** The same for the shapes of a network, of the families whose names {@code only} matches. */
  List<Map<String, Object>> rows(Pattern only, Map<String, List<String>> shapes) {
    List<Map<String, Object>> rows = run(options(PACKAGE + PEAK));
    shapes.forEach(
        (family, of) -> {
          String name = PACKAGE + family + "Bench";
          if (only.matcher(name).find()) {
            rows.addAll(run(options(name).param("shape", of.toArray(new String[0]))));
          }
        });
    return comparedWithPeak(rows);
  }

  private static String included(Pattern only) {
    return only.pattern().isEmpty() ? PACKAGE : only.pattern();
  }

  ChainedOptionsBuilder options(String include) {
    ChainedOptionsBuilder options =
        new OptionsBuilder()
            .include(include)
            .param("threads", Integer.toString(threads))
            .addProfiler(GCProfiler.class)
            .addProfiler(PeakMemory.class)
            .verbosity(VerboseMode.SILENT)
            .shouldFailOnError(true);
    if (quick) {
      options
          .warmupIterations(1)
          .warmupTime(TimeValue.seconds(1))
          .measurementIterations(2)
          .measurementTime(TimeValue.milliseconds(500));
    }
    return options;
  }

  static List<Map<String, Object>> run(ChainedOptionsBuilder options) {
    List<Map<String, Object>> rows = new ArrayList<>();
    try {
      new Runner(
              options.build(),
              OutputFormatFactory.createFormatInstance(System.err, VerboseMode.NORMAL))
          .run()
          .forEach(r -> rows.add(row(r)));
      return rows;
    } catch (NoBenchmarksException e) {
      return rows;
    } catch (RunnerException e) {
      throw new IllegalStateException("the benchmarks did not run: " + e.getMessage(), e);
    }
  }

  private static Map<String, Object> row(RunResult run) {
    BenchmarkParams params = run.getParams();
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("name", params.getBenchmark().substring(PACKAGE.length()));
    row.put("shape", "");
    for (String key : params.getParamsKeys()) {
      row.put(key, params.getParam(key));
    }
    Result<?> primary = run.getPrimaryResult();
    row.put("ms", rounded(1e3 / primary.getScore()));
    row.put("error", rounded(1e3 * primary.getScoreError() / square(primary.getScore())));
    put(row, run, "gflop", FLOPS);
    put(row, run, "gigabytes", BYTES);
    put(row, run, "images", "images/s");
    put(row, run, "gc.alloc.rate.norm", "bytes allocated");
    put(row, run, "resident", "MB resident");
    return row;
  }

  private static double square(double x) {
    return x * x;
  }

  private static void put(Map<String, Object> row, RunResult run, String result, String column) {
    Result<?> found = run.getSecondaryResults().get(result);
    if (found != null && found.getScore() > 1e-4) {
      row.put(column, rounded(found.getScore()));
    }
  }

  /** Adds what share of the registers' and of the memory's speed each row reaches. */
  private static List<Map<String, Object>> comparedWithPeak(List<Map<String, Object>> rows) {
    double compute = value(rows, COMPUTE, FLOPS);
    double memory = value(rows, MEMORY, BYTES);
    for (Map<String, Object> row : rows) {
      share(row, FLOPS, compute, "% of peak flops");
      share(row, BYTES, memory, "% of copy");
    }
    return rows;
  }

  /** A column of the first row of a name. */
  static double value(List<Map<String, Object>> rows, String name, String column) {
    for (Map<String, Object> row : rows) {
      if (row.get("name").equals(name)) {
        return (double) row.get(column);
      }
    }
    throw new IllegalStateException(name + " was not measured");
  }

  static void share(Map<String, Object> row, String column, double peak, String percentage) {
    if (row.get(column) instanceof Double value) {
      row.put(percentage, Math.round(1000 * value / peak) / 10.0);
    }
  }

  private static Object rounded(double value) {
    return Double.isFinite(value) ? Math.round(value * 1e4) / 1e4 : "";
  }
}
