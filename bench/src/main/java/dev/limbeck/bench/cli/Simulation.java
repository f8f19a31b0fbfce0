package dev.limbeck.bench.cli;

import dev.limbeck.bench.Samples;
import dev.limbeck.distillation.data.DataException;
import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaProvider;
import dev.limbeck.kernels.cuda.LibraryUse;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/** Runs kernels on the software CUDA device, and what it counted: no time, but the work done. */
final class Simulation implements AutoCloseable {
  private final CudaDevice device;
  private final Path counted;
  private final boolean wide;

  /**
   * Loads the device from its build folder, in place of NVIDIA's driver.
   *
   * @param capability whose PTX runs: 75, 80 or 90
   * @param wide a column for each class of instructions
   */
  Simulation(Path folder, int capability, boolean tf32, boolean wide) {
    Path library = folder.toAbsolutePath().resolve("libcuda.so.1");
    if (!Files.isRegularFile(library)) {
      throw new DataException(
          "the software CUDA device is not built ("
              + library
              + " is missing): cmake -S src/test/cuda -B target/cuda && cmake --build target/cuda -j2");
    }
    System.load(library.toString());
    new CudaProvider()
        .unavailable()
        .ifPresent(
            reason -> {
              throw new DataException("the software CUDA device cannot be used: " + reason);
            });
    option("capability=" + capability);
    // The tests check; here only what is counted matters.
    option("memcheck=off,synccheck=off,count=on");
    CudaDevice.Options options = CudaDevice.Options.ofProperties();
    device = CudaDevice.open(0, options.withLibraries(LibraryUse.OFF).withTf32(tf32));
    this.wide = wide;
    try {
      counted = Files.createTempFile("limbeck-counters", ".json");
    } catch (IOException e) {
      throw new UncheckedIOException("no temporary file can be made", e);
    }
  }

  /** The door that the device leaves open; NVIDIA's driver knows no such thing and refuses. */
  private static void option(String assignments) {
    if (!CudaProvider.hasDeviceAt("limbeck:" + assignments)) {
      throw new DataException(
          "the CUDA driver does not take " + assignments + ": it is not the software device");
    }
  }

  /** What the device calls itself. */
  String description() {
    return device.description();
  }

  /** One row for each kernel that a family of benchmarks runs on a shape. */
  List<Map<String, Object>> rows(String family, String shape) {
    List<Map<String, Object>> rows = new ArrayList<>();
    try (Scope scope = Scope.open()) {
      for (Kernel kernel : Samples.of(family, shape, device)) {
        Map<String, Object> row = new LinkedHashMap<>();
        row.put("name", kernel.getClass().getSimpleName());
        row.put("shape", shape);
        row.putAll(run(kernel));
        rows.add(row);
      }
    }
    return rows;
  }

  private Map<String, Object> run(Kernel kernel) {
    device.synchronize();
    option("counters=clear");
    device.execute(kernel);
    device.synchronize();
    option("counters=" + counted);
    Counts sum = new Counts();
    try {
      Files.readAllLines(counted).forEach(line -> sum.add("", Json.parse(line)));
    } catch (IOException e) {
      throw new UncheckedIOException("the counters cannot be read", e);
    }
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("launches", (long) sum.of("launches"));
    row.put("warp instructions", (long) sum.all("warp_instructions/"));
    sum.classes(wide).forEach(row::put);
    row.put("divergent branches", (long) sum.of("divergent_branches"));
    row.put(
        "active lanes", rounded(sum.all("thread_instructions/") / sum.all("warp_instructions/")));
    row.put("MB read", sum.of("global_loads/bytes") / 1e6);
    row.put("MB written", sum.of("global_stores/bytes") / 1e6);
    row.put("MB of the cost model", kernel.bytes() / 1e6);
    row.put("sectors per request", sum.ratio("global_", "sectors"));
    row.put("shared passes per request", sum.ratio("shared_", "passes"));
    row.put("gflop in tensor cores", sum.of("tensor_flops") / 1e9);
    row.put("gflop of the cost model", kernel.flops() / 1e9);
    return row;
  }

  private static Object rounded(double value) {
    return Double.isNaN(value) ? null : (Object) (Math.round(100 * value) / 100.0);
  }

  /** Sums over the launches of a kernel, by the path of each number. */
  private static final class Counts {
    private final Map<String, Double> numbers = new LinkedHashMap<>();

    void add(String path, Object value) {
      if (path.isEmpty()) {
        numbers.merge("launches", 1.0, Double::sum);
      }
      if (value instanceof Map<?, ?> map) {
        map.forEach((key, inner) -> add(path.isEmpty() ? "" + key : path + "/" + key, inner));
      } else if (value instanceof Number number) {
        numbers.merge(path, number.doubleValue(), Double::sum);
      }
    }

    double of(String path) {
      return numbers.getOrDefault(path, 0.0);
    }

    double all(String prefix) {
      return numbers.entrySet().stream()
          .filter(each -> each.getKey().startsWith(prefix))
          .mapToDouble(Map.Entry::getValue)
          .sum();
    }

    /** Units for each request that moved data; nothing if none did. */
    Object ratio(String space, String unit) {
      double requests = of(space + "loads/requests") + of(space + "stores/requests");
      return rounded((of(space + "loads/" + unit) + of(space + "stores/" + unit)) / requests);
    }

    /** Warp instructions by class: columns, or in words, with those above a hundredth. */
    Map<String, Object> classes(boolean wide) {
      String prefix = "warp_instructions/";
      double sum = all(prefix);
      Map<String, Object> row = new LinkedHashMap<>();
      if (wide) {
        numbers.forEach(
            (path, count) -> {
              if (path.startsWith(prefix)) {
                row.put(path.substring(prefix.length()), count.longValue());
              }
            });
        return row;
      }
      row.put(
          "of which",
          numbers.entrySet().stream()
              .filter(each -> each.getKey().startsWith(prefix) && each.getValue() > sum / 100)
              .sorted(Map.Entry.comparingByValue(Comparator.reverseOrder()))
              .map(
                  each ->
                      String.format(
                          Locale.ROOT,
                          "%s %.0f %%",
                          each.getKey().substring(prefix.length()),
                          100 * each.getValue() / sum))
              .collect(Collectors.joining(", ")));
      return row;
    }
  }

  @Override
  public void close() {
    device.close();
    option("reset=all");
    try {
      Files.deleteIfExists(counted);
    } catch (IOException e) {
      throw new UncheckedIOException("a temporary file cannot be deleted", e);
    }
  }
}
