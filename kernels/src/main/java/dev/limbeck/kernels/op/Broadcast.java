package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Launcher;
import java.util.Arrays;

/**
 * How an operand lies under a result of up to four axes: sizes of the result, and the operand's
 * stride along each, 0 where it is repeated.
 *
 * <p>Neighbouring axes that the operand's partner allows to merge should have been merged before;
 * the last axis has stride 1 or 0.
 */
public record Broadcast(int[] sizes, int[] strides) {
  /** Axes of every broadcast; shorter shapes are padded with ones in front. */
  public static final int AXES = 4;

  /** Elements per run of a kernel's inner loop: operands are expanded into scratch of this size. */
  static final int TILE = 1024;

  public Broadcast {
    if (sizes.length != AXES || strides.length != AXES) {
      throw new IllegalArgumentException("broadcast: four sizes and strides are needed");
    }
  }

  /** Number of elements of the result. */
  int size() {
    return sizes[0] * sizes[1] * sizes[2] * sizes[3];
  }

  /** True if the operand has every element of the result, in the same order. */
  boolean isFull() {
    int expected = 1;
    for (int i = AXES - 1; i >= 0; i--) {
      if (sizes[i] != 1 && strides[i] != expected) {
        return false;
      }
      expected *= sizes[i];
    }
    return true;
  }

  /** Elements per tile: whole rows of the last axis where several fit. */
  int tile() {
    int row = sizes[AXES - 1];
    return row > 0 && row <= TILE ? TILE / row * row : TILE;
  }

  /** True if every full tile that starts at a multiple of {@link #tile} looks the same. */
  boolean isPeriodic() {
    boolean lastOnly = strides[0] == 0 && strides[1] == 0 && strides[2] == 0;
    return lastOnly && (strides[3] == 0 || sizes[3] <= TILE);
  }

  /** Largest index into the operand, plus one. */
  int extent() {
    int last = 0;
    for (int i = 0; i < AXES; i++) {
      last += (sizes[i] - 1) * strides[i];
    }
    return last + 1;
  }

  /** Writes the operand's values at results {@code [from, to)} to the front of {@code tile}. */
  void expand(float[] x, int xo, int from, int to, float[] tile) {
    int row = sizes[3];
    int at = from;
    while (at < to) {
      int column = at % row;
      int outer = at / row;
      int source =
          xo
              + outer % sizes[2] * strides[2]
              + outer / sizes[2] % sizes[1] * strides[1]
              + outer / sizes[2] / sizes[1] * strides[0];
      int count = Math.min(row - column, to - at);
      int target = at - from;
      if (strides[3] == 0) {
        Arrays.fill(tile, target, target + count, x[source]);
      } else if (count < 16) {
        for (int i = 0; i < count; i++) {
          tile[target + i] = x[source + column + i];
        }
      } else {
        System.arraycopy(x, source + column, tile, target, count);
      }
      at += count;
    }
  }

  /** True if four neighbours along the last axis, from a multiple of four on, are one access. */
  private boolean hasQuads() {
    for (int i = 0; i < AXES - 1; i++) {
      if (strides[AXES - 1] != 0 && sizes[i] != 1 && strides[i] % 4 != 0) {
        return false;
      }
    }
    return true;
  }

  /**
   * The arguments of a broadcast function of {@code binary.cu} before its pointers; answers for how
   * many threads there is work.
   */
  static int arguments(Launcher cuda, int n, Broadcast... operands) {
    int[] sizes = operands[0].sizes;
    int row = sizes[AXES - 1];
    boolean quads = row % 4 == 0 || row == n;
    for (Broadcast each : operands) {
      quads &= each.hasQuads();
    }
    cuda.i32(n).i32(quads ? 1 : 0);
    for (int i = AXES - 1; i > 0; i--) {
      // An empty result has axes of size 0, and no element that would be looked for.
      Divisor.of(Math.max(1, sizes[i])).to(cuda);
    }
    for (Broadcast each : operands) {
      for (int stride : each.strides) {
        cuda.i32(stride);
      }
    }
    return quads ? (n + 3) / 4 : n;
  }
}
