package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Launcher.Way;
import dev.limbeck.kernels.Tunable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Chooses how products and convolutions run by measuring each way once for each shape; {@code
 * -Dlimbeck.cuda.autotune=FILE} switches it on. The choices are kept in the file: runs that find
 * them there repeat their bits, a run that measures may choose otherwise than another.
 */
final class Tuner {
  /** Runs between two events: enough for their resolution of half a microsecond. */
  private static final int RUNS = 5;

  /** The shortest of so many measurements counts: what disturbs them only makes them longer. */
  private static final int ROUNDS = 3;

  /** The fixed rule's way stays unless another needs less than this share of its time. */
  private static final double CLEARLY = 0.97;

  private final CudaDevice device;
  private final Queue queue;
  private final TuningFile file;
  private final String circumstances;
  private final Map<String, Way> known;
  private final Map<Object, Way> chosen = new HashMap<>();

  /**
   * Reads what the file holds for these circumstances.
   *
   * @param circumstances device, driver and libraries; choices made under others do not count
   * @throws IllegalArgumentException if the file is damaged
   */
  Tuner(CudaDevice device, Queue queue, Path path, String circumstances) {
    this.device = device;
    this.queue = queue;
    this.file = new TuningFile(path);
    this.circumstances = circumstances;
    known = file.choices(circumstances);
  }

  /**
   * The fastest way for a kernel. It is measured if it is unknown, but not while a step is being
   * captured or replayed: what that meets for the first time runs by the fixed rule, as long as the
   * device is open.
   */
  Way way(Tunable kernel) {
    Object shape = kernel.shape();
    Way way = chosen.get(shape);
    if (way == null) {
      String name = kernel.name() + " " + shape;
      way = known.get(name);
      if (way == null) {
        way = device.record() != null ? Way.RULE : measure(kernel, name);
      }
      chosen.put(shape, way);
    }
    return way;
  }

  private Way measure(Tunable kernel, String name) {
    Buffer result = kernel.result();
    Map<Way, Double> times = new EnumMap<>(Way.class);
    if (result.length() == 0) {
      return Way.RULE;
    }
    // What was there comes back: a kernel may add to it, and each run here adds once more.
    Allocator.Block before = device.memoryOfItsOwn().take(result.bytes());
    try {
      long address = CudaDevice.address(result);
      queue.copy(address, before.address, result.bytes());
      List<List<String>> seen = new ArrayList<>();
      for (Way way : Way.values()) {
        List<String> launches = device.launcher().trial(kernel, way);
        if (launches.isEmpty() || seen.contains(launches)) {
          continue; // the library does not take it, or it is what another way does, too
        }
        seen.add(launches);
        double best = Double.POSITIVE_INFINITY;
        for (int round = 0; round < ROUNDS; round++) {
          double time = queue.microseconds(() -> repeat(kernel, way));
          best = Math.min(best, time / RUNS);
        }
        times.put(way, best);
      }
      queue.copy(before.address, address, result.bytes());
    } finally {
      before.release();
    }
    Way fastest = fastest(times);
    file.add(circumstances, name, fastest, times);
    return fastest;
  }

  private void repeat(Tunable kernel, Way way) {
    for (int i = 0; i < RUNS; i++) {
      device.launcher().run(kernel, way);
    }
  }

  /** The way of the least time, in doubt the fixed rule's. */
  static Way fastest(Map<Way, Double> times) {
    Way fastest = Way.RULE;
    double limit = CLEARLY * times.getOrDefault(Way.RULE, Double.POSITIVE_INFINITY);
    for (Map.Entry<Way, Double> each : times.entrySet()) {
      if (each.getValue() < limit) {
        fastest = each.getKey();
        limit = each.getValue();
      }
    }
    return fastest;
  }
}
