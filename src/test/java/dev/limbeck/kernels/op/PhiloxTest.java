package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/** Random123's known-answer vectors, and the series of Box and Muller. */
class PhiloxTest {
  private static String words(int c0, int c1, int c2, int c3, int k0, int k1) {
    Philox p = new Philox();
    p.block(c0, c1, c2, c3, k0, k1);
    return String.format("%08x %08x %08x %08x", p.w0, p.w1, p.w2, p.w3);
  }

  @Test
  void givesRandom123sKnownAnswers() {
    assertEquals("6627e8d5 e169c58d bc57ac4c 9b00dbd8", words(0, 0, 0, 0, 0, 0));
    assertEquals("408f276d 41c83b0e a20bc7c6 6d5451fd", words(-1, -1, -1, -1, -1, -1));
    assertEquals(
        "d16cfe09 94fdcceb 5001e420 24126ea1",
        words(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0));
  }

  @Test
  void radiusAndDirectionAgreeWithDoubleArithmetic() {
    Philox p = new Philox();
    for (int i = 0; i < 20_000; i++) {
      p.block(i, 1, 2, 3, 4, 5);
      double u = ((p.w0 & 0xFFFFFFFFL) + 0.5) * 0x1p-32;
      double angle = 2 * Math.PI * (p.w1 & 0xFFFFFFFFL) * 0x1p-32;
      // A float u next to 1 is off by 2⁻²⁵, which the logarithm's square root magnifies there.
      double radius = Math.sqrt(-2 * Math.log((float) u));
      assertEquals(radius, BoxMuller.radius(p.w0), 3e-7 * radius + 1e-9);
      assertEquals(Math.cos(angle), BoxMuller.cosine(p.w1), 1.5e-7);
      assertEquals(Math.sin(angle), BoxMuller.sine(p.w1), 1.5e-7);
    }
  }

  @Test
  void theExtremeWordsGiveFiniteNumbers() {
    for (int word : new int[] {0, 1, -1, -2, Integer.MIN_VALUE, Integer.MAX_VALUE}) {
      assertEquals(true, Float.isFinite(BoxMuller.radius(word)), "radius of " + word);
      assertEquals(1, Math.hypot(BoxMuller.cosine(word), BoxMuller.sine(word)), 2e-7);
    }
  }
}
