package dev.limbeck.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.profile.InternalProfiler;
import org.openjdk.jmh.results.AggregationPolicy;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.ScalarResult;

/** The most memory that the process had resident so far, in MB (Linux; elsewhere nothing). */
public final class PeakMemory implements InternalProfiler {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final String KEY = "VmHWM:";

  @Override
  public String getDescription() {
    return "peak resident memory";
  }

  @Override
  public void beforeIteration(BenchmarkParams benchmark, IterationParams iteration) {}

  @Override
  public Collection<? extends Result<?>> afterIteration(
      BenchmarkParams benchmark, IterationParams iteration, IterationResult result) {
    return Files.isReadable(STATUS)
        ? List.of(new ScalarResult("resident", megabytes(), "MB", AggregationPolicy.MAX))
        : List.of();
  }

  /**
   * The most memory that this process had resident so far, in MB of a million bytes.
   *
   * @throws IllegalStateException on other systems than Linux
   */
  public static double megabytes() {
    try {
      for (String line : Files.readAllLines(STATUS)) {
        if (line.startsWith(KEY)) {
          return Double.parseDouble(line.replaceAll("\\D", "")) * 1024 / 1e6;
        }
      }
    } catch (IOException e) {
      throw new IllegalStateException("peak memory is read from " + STATUS + ", which fails", e);
    }
    throw new IllegalStateException(STATUS + " has no line " + KEY);
  }
}
