package dev.limbeck.bench.peers;

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

/** Times Limbeck and a peer by turns in one process. */
final class Turns {
  /** Results further apart than this, relative to the largest value, are no comparison. */
  private static final double TOLERANCE = 1e-3;

  private static final double WARM_UP_SECONDS = 3;
  private static final double TURN_SECONDS = 0.25;

  /** Threads of either side wait busily for a while before they sleep. */
  private static final long SETTLE_MILLIS = 300;

  private static final int PAIRS = 9;

  private final String peer;
  private final int threads;
  private final Consumer<String> progress;

  Turns(String peer, int threads, Consumer<String> progress) {
    this.peer = peer;
    this.threads = threads;
    this.progress = progress;
  }

  /** One row for each case whose name has a match of the expression. */
  List<Map<String, Object>> rows(Pattern only, Map<String, Function<Device, PeerCase>> cases) {
    List<Map<String, Object>> rows = new ArrayList<>();
    cases.forEach(
        (name, open) -> {
          if (only.matcher(name).find()) {
            try (CpuDevice device = CpuDevice.open(true, threads);
                PeerCase work = open.apply(device)) {
              rows.add(row(name, work));
            }
          }
        });
    return rows;
  }

  /** Checks that both sides compute the same, warms both up, and times them by turns. */
  private Map<String, Object> row(String name, PeerCase work) {
    double difference = work.difference();
    if (!(difference < TOLERANCE)) {
      throw new IllegalStateException(
          name + ": the two sides' results differ by " + difference + " of the largest value");
    }
    seconds(work::limbeck, WARM_UP_SECONDS);
    int layout = best(work);
    double[] ours = new double[PAIRS];
    double[] theirs = new double[PAIRS];
    double[] speedups = new double[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
      ours[i] = turn(work::limbeck);
      theirs[i] = turn(() -> work.peer(layout));
      speedups[i] = theirs[i] / ours[i];
    }
    Arrays.sort(ours);
    Arrays.sort(theirs);
    Arrays.sort(speedups);
    Map<String, Object> row = new LinkedHashMap<>();
    row.put("name", name);
    row.put("threads", threads);
    row.put("jdk", System.getProperty("java.version"));
    row.put("limbeck_ms", rounded(1e3 * ours[PAIRS / 2]));
    row.put("peer", peer);
    row.put("peer_ms", rounded(1e3 * theirs[PAIRS / 2]));
    row.put("speedup", rounded(speedups[PAIRS / 2]));
    row.put("speedup_min", rounded(speedups[0]));
    row.put("speedup_max", rounded(speedups[PAIRS - 1]));
    row.put("peer_layout", work.layouts().size() > 1 ? work.layouts().get(layout) : "");
    row.put("difference", difference);
    progress.accept(
        String.format(
            Locale.ROOT,
            "%-34s %10.3f ms, %s %10.3f ms: %.2f× (%.2f to %.2f)",
            name,
            1e3 * ours[PAIRS / 2],
            peer,
            1e3 * theirs[PAIRS / 2],
            speedups[PAIRS / 2],
            speedups[0],
            speedups[PAIRS - 1]));
    return row;
  }

  private static double rounded(double value) {
    return Math.round(value * 1e4) / 1e4;
  }

  private static int best(PeerCase work) {
    int best = 0;
    double least = Double.POSITIVE_INFINITY;
    for (int i = 0; i < work.layouts().size(); i++) {
      int layout = i;
      seconds(() -> work.peer(layout), WARM_UP_SECONDS / 2);
      double time = turn(() -> work.peer(layout));
      if (time < least) {
        least = time;
        best = layout;
      }
    }
    return best;
  }

  /**
   * Mean seconds of a run, with the other side at rest and the caches full of this one's data; a
   * run longer than a turn fills them itself, and counts alone.
   */
  private static double turn(Runnable work) {
    try {
      Thread.sleep(SETTLE_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while the threads came to rest", e);
    }
    double first = seconds(work, 0);
    return first > TURN_SECONDS ? first : seconds(work, TURN_SECONDS);
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
