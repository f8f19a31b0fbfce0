package dev.limbeck.distillation;

import dev.limbeck.nn.Params;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Runs a {@link Distiller} to its end: each step draws a batch and trains the objectives that are
 * due, one after the other.
 *
 * <p>The host does not wait for the device in a step. Losses and gradients that are not finite stop
 * the run when losses are read; parameters do not change from such a step on.
 */
public final class Trainer {
  /** Rarely enough to keep a GPU busy, often enough to be watched. */
  private static final int READ_EVERY = 20;

  /**
   * How a run is watched and kept.
   *
   * @param checkpoint where the run's state is written and continued from, or null
   * @param checkpointEvery steps between two checkpoints
   * @param readEvery steps after which losses are read from the device, and the listener is told of
   *     all of them; 0 for each step on the CPU and every {@value #READ_EVERY} steps on a GPU,
   *     which would have to be waited for
   */
  public record Options(Path checkpoint, long checkpointEvery, int readEvery, Listener listener) {
    /** Losses are read as is best for the device. */
    public Options(Path checkpoint, long checkpointEvery, Listener listener) {
      this(checkpoint, checkpointEvery, 0, listener);
    }

    /** No checkpoints. */
    public static Options watchedBy(Listener listener) {
      return new Options(null, Long.MAX_VALUE, listener);
    }
  }

  /** Told of every step: progress bars, curves. */
  @FunctionalInterface
  public interface Listener {
    /**
     * Called once for each step, after it or after some more.
     *
     * @param losses by objective; only those that were due
     */
    void stepped(Distiller distiller, long step, Map<String, Float> losses);
  }

  private final Distiller distiller;
  private final Batches batches;
  private final Options options;
  private final String fingerprint;
  private double seconds;

  /**
   * Prepares a run.
   *
   * @param fingerprint what identifies the run (seed, data): a checkpoint of another is refused,
   *     and so is one of another batch size or precision
   */
  public Trainer(Distiller distiller, Batches batches, String fingerprint, Options options) {
    this.distiller = distiller;
    this.batches = batches;
    this.options = options;
    this.fingerprint =
        distiller.name()
            + " batch "
            + batches.size()
            + " precision "
            + precisions(distiller)
            + " "
            + fingerprint;
  }

  /** What its networks compute in, as in {@code f32} or {@code f32+bf16}. */
  private static String precisions(Distiller distiller) {
    return distiller.networks().values().stream()
        .map(params -> params.precision().name().toLowerCase(Locale.ROOT))
        .distinct()
        .sorted(Comparator.reverseOrder())
        .collect(Collectors.joining("+"));
  }

  /** Trains to the last step, from the checkpoint if there is one. */
  public void run() {
    run(resume(), distiller.steps());
  }

  /** Takes the state from the checkpoint, if there is one; the number of steps done. */
  public long resume() {
    if (options.checkpoint == null || !Files.exists(options.checkpoint)) {
      return 0;
    }
    Checkpoint.Progress progress = Checkpoint.restore(options.checkpoint, distiller, fingerprint);
    seconds = progress.seconds();
    return progress.steps();
  }

  /** What the steps so far took, in seconds, with those of earlier runs that were resumed. */
  public double seconds() {
    return seconds;
  }

  /** Trains the steps [from, to). */
  public void run(long from, long to) {
    double before = seconds;
    long start = System.nanoTime();
    try (TrainingSteps steps = new TrainingSteps(distiller, batches, interval())) {
      for (long step = from; step < to; step++) {
        steps.run(step);
        long done = step + 1;
        boolean keeps =
            options.checkpoint != null
                && (done % options.checkpointEvery == 0 || done == distiller.steps());
        if (keeps || done == to || steps.areFull()) {
          steps.read((losses, at) -> options.listener.stepped(distiller, at, losses));
          seconds = before + (System.nanoTime() - start) / 1e9;
        }
        if (keeps) {
          save(done);
        }
      }
    }
  }

  /** Writes the checkpoint of a run of which so many steps are done. */
  public void save(long done) {
    Checkpoint.Progress progress = new Checkpoint.Progress(done, seconds);
    Checkpoint.write(options.checkpoint, distiller, progress, fingerprint);
  }

  private int interval() {
    if (options.readEvery > 0) {
      return options.readEvery;
    }
    Params any = distiller.networks().values().iterator().next();
    return any.device().isAsynchronous() ? READ_EVERY : 1;
  }
}
