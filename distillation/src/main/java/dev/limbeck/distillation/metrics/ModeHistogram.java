package dev.limbeck.distillation.metrics;

/**
 * How often each class occurs.
 *
 * @param counts by class
 */
@SuppressWarnings("ArrayRecordComponent") // Histograms are compared by divergence only.
public record ModeHistogram(int[] counts) {
  /** Counts labels or predictions. */
  public static ModeHistogram of(int[] labels, int classes) {
    int[] counts = new int[classes];
    for (int label : labels) {
      counts[label]++;
    }
    return new ModeHistogram(counts);
  }

  /** The share of one class. */
  public double share(int label) {
    return total() == 0 ? 0 : (double) counts[label] / total();
  }

  private int total() {
    int total = 0;
    for (int count : counts) {
      total += count;
    }
    return total;
  }

  /** Number of classes that do not occur. */
  public int missing() {
    int missing = 0;
    for (int count : counts) {
      missing += count == 0 ? 1 : 0;
    }
    return missing;
  }

  /**
   * {@code Σ p ln(p / q)} of these shares p against others q.
   *
   * @return infinite if a class occurs here that does not occur there
   * @unit nats
   */
  public double divergenceFrom(ModeHistogram other) {
    if (other.counts.length != counts.length) {
      throw new IllegalArgumentException(
          "mode histogram: " + counts.length + " and " + other.counts.length + " classes");
    }
    double sum = 0;
    for (int i = 0; i < counts.length; i++) {
      if (counts[i] > 0) {
        sum += share(i) * Math.log(share(i) / other.share(i));
      }
    }
    return Math.max(0, sum);
  }
}
