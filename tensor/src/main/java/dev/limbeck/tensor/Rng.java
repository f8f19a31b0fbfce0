package dev.limbeck.tensor;

import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.op.Philox;
import dev.limbeck.kernels.op.RandomFill;
import dev.limbeck.kernels.op.RandomFill.Kind;
import java.util.stream.IntStream;

/**
 * A stream of random draws from Philox 4×32-10.
 *
 * <p>Element i of a draw is a pure function of (seed, stream, number of the draw, i): neither the
 * device nor the number of threads matters, and the whole state is three numbers. {@link #split}
 * gives independent streams without moving this one on. Not safe for use by several threads.
 */
public final class Rng {
  private final long seed;
  private final long stream;
  private final long key;
  private long counter;

  /** Everything that determines the draws to come; {@link Rng#of(State)} continues from it. */
  public record State(long seed, long stream, long counter) {}

  private Rng(State state) {
    seed = state.seed;
    stream = state.stream;
    counter = state.counter;
    key = Philox.mix(seed ^ Philox.mix(stream));
  }

  /** The main stream of a seed. */
  public static Rng of(long seed) {
    return new Rng(new State(seed, 0, 0));
  }

  /** The stream that was in this state. */
  public static Rng of(State state) {
    return new Rng(state);
  }

  /** A new stream, determined by this one's seed and stream and the given number alone. */
  public Rng split(long number) {
    return new Rng(
        new State(seed, Philox.mix(stream + 0x632BE59BD9B4E019L) ^ Philox.mix(number), 0));
  }

  public State state() {
    return new State(seed, stream, counter);
  }

  /** Goes back, or forward, to a state of this same stream. */
  public void restore(State state) {
    if (state.seed != seed || state.stream != stream) {
      throw new IllegalArgumentException("random state: " + state + " is of another stream");
    }
    counter = state.counter;
  }

  /** A key for {@link Dropout} and the like; counts as one draw. */
  public long nextKey() {
    return Philox.mix(key ^ Philox.mix(~counter++));
  }

  // ---- tensors ----

  /** Independent standard normal numbers. */
  public Tensor normal(Device device, Shape shape) {
    return fill(Kind.NORMAL, Tensor.empty(device, shape), 0, shape.size(), 0);
  }

  /**
   * Standard normal numbers in which row i of axis 0 depends on {@code firstRow + i}, not on how
   * many rows are drawn: sample i of a run is the same whatever the batch size.
   */
  public Tensor normalRows(Device device, Shape shape, long firstRow) {
    int rowSize = shape.product(1, shape.rank());
    return fill(Kind.NORMAL, Tensor.empty(device, shape), firstRow, rowSize, 0);
  }

  /** Independent uniform numbers in [0, 1). */
  public Tensor uniform(Device device, Shape shape) {
    return fill(Kind.UNIFORM, Tensor.empty(device, shape), 0, shape.size(), 0);
  }

  /** Independent I32 whole numbers, uniform in [0, bound). */
  public Tensor integers(Device device, Shape shape, int bound) {
    Tensor result = Tensor.empty(device, DType.I32, shape);
    return fill(Kind.INTEGERS, result, 0, shape.size(), bound);
  }

  private Tensor fill(Kind kind, Tensor result, long firstRow, int rowSize, int bound) {
    if (result.size() > 0) {
      result.run(new RandomFill(kind, key, counter, firstRow, rowSize, bound, result.buffer()));
    }
    counter++;
    return result;
  }

  // ---- host ----

  /** Fills a host array with the numbers that {@link #normal(Device, Shape)} would give. */
  public void normal(float[] values) {
    RandomFill.row(Kind.NORMAL, key, counter++, values);
  }

  /** Fills a host array with the numbers that {@link #uniform(Device, Shape)} would give. */
  public void uniform(float[] values) {
    RandomFill.row(Kind.UNIFORM, key, counter++, values);
  }

  /** Fills a host array with the numbers that {@link #integers(Device, Shape, int)} would give. */
  public void integers(int[] values, int bound) {
    RandomFill.row(key, counter++, bound, values);
  }

  /** A uniformly random order of 0 … n−1. */
  public int[] permutation(int n) {
    int[] order = IntStream.range(0, n).toArray();
    Philox philox = new Philox();
    for (int i = n - 1; i > 0; i--) {
      // 64 random bits against at most 31: the bias is below 2⁻³³.
      long word = word(philox, i);
      int j = (int) Math.multiplyHigh(word >>> 1, 2L * (i + 1));
      int swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }
    counter++;
    return order;
  }

  /** One uniform number in [0, 1), a multiple of 2⁻⁵³. */
  public double nextDouble() {
    return (nextLong() >>> 11) * 0x1p-53;
  }

  /** One whole number, uniform in [0, bound). */
  public int nextInt(int bound) {
    if (bound < 1) {
      throw new IllegalArgumentException("random: integers below " + bound + " do not exist");
    }
    return (int) Math.multiplyHigh(nextLong() >>> 1, 2L * bound);
  }

  /** 64 random bits. */
  public long nextLong() {
    long word = word(new Philox(), 0);
    counter++;
    return word;
  }

  private long word(Philox philox, int block) {
    philox.block(block, 0, (int) counter, (int) (counter >>> 32), (int) key, (int) (key >>> 32));
    return ((long) philox.w1 << 32) | (philox.w0 & 0xFFFFFFFFL);
  }
}
