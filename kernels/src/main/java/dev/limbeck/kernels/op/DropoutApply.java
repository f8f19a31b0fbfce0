package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Zeroes elements at random and scales the others: y = x·mask/(1 − rate), where bit i of the mask
 * depends on the key and i alone.
 *
 * <p>The same launch on the output's gradient gives the input's gradient.
 *
 * @cost 40 integer operations per four elements, 8 bytes each
 */
public record DropoutApply(float rate, long key, Buffer x, Buffer y) implements Kernel {
  private static final int GRAIN = 4096;

  public DropoutApply {
    if (x.length() != y.length()) {
      throw new IllegalArgumentException("dropout: " + x.length() + " against " + y.length());
    }
    if (!(rate >= 0 && rate < 1)) {
      throw new IllegalArgumentException("dropout: the rate " + rate + " is not in [0, 1)");
    }
  }

  @Override
  public String name() {
    return "dropout";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    ranges.split(x.length(), GRAIN, this::apply);
  }

  private void apply(int from, int to) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    int xo = x.offset();
    int yo = y.offset();
    int k0 = (int) key;
    int k1 = (int) (key >>> 32);
    float scale = 1f / (1f - rate);
    // A word below the threshold, both read as unsigned, drops its element.
    int threshold = (int) (long) (rate * 0x1p32) + Integer.MIN_VALUE;
    Philox philox = new Philox();
    for (int i = from; i < to; i += 4) {
      philox.block(i >>> 2, 0, 0, 0, k0, k1);
      int count = Math.min(4, to - i);
      for (int j = 0; j < count; j++) {
        boolean drop = philox.word(j) + Integer.MIN_VALUE < threshold;
        ys[yo + i + j] = drop ? 0f : xs[xo + i + j] * scale;
      }
    }
  }
}
