package dev.limbeck.kernels.op;

/**
 * How many threads of a CUDA block share a row: the {@code Team} of {@code device.cuh}. It follows
 * from the row's length alone, and with it the order of additions.
 *
 * @param size 1, 2, 4, 8, 16 or 32 lanes of a warp, or all threads of the block
 * @param threads of a block
 */
record Team(int size, int threads) {
  /** Elements of a row that a thread holds in registers. */
  static final int HELD = 16;

  private static final int WARP = 32;

  /** Threads of a block in which several warps have a row each, or parts of it. */
  private static final int SMALL = 128;

  /**
   * Four elements a thread while a warp holds the row, then as many as a thread holds.
   *
   * @param most the largest block, a power of two from 128 on
   */
  static Team of(int count, int most) {
    if (count <= WARP * HELD) {
      return new Team(Math.min(WARP, powerOfTwo((count + 3) / 4)), SMALL);
    }
    int size = Math.min(most, powerOfTwo((count + HELD - 1) / HELD));
    return new Team(size, size);
  }

  /** Lanes of one warp. */
  static Team ofLanes(int count) {
    return new Team(Math.min(WARP, powerOfTwo((count + 3) / 4)), SMALL);
  }

  /** The smallest power of two that is not smaller than n, at least 1. */
  private static int powerOfTwo(int n) {
    return n <= 1 ? 1 : Integer.highestOneBit(n - 1) << 1;
  }

  /** Rows that a block has at a time. */
  int perBlock() {
    return threads / size;
  }

  int blocks(int rows) {
    return (rows + perBlock() - 1) / perBlock();
  }
}
