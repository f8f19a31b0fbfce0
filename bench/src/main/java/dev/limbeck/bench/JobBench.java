package dev.limbeck.bench;

import dev.limbeck.kernels.Replay;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/**
 * What the benchmarks of whole jobs share: they count images, and a GPU runs their steps from a
 * record, as it does in training and sampling.
 */
public abstract class JobBench extends DeviceBench {
  private Replay replay;

  /** Work done, which JMH divides by the time. */
  @AuxCounters
  @State(Scope.Thread)
  public static class Images {
    /** Images computed. */
    public double images;
  }

  /** Runs a step that is the same each time, and waits for it. */
  final void run(Runnable step) {
    if (replay == null) {
      replay = device().replay();
    }
    replay.run(step);
    device().synchronize();
  }

  @Override
  protected final void end() {
    if (replay != null) {
      replay.close();
      replay = null;
    }
  }
}
