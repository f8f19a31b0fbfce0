package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Launcher;

/**
 * A number that a CUDA kernel divides indices by, with the multiplier and the shift that replace
 * the division: ⌊n/d⌋ = (⌊n·multiplier/2³²⌋ + n) ≫ shift for 0 ≤ n < 2³¹.
 *
 * @paper Granlund and Montgomery 1994, "Division by invariant integers using multiplication", §4
 */
record Divisor(int value, int multiplier, int shift) {
  static Divisor of(int value) {
    if (value < 1) {
      throw new IllegalArgumentException("divisor: " + value + " is not positive");
    }
    int shift = 32 - Integer.numberOfLeadingZeros(value - 1);
    long multiplier = ((1L << 32) * ((1L << shift) - value)) / value + 1;
    return new Divisor(value, (int) multiplier, shift);
  }

  /** The next three arguments: value, multiplier, shift. */
  Launcher to(Launcher cuda) {
    return cuda.i32(value).i32(multiplier).i32(shift);
  }
}
