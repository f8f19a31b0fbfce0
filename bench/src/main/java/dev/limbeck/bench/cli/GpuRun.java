package dev.limbeck.bench.cli;

import dev.limbeck.bench.DeviceBench;
import dev.limbeck.bench.Samples;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.cuda.LibraryUse;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;

/**
 * Runs the benchmarks on a GPU: our own kernels, each beside a copy in the device's memory,
 * products, convolutions and networks also with NVIDIA's libraries where they are found; then
 * training steps of the methods. What fails leaves a row that says why, and the rest is measured.
 */
final class GpuRun {
  private static final String COPY = "PeakBench.copy";

  /** What cuBLAS and cuDNN can do as well. */
  private static final List<String> IN_LIBRARIES = List.of("MatMul", "Conv2d");

  /** Which products and convolutions they are given there. */
  private static final LibraryUse AS_IN_TRAINING = LibraryUse.LARGE;

  private static final String NETWORK = "NetworkBench";
  private static final String METHOD = "MethodBench";

  /** The column that says why there are no numbers. */
  static final String FAILED = "failed";

  private final String device;
  private final JmhRun jmh;
  private final boolean smallest;
  private final Map<String, List<String>> shapes;

  /**
   * Prepares a run.
   *
   * @param device as in {@code cuda:0}
   * @param quick whether to measure for one second each
   * @param smallest whether to take one small shape of each family
   */
  GpuRun(String device, boolean quick, boolean smallest) {
    this.device = device;
    this.smallest = smallest;
    jmh = new JmhRun(1, quick);
    shapes = smallest ? Samples.smallest() : Samples.shapes();
  }

  /** What the device is. */
  String description() {
    try (Device opened = Device.of(device)) {
      return opened.description();
    }
  }

  /** One row for the copy, then one for each benchmark and shape of the families that match. */
  List<Map<String, Object>> rows(Pattern only) {
    boolean libraries = description().contains("cuBLAS;");
    List<Map<String, Object>> rows = attempt(COPY, () -> JmhRun.run(options(COPY, LibraryUse.OFF)));
    shapes.forEach(
        (family, list) -> {
          String name = family + "Bench";
          if (only.matcher(name).find()) {
            rows.addAll(
                attempt(
                    name,
                    () -> {
                      List<Map<String, Object>> own = run(name, list, LibraryUse.OFF);
                      if (libraries && IN_LIBRARIES.contains(family)) {
                        compare(own, run(name, list, LibraryUse.ALWAYS), "of NVIDIA's library");
                      }
                      return own;
                    }));
          }
        });
    if (only.matcher(NETWORK).find()) {
      rows.addAll(attempt(NETWORK, () -> networks(libraries && !smallest)));
    }
    if (only.matcher(METHOD).find()) {
      rows.addAll(attempt(METHOD, () -> JmhRun.run(methods())));
    }
    if (rows.get(0).get(JmhRun.BYTES) instanceof Double copy) {
      rows.forEach(row -> JmhRun.share(row, JmhRun.BYTES, copy, "% of copy"));
    }
    return rows;
  }

  /** The rows that something measures, or one that says why it failed. */
  static List<Map<String, Object>> attempt(
      String name, Supplier<List<Map<String, Object>>> measures) {
    try {
      return new ArrayList<>(measures.get());
    } catch (RuntimeException e) {
      Map<String, Object> row = new LinkedHashMap<>();
      row.put("name", name);
      row.put("shape", "");
      row.put(FAILED, String.valueOf(e.getMessage()));
      return new ArrayList<>(List.of(row));
    }
  }

  private List<Map<String, Object>> networks(boolean libraries) {
    List<Map<String, Object>> own = JmhRun.run(networkOptions(LibraryUse.OFF));
    if (libraries) {
      compare(own, JmhRun.run(networkOptions(AS_IN_TRAINING)), "with NVIDIA's libraries");
    }
    return own;
  }

  private ChainedOptionsBuilder networkOptions(LibraryUse libraries) {
    ChainedOptionsBuilder options = options(NETWORK, libraries);
    return smallest ? options.param("network", "mnist").param("batch", "1") : options;
  }

  private ChainedOptionsBuilder methods() {
    ChainedOptionsBuilder options = options(METHOD, smallest ? LibraryUse.OFF : AS_IN_TRAINING);
    return smallest ? options.param("method", "edm").param("batch", "1") : options;
  }

  /** Both lists have the same benchmarks and shapes in the same order. */
  static void compare(
      List<Map<String, Object>> own, List<Map<String, Object>> theirs, String whose) {
    for (int i = 0; i < own.size(); i++) {
      Map<String, Object> row = own.get(i);
      Map<String, Object> other = theirs.get(i);
      if (!row.get("name").equals(other.get("name"))
          || !row.get("shape").equals(other.get("shape"))) {
        throw new IllegalStateException(row + " stands beside " + other);
      }
      if (row.get("ms") instanceof Double mine && other.get("ms") instanceof Double library) {
        row.put("ms " + whose, library);
        row.put("% " + whose, Math.round(1000 * library / mine) / 10.0);
      }
    }
  }

  private List<Map<String, Object>> run(String include, List<String> of, LibraryUse libraries) {
    return JmhRun.run(options(include, libraries).param("shape", of.toArray(new String[0])));
  }

  /** What is appended here replaces what the benchmarks' annotation appends. */
  private ChainedOptionsBuilder options(String include, LibraryUse libraries) {
    return jmh.options(JmhRun.PACKAGE + include)
        .jvmArgsAppend(
            "--add-modules=jdk.incubator.vector",
            "-D" + DeviceBench.DEVICE + "=" + device,
            "-Dlimbeck.cuda.libraries=" + libraries);
  }
}
