package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Zeroes elements at random and scales the others: y = x·mask/(1 − rate), where element i of the
 * mask depends on the key and i alone. The rate is rounded to a multiple of 2⁻¹⁶.
 *
 * <p>The same launch on the output's gradient gives the input's gradient.
 */
@Definition(
    formula = "y = x·m/(1−p) with random m in {0, 1}",
    cost = "40 integer operations per eight elements, 8 bytes each")
public record DropoutApply(float rate, long key, Buffer x, Buffer y) implements Kernel {
  private static final int GRAIN = 4096;

  /** A block of random bits serves eight elements with 16 bits each. */
  private static final int PER_BLOCK = 8;

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
  public double flops() {
    return x.length();
  }

  @Override
  public Kernel on(Operands by) {
    return new DropoutApply(rate, key, by.read(x), by.written(y));
  }

  @Override
  public void onCpu(Ranges ranges) {
    ranges.split(x.length(), GRAIN, this::apply);
  }

  @Override
  public void onCuda(Launcher cuda) {
    int drop = threshold();
    cuda.kernel("random", "dropout_f32").i32(x.length()).i32(drop).f32(scale(drop));
    cuda.varying((int) key, (int) (key >>> 32)).pointer(x).pointer(y);
    cuda.launch(cuda.blocks((x.length() + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }

  private void apply(int from, int to) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    int xo = x.offset();
    int yo = y.offset();
    int k0 = (int) key;
    int k1 = (int) (key >>> 32);
    int drop = threshold();
    float scale = scale(drop);
    Philox philox = new Philox();
    for (int i = from; i < to; i += PER_BLOCK) {
      philox.block(i / PER_BLOCK, 0, 0, 0, k0, k1);
      int count = Math.min(PER_BLOCK, to - i);
      for (int j = 0; j < count; j++) {
        int sixteen = (philox.word(j >> 1) >>> (16 * (j & 1))) & 0xFFFF;
        // All ones or all zeros, without a branch that nothing could predict.
        int keep = (drop - 1 - sixteen) >> 31;
        int bits = Float.floatToRawIntBits(xs[xo + i + j] * scale);
        ys[yo + i + j] = Float.intBitsToFloat(bits & keep);
      }
    }
  }

  private static float scale(int drop) {
    return 0x1p16f / (0x1p16f - drop);
  }

  /** Of 65536 equally likely numbers, how many drop an element. */
  private int threshold() {
    return Math.min(65535, Math.round(rate * 0x1p16f));
  }
}
