package dev.limbeck.bench.peers;

import dev.limbeck.bench.PeerSuite;
import dev.limbeck.bench.peers.Torch.Layout;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.cpu.CpuDevice;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.bytedeco.openblas.global.openblas_full;
import org.bytedeco.pytorch.global.torch;

/** Times Limbeck and libtorch by turns in one process. */
public final class Peers implements PeerSuite {
  /** Results further apart than this, relative to the largest value, are no comparison. */
  private static final double TOLERANCE = 1e-3;

  private static final double WARM_UP_SECONDS = 3;
  private static final double TURN_SECONDS = 0.25;

  /** Threads of either side wait busily for a while before they sleep. */
  private static final long SETTLE_MILLIS = 300;

  private static final int PAIRS = 9;

  @Override
  public List<String> names() {
    return List.copyOf(PeerCases.all().keySet());
  }

  @Override
  public List<Map<String, Object>> run(Pattern only, int threads, Consumer<String> progress) {
    torch.set_num_threads(threads);
    // Matrix products go to OpenBLAS, which has threads of its own.
    openblas_full.openblas_set_num_threads(threads);
    progress.accept(torch.show_config().getString());
    List<Map<String, Object>> results = new ArrayList<>();
    for (Map.Entry<String, Function<Device, PeerCase>> entry : PeerCases.all().entrySet()) {
      if (!only.matcher(entry.getKey()).find()) {
        continue;
      }
      try (CpuDevice device = CpuDevice.open(true, threads);
          PeerCase work = entry.getValue().apply(device)) {
        results.add(time(entry.getKey(), work, threads, progress));
      }
    }
    return results;
  }

  /** Checks that both sides compute the same, warms both up, and times them by turns. */
  private static Map<String, Object> time(
      String name, PeerCase work, int threads, Consumer<String> progress) {
    double difference = work.difference();
    if (!(difference < TOLERANCE)) {
      throw new IllegalStateException(
          name + ": the two sides' results differ by " + difference + " of the largest value");
    }
    seconds(work::limbeck, WARM_UP_SECONDS);
    Layout layout = better(work);
    double[] ours = new double[PAIRS];
    double[] theirs = new double[PAIRS];
    double[] speedups = new double[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
      ours[i] = turn(work::limbeck);
      theirs[i] = turn(() -> work.torch(layout));
      speedups[i] = theirs[i] / ours[i];
    }
    Arrays.sort(ours);
    Arrays.sort(theirs);
    Arrays.sort(speedups);
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("name", name);
    result.put("threads", threads);
    result.put("jdk", System.getProperty("java.version"));
    result.put("limbeck_ms", rounded(1e3 * ours[PAIRS / 2]));
    result.put("peer", "libtorch 2.10");
    result.put("peer_ms", rounded(1e3 * theirs[PAIRS / 2]));
    result.put("speedup", rounded(speedups[PAIRS / 2]));
    result.put("speedup_min", rounded(speedups[0]));
    result.put("speedup_max", rounded(speedups[PAIRS - 1]));
    result.put("peer_waits", System.getenv().getOrDefault("OMP_WAIT_POLICY", "default"));
    result.put("peer_layout", work.hasLayout() ? layout.name().toLowerCase(Locale.ROOT) : "");
    result.put("difference", difference);
    progress.accept(
        String.format(
            "%-34s %10.3f ms, libtorch %10.3f ms: %.2f× (%.2f to %.2f)",
            name,
            1e3 * ours[PAIRS / 2],
            1e3 * theirs[PAIRS / 2],
            speedups[PAIRS / 2],
            speedups[0],
            speedups[PAIRS - 1]));
    return result;
  }

  private static double rounded(double value) {
    return Math.round(value * 1e4) / 1e4;
  }

  private static Layout better(PeerCase work) {
    Layout best = Layout.NCHW;
    double least = Double.POSITIVE_INFINITY;
    for (Layout layout : Layout.values()) {
      seconds(() -> work.torch(layout), WARM_UP_SECONDS / 2);
      double time = turn(() -> work.torch(layout));
      if (time < least) {
        least = time;
        best = layout;
      }
    }
    return best;
  }

  /** Mean seconds of a run, with the other side at rest and the caches full of this one's data. */
  private static double turn(Runnable work) {
    try {
      Thread.sleep(SETTLE_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while the threads came to rest", e);
    }
    work.run();
    return seconds(work, TURN_SECONDS);
  }

  /** Mean seconds of a run, over at least so long. */
  private static double seconds(Runnable work, double atLeast) {
    long start = System.nanoTime();
    long runs = 0;
    double elapsed;
    do {
      work.run();
      runs++;
      elapsed = (System.nanoTime() - start) / 1e9;
    } while (elapsed < atLeast);
    return elapsed / runs;
  }
}
