package dev.limbeck.bench.cli;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.format.OutputFormatFactory;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/** Runs this module's JMH benchmarks and gathers their scores. */
final class JmhRun {
  private JmhRun() {}

  /**
   * One row for each benchmark and combination of its parameters.
   *
   * @param only a regular expression on the benchmarks' names
   * @param quick whether to measure for one second each
   */
  static List<Map<String, Object>> rows(
      String only, int threads, boolean quick, Consumer<String> progress) {
    ChainedOptionsBuilder options =
        new OptionsBuilder()
            .include(only.isEmpty() ? "dev\\.limbeck\\.bench" : only)
            .param("threads", Integer.toString(threads))
            .verbosity(VerboseMode.SILENT)
            .shouldFailOnError(true);
    if (quick) {
      options
          .warmupIterations(1)
          .warmupTime(TimeValue.milliseconds(500))
          .measurementIterations(2)
          .measurementTime(TimeValue.milliseconds(500));
    }
    try {
      Collection<RunResult> results =
          new Runner(
                  options.build(),
                  OutputFormatFactory.createFormatInstance(System.err, VerboseMode.NORMAL))
              .run();
      List<Map<String, Object>> rows = new ArrayList<>();
      results.forEach(r -> rows.add(row(r)));
      return rows;
    } catch (RunnerException e) {
      throw new IllegalStateException("the benchmarks did not run: " + e.getMessage(), e);
    }
  }

  private static Map<String, Object> row(RunResult run) {
    BenchmarkParams params = run.getParams();
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("name", params.getBenchmark().replaceFirst("^dev\\.limbeck\\.bench\\.", ""));
    for (String key : params.getParamsKeys()) {
      row.put(key, params.getParam(key));
    }
    row.put("jdk", params.getJdkVersion());
    Result<?> primary = run.getPrimaryResult();
    row.put("score", rounded(primary.getScore()));
    row.put("error", rounded(primary.getScoreError()));
    row.put("unit", primary.getScoreUnit());
    run.getSecondaryResults().forEach((name, r) -> row.put(name, rounded(r.getScore())));
    return row;
  }

  private static Object rounded(double value) {
    return Double.isFinite(value) ? Math.round(value * 1e4) / 1e4 : "";
  }
}
