package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Launcher;

/**
 * How a CUDA device cuts a group normalisation ({@code group_norm.cu}): tiles of {@code units}
 * units of channels, and runs of pixels. It follows from the layout alone.
 *
 * @param vector channels of a unit, 4 or 1
 * @param run pixels of a block, one of {@code runs}; 0 if it takes all
 * @param threads of a block; 0 if whole groups do not fit into one
 */
record GroupNormTiles(int vector, int units, int tiles, int run, int runs, int threads) {
  /** Above it, a thread would have too few registers for what it holds. */
  private static final int MOST_THREADS = 512;

  /** Threads of a block of pixels. */
  private static final int THREADS = 256;

  private static final int WARP = 32;

  /** Elements that a thread holds while more threads are to be had. */
  private static final int FEW = 16;

  /**
   * Channels from which on neighbouring threads read whole sectors of 32 bytes, or lines of 128.
   */
  private static final int SECTOR = 8;

  private static final int LINE = 32;

  /** Elements up to which a wider tile is better than more blocks. */
  private static final int SMALL = 4096;

  /** Blocks beyond which runs of pixels need not be shorter, and the most runs to add up. */
  private static final int BLOCKS = 2048;

  private static final int MOST_RUNS = 64;

  private static int vector(GroupNorm.Layout at) {
    return at.channels() % 4 == 0 ? 4 : 1;
  }

  /**
   * One block for all pixels of whole groups.
   *
   * @param held elements that a thread holds in registers
   */
  static GroupNormTiles whole(GroupNorm.Layout at, int held) {
    int vector = vector(at);
    // The smallest tile of whole groups and whole units.
    int step = at.perGroup();
    while (step % vector != 0) {
      step += at.perGroup();
    }
    int tile = Math.min(at.channels(), (SECTOR + step - 1) / step * step);
    while (2 * tile <= Math.min(LINE, at.channels()) && 2L * tile * at.pixels() <= SMALL) {
      tile *= 2;
    }
    int units = tile / vector;
    int slots = held / vector;
    int threads = 0;
    if (units <= MOST_THREADS && MOST_THREADS / units * (long) slots >= at.pixels()) {
      int each = Math.min(slots, FEW / vector);
      int lanes = (at.pixels() + each - 1) / each;
      long wanted = Math.max(2L * WARP, (long) units * lanes);
      threads = (int) Math.min(MOST_THREADS, (wanted + WARP - 1) / WARP * WARP);
    }
    return new GroupNormTiles(vector, units, tiles(at, tile), 0, 1, threads);
  }

  /** Blocks of pixels. */
  static GroupNormTiles blocks(GroupNorm.Layout at) {
    int vector = vector(at);
    int all = at.channels() / vector;
    int columns = (all + WARP - 1) / WARP;
    int units = (all + columns - 1) / columns;
    int tiles = tiles(at, units * vector);
    int lanes = THREADS / units;
    long others = (long) at.samples() * tiles;
    int wanted = (int) Math.max(1, Math.min(MOST_RUNS, BLOCKS / Math.max(1, others)));
    int run = Math.max(8 * lanes, (at.pixels() + wanted - 1) / wanted);
    return new GroupNormTiles(
        vector, units, tiles, run, Math.max(1, (at.pixels() + run - 1) / run), THREADS);
  }

  private static int tiles(GroupNorm.Layout at, int tile) {
    return (at.channels() + tile - 1) / tile;
  }

  boolean fits() {
    return threads > 0;
  }

  /** Passes the arguments that say how the launch is cut. */
  Launcher pass(Launcher named, GroupNorm.Layout at) {
    named.i32(vector == 4 ? 1 : 0).i32(units).i32(tiles);
    if (run > 0) {
      named.i32(run).i32(runs);
    }
    return named.i32(at.pixels()).i32(at.channels()).i32(at.perGroup());
  }

  /** Bytes in which a block adds two sums per channel. */
  int sumBytes() {
    return 2 * vector * threads * Float.BYTES;
  }

  /** The same, and four numbers per channel of the tile. */
  int wholeBytes() {
    return sumBytes() + 4 * units * vector * Float.BYTES;
  }

  int blocks(int samples) {
    return samples * runs * tiles;
  }
}
