package dev.limbeck.distillation;

import java.nio.file.Path;

/**
 * Runs methods on data into a folder, with checkpoints and curves.
 *
 * @param data identifies the data: a checkpoint of other data is refused
 */
record Training(
    Path out, Preset preset, long seed, String data, Batches batches, TrainJob.Watcher watcher) {
  private static final long CHECKPOINT_EVERY = 200;

  /** Steps of the fast networks for points between two checkpoints: seconds too. */
  private static final long CHECKPOINT_POINTS_EVERY = 2000;

  /**
   * Runs a method, from its last checkpoint if there is one.
   *
   * @param origin what the method starts from: a checkpoint of another origin is refused
   * @return what its steps took, in seconds
   */
  double train(String part, Distiller distiller, String origin, RunLog log) {
    Path checkpoint = out.resolve("checkpoint-" + part + ".safetensors");
    String run = "preset " + preset.name() + " steps " + distiller.steps() + " seed " + seed;
    // The levels of a sampler are long to read, and tell settings apart that the steps do not.
    run += " sampler " + Integer.toHexString(distiller.sampler().text().hashCode());
    String fingerprint = run + " data " + data + " from " + origin;
    Trainer.Listener listener =
        (unused, step, losses) -> {
          log.losses(part, step, losses);
          float last = 0;
          for (float loss : losses.values()) {
            last = loss;
          }
          watcher.progress(step + 1, last, batches.size());
        };
    long every = preset.isPoints() ? CHECKPOINT_POINTS_EVERY : CHECKPOINT_EVERY;
    Trainer.Options kept = new Trainer.Options(checkpoint, every, listener);
    distiller.keepIn(out);
    Trainer trainer = new Trainer(distiller, batches, fingerprint, kept);
    long first = trainer.resume();
    watcher.begins(part, first, distiller.steps());
    trainer.run(first, distiller.steps());
    watcher.ends(distiller.steps() + " steps");
    return trainer.seconds();
  }
}
