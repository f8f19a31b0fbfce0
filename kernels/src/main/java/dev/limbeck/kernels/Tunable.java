package dev.limbeck.kernels;

/**
 * A kernel that a CUDA device can run in more than one way, of which a measurement may choose: it
 * asks {@link Launcher#way()}.
 */
public interface Tunable extends Kernel {
  /**
   * What its time depends on, beside the device: sizes, types and flags. Equal values stand for
   * equal work; {@code toString} names it in a file that other runs read.
   */
  Object shape();

  /** What it writes. */
  Buffer result();
}
