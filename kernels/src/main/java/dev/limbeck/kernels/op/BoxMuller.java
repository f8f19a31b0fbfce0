package dev.limbeck.kernels.op;

/**
 * Radius and direction of a normal pair from two random words, by series that give the same bits on
 * every machine.
 *
 * <p>The series are those of ln m = 2 artanh((m−1)/(m+1)), sin and cos about 0, cut where the next
 * term is below 2⁻²⁵ of the result.
 *
 * @paper Box and Muller 1958, "A note on the generation of random normal deviates"
 */
final class BoxMuller {
  private static final float LN2_HIGH = 0.693359375f;
  private static final float LN2_LOW = (float) (0.69314718055994530942 - 0.693359375);
  private static final float HALF_PI_PER_STEP = (float) (Math.PI / 2 * 0x1p-30);

  private BoxMuller() {}

  /** √(−2 ln u) for u = (word + ½)·2⁻³². */
  static float radius(int word) {
    float u = (float) ((word & 0xFFFFFFFFL) + 0.5) * 0x1p-32f;
    return (float) Math.sqrt(-2f * log(u));
  }

  /** ln x for normal positive x. */
  static float log(float x) {
    int bits = Float.floatToRawIntBits(x);
    // Mantissas from √½ to √2, so that the series converges fast on both sides of 1.
    int shifted = bits - 0x3F3504F3;
    int exponent = shifted >> 23;
    float m = Float.intBitsToFloat(bits - (exponent << 23));
    float s = (m - 1f) / (m + 1f);
    float z = s * s;
    float p = Math.fma(z, 1f / 9, 1f / 7);
    p = Math.fma(z, p, 1f / 5);
    p = Math.fma(z, p, 1f / 3);
    float tail = Math.fma(exponent, LN2_LOW, 2f * s * z * p);
    return Math.fma(exponent, LN2_HIGH, 2f * s + tail);
  }

  /** cos 2πu for u = word·2⁻³². */
  static float cosine(int word) {
    return turn(word, 1);
  }

  /** sin 2πu for u = word·2⁻³². */
  static float sine(int word) {
    return turn(word, 0);
  }

  /** sin(2πu + ahead·π/2), without branches: the words are random, nothing predicts them. */
  private static float turn(int word, int ahead) {
    // The nearest quarter turn, and the signed rest of at most an eighth.
    int nearest = (word + (1 << 29)) >>> 30;
    float angle = (word - (nearest << 30)) * HALF_PI_PER_STEP;
    float z = angle * angle;
    int quarter = nearest + ahead;
    int odd = -(quarter & 1);
    int sine = Float.floatToRawIntBits(sineSeries(angle, z));
    int cosine = Float.floatToRawIntBits(cosineSeries(z));
    int bits = (sine & ~odd) | (cosine & odd);
    return Float.intBitsToFloat(bits ^ ((quarter & 2) << 30));
  }

  private static float sineSeries(float angle, float z) {
    float p = Math.fma(z, 1f / 362880, -1f / 5040);
    p = Math.fma(z, p, 1f / 120);
    p = Math.fma(z, p, -1f / 6);
    return Math.fma(angle * z, p, angle);
  }

  private static float cosineSeries(float z) {
    float p = Math.fma(z, 1f / 40320, -1f / 720);
    p = Math.fma(z, p, 1f / 24);
    p = Math.fma(z, p, -0.5f);
    return Math.fma(z, p, 1f);
  }
}
