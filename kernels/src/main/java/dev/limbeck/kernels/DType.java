package dev.limbeck.kernels;

/** The element type of a {@link Buffer}. */
public enum DType {
  /** IEEE-754 binary32. */
  F32(4),
  /** The upper 16 bits of a binary32, a storage format. */
  BF16(2),
  /** Two's complement 32-bit integers: class labels, indices. */
  I32(4);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }
}
