package dev.limbeck.bench;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/** What the benchmarks of whole jobs share: they count images. */
public abstract class JobBench extends DeviceBench {
  /** Work done, which JMH divides by the time. */
  @AuxCounters
  @State(Scope.Thread)
  public static class Images {
    /** Images computed. */
    public double images;
  }
}
