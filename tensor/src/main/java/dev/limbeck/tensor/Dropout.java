package dev.limbeck.tensor;

import dev.limbeck.kernels.op.Philox;

/**
 * A request for dropout: which fraction of elements, and the key of the random mask.
 *
 * <p>The mask is a pure function of key and element: a second call with the same key replays it.
 *
 * @param rate probability of an element to become 0, in [0, 1)
 */
public record Dropout(float rate, long key) {
  private static final Dropout OFF = new Dropout(0f, 0L);

  public Dropout {
    if (!(rate >= 0 && rate < 1)) {
      throw new IllegalArgumentException("dropout: the rate " + rate + " is not in [0, 1)");
    }
  }

  /** No dropout. */
  public static Dropout off() {
    return OFF;
  }

  public boolean isOff() {
    return rate == 0f;
  }

  /** The request for the layer of this number: the same rate, an own mask. */
  public Dropout layer(int number) {
    return isOff() ? this : new Dropout(rate, Philox.mix(key ^ Philox.mix(number)));
  }

  /** The same mask key at another rate. */
  public Dropout withRate(float newRate) {
    return newRate == 0f ? OFF : new Dropout(newRate, key);
  }
}
