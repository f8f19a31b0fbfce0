package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Fills rows with random numbers, each a pure function of (key, draw, row, position in the row).
 *
 * <p>Block b of row r takes its four words from the {@link Philox} counter (b, r, draw low, draw
 * high). Normal numbers are made in pairs by Box and Muller: √(−2 ln u₁)·(cos 2πu₂, sin 2πu₂).
 */
@Definition(
    formula = "y from Philox4x32-10: normal, uniform or integers",
    cost = "40 integer operations per four numbers, 4 bytes each")
public record RandomFill(
    Kind kind, long key, long draw, long firstRow, int rowSize, int bound, Buffer y)
    implements Kernel {
  /** What distribution is drawn from. */
  public enum Kind {
    /** Mean 0, variance 1. */
    NORMAL,
    /** Multiples of 2⁻²⁴ in [0, 1). */
    UNIFORM,
    /** Whole numbers in [0, bound); the bias is below bound·2⁻³². */
    INTEGERS
  }

  /** Numbers per chunk, a multiple of four. */
  private static final int GRAIN = 4096;

  private static final long LOW = 0xFFFFFFFFL;

  public RandomFill {
    DType wanted = kind == Kind.INTEGERS ? DType.I32 : DType.F32;
    if (y.type() != wanted) {
      throw new IllegalArgumentException("random: " + kind + " into a buffer of " + y.type());
    }
    if (kind == Kind.INTEGERS && bound < 1) {
      throw new IllegalArgumentException("random: integers below " + bound + " do not exist");
    }
  }

  @Override
  public String name() {
    return "random";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    if (y.length() == 0) {
      return;
    }
    int rows = y.length() / rowSize;
    int perRow = (rowSize + GRAIN - 1) / GRAIN;
    ranges.chunks(
        rows * perRow,
        chunk -> {
          int row = chunk / perRow;
          int from = (chunk % perRow) * GRAIN;
          fill(row, from, Math.min(rowSize, from + GRAIN));
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    if (y.length() == 0) {
      return;
    }
    int rows = y.length() / rowSize;
    int perRow = (rowSize + 3) / 4;
    boolean aligned = rowSize % 4 == 0 || rows == 1;
    cuda.kernel("random", symbol()).i32(rows * perRow);
    Divisor.of(perRow).to(cuda).i32(rowSize).i32(aligned ? 1 : 0);
    if (kind == Kind.INTEGERS) {
      cuda.i32(bound);
    }
    cuda.varying((int) key, (int) (key >>> 32), (int) draw, (int) (draw >>> 32), (int) firstRow);
    cuda.pointer(y);
    cuda.launch(cuda.blocks((long) rows * perRow, Launcher.THREADS), Launcher.THREADS);
  }

  private String symbol() {
    return switch (kind) {
      case NORMAL -> "random_normal_f32";
      case UNIFORM -> "random_uniform_f32";
      case INTEGERS -> "random_integers_i32";
    };
  }

  /** Writes one row of normal or uniform numbers into a host array. */
  public static void row(Kind kind, long key, long draw, float[] values) {
    Philox philox = new Philox();
    for (int i = 0; i < values.length; i += 4) {
      philox.block(i >>> 2, 0, (int) draw, (int) (draw >>> 32), (int) key, (int) (key >>> 32));
      int count = Math.min(4, values.length - i);
      if (kind == Kind.NORMAL) {
        normal(philox, values, i, count);
      } else {
        uniform(philox, values, i, count);
      }
    }
  }

  /** Writes one row of whole numbers in [0, bound) into a host array. */
  public static void row(long key, long draw, int bound, int[] values) {
    Philox philox = new Philox();
    for (int i = 0; i < values.length; i += 4) {
      philox.block(i >>> 2, 0, (int) draw, (int) (draw >>> 32), (int) key, (int) (key >>> 32));
      integers(philox, bound, values, i, Math.min(4, values.length - i));
    }
  }

  private void fill(int row, int from, int to) {
    Philox philox = new Philox();
    int base = y.offset() + row * rowSize;
    int c1 = (int) (firstRow + row);
    for (int i = from; i < to; i += 4) {
      philox.block(i >>> 2, c1, (int) draw, (int) (draw >>> 32), (int) key, (int) (key >>> 32));
      int count = Math.min(4, to - i);
      switch (kind) {
        case NORMAL -> normal(philox, y.floats(), base + i, count);
        case UNIFORM -> uniform(philox, y.floats(), base + i, count);
        case INTEGERS -> integers(philox, bound, y.ints(), base + i, count);
      }
    }
  }

  private static void normal(Philox philox, float[] y, int at, int count) {
    for (int pair = 0; pair < count; pair += 2) {
      int a = pair == 0 ? philox.w0 : philox.w2;
      int b = pair == 0 ? philox.w1 : philox.w3;
      float radius = BoxMuller.radius(a);
      y[at + pair] = radius * BoxMuller.cosine(b);
      if (pair + 1 < count) {
        y[at + pair + 1] = radius * BoxMuller.sine(b);
      }
    }
  }

  private static void uniform(Philox philox, float[] y, int at, int count) {
    for (int j = 0; j < count; j++) {
      y[at + j] = (philox.word(j) >>> 8) * 0x1p-24f;
    }
  }

  private static void integers(Philox philox, int bound, int[] y, int at, int count) {
    for (int j = 0; j < count; j++) {
      y[at + j] = (int) (((philox.word(j) & LOW) * bound) >>> 32);
    }
  }
}
