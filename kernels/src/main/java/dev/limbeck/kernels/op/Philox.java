package dev.limbeck.kernels.op;

/**
 * The counter-based random generator Philox 4×32-10: a bijection of 128-bit counters for each
 * 64-bit key.
 *
 * <p>Each of ten rounds maps (c0, c1, c2, c3) to (hi(M1·c2) ⊕ c1 ⊕ k0, lo(M1·c2), hi(M0·c0) ⊕ c3 ⊕
 * k1, lo(M0·c0)); between rounds the key moves on by the Weyl constants (W0, W1).
 *
 * @paper Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"
 */
public final class Philox {
  private static final long M0 = 0xD2511F53L;
  private static final long M1 = 0xCD9E8D57L;
  private static final int W0 = 0x9E3779B9;
  private static final int W1 = 0xBB67AE85;
  private static final long LOW = 0xFFFFFFFFL;
  private static final int ROUNDS = 10;

  /** The four words of the last {@link #block}. */
  public int w0;

  public int w1;
  public int w2;
  public int w3;

  /** Computes the words of one counter under one key. */
  public void block(int c0, int c1, int c2, int c3, int key0, int key1) {
    int k0 = key0;
    int k1 = key1;
    for (int round = 0; round < ROUNDS; round++) {
      long p0 = M0 * (c0 & LOW);
      long p1 = M1 * (c2 & LOW);
      c0 = (int) (p1 >>> 32) ^ c1 ^ k0;
      c2 = (int) (p0 >>> 32) ^ c3 ^ k1;
      c1 = (int) p1;
      c3 = (int) p0;
      k0 += W0;
      k1 += W1;
    }
    w0 = c0;
    w1 = c1;
    w2 = c2;
    w3 = c3;
  }

  /** Word {@code i} (0 to 3) of the last block. */
  public int word(int i) {
    return switch (i) {
      case 0 -> w0;
      case 1 -> w1;
      case 2 -> w2;
      default -> w3;
    };
  }

  /** A 64-bit hash (SplitMix64's finaliser), with which keys of derived streams are made. */
  public static long mix(long z) {
    z += 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
