package dev.limbeck.kernels;

/**
 * How a kernel spreads its work over the CPU's threads.
 *
 * <p>How a kernel cuts its work must depend on shapes alone, never on {@link #threads()}: then the
 * same numbers come out of any number of threads.
 */
public interface Ranges {
  /**
   * The element of a float array that starts a cache line, if the array itself does: the JVM puts
   * 16 bytes before its elements. Under {@code -XX:ObjectAlignmentInBytes=64} every array does, and
   * vectors that start here and at multiples of 16 elements from here never lie across two lines.
   * Elsewhere nothing is lost.
   */
  int LEAD = 12;

  /** The body of a parallel loop over numbered chunks. */
  @FunctionalInterface
  interface Chunk {
    void run(int chunk);
  }

  /** The body of a parallel loop over index ranges. */
  @FunctionalInterface
  interface Range {
    void run(int from, int to);
  }

  /** True if the kernel is to take its Vector API path. */
  boolean simd();

  /** Threads that may run chunks at the same time; for sizing scratch only. */
  int threads();

  /**
   * Runs {@code body} for every chunk in [0, count), in any order, on any threads; then returns.
   */
  void chunks(int count, Chunk body);

  /**
   * Cuts [0, count) into runs of {@code grain} indices (the last may be shorter) and runs {@code
   * body} for each.
   */
  default void split(int count, int grain, Range body) {
    int runs = (count + grain - 1) / grain;
    if (runs <= 1) {
      if (count > 0) {
        Apart.run(body, 0, count);
      }
      return;
    }
    chunks(runs, i -> Apart.run(body, i * grain, Math.min(count, (i + 1) * grain)));
  }

  /**
   * The calling thread's scratch array number {@code slot} (0 to 15), with at least {@code length}
   * elements and undefined contents; valid until the thread asks for the same slot again.
   */
  float[] scratch(int slot, int length);
}
