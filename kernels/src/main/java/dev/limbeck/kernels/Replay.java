package dev.limbeck.kernels;

/**
 * Runs one step many times; on a GPU the work of the first runs is recorded, and later runs start
 * the whole record at once.
 *
 * <p>Every run executes the step's Java code. From the third run on its launches are not started
 * one by one but compared with the record: a step that launches other kernels, with other shapes or
 * other plain scalars, is refused before anything has run. What it uploads, and what kernels pass
 * through {@link Launcher#varying}, may differ from run to run.
 *
 * <p>The step must not read results; they are read between runs. Buffers that it makes and keeps
 * are closed before the next run, because that one writes to the same memory.
 */
public interface Replay extends AutoCloseable {
  /**
   * Runs the step.
   *
   * @throws IllegalStateException if it differs from the recorded one, or reads results
   */
  void run(Runnable step);

  /** Gives back the record and the memory of the step's buffers. */
  @Override
  void close();
}
