package dev.limbeck.bench.peers;

/** How far two sides' results are apart. */
final class Differences {
  private Differences() {}

  static double largest(float[] values) {
    double largest = 0;
    for (float value : values) {
      largest = Math.max(largest, Math.abs(value));
    }
    return largest;
  }

  /** The largest difference, relative to the largest value, or to the floor where that is more. */
  static double relative(float[] ours, float[] theirs, double floor) {
    if (ours.length != theirs.length) {
      throw new IllegalStateException(ours.length + " numbers against " + theirs.length);
    }
    double most = 0;
    for (int i = 0; i < ours.length; i++) {
      most = Math.max(most, Math.abs((double) ours[i] - theirs[i]));
    }
    return most / Math.max(floor, Math.max(1e-30, largest(theirs)));
  }
}
