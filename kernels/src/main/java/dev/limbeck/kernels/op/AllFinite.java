package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/** Tests whether all elements are finite: y[0] ← 1 if so, else 0. */
@Definition(formula = "y = 1 if every x is finite, else 0", cost = "4n bytes")
public record AllFinite(Buffer x, Buffer y) implements Kernel {
  private static final int EXPONENT = 0x7F800000;

  public AllFinite {
    if (y.length() != 1) {
      throw new IllegalArgumentException("all_finite: the result is one number");
    }
  }

  @Override
  public String name() {
    return "all_finite";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] xs = x.floats();
    int blocks = (x.length() + Axpy.GRAIN - 1) / Axpy.GRAIN;
    float[] bad = ranges.scratch(0, Math.max(1, blocks));
    ranges.chunks(
        blocks,
        block -> {
          int from = block * Axpy.GRAIN;
          int n = Math.min(Axpy.GRAIN, x.length() - from);
          bad[block] = countBad(xs, x.offset() + from, n);
        });
    float sum = 0f;
    for (int block = 0; block < blocks; block++) {
      sum += bad[block];
    }
    y.floats()[y.offset()] = sum == 0f ? 1f : 0f;
  }

  @Override
  public void onCuda(Launcher cuda) {
    cuda.kernel("reduce", "all_finite_start_f32").pointer(y).launch(1, 32);
    cuda.kernel("reduce", "all_finite_f32").i32(x.length()).pointer(x).pointer(y);
    cuda.launch(cuda.blocks((x.length() + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }

  /** The sum of one bit per element, which is set where the exponent has all its bits set. */
  private static int countBad(float[] x, int xo, int n) {
    int count = 0;
    for (int i = 0; i < n; i++) {
      int exponent = Float.floatToRawIntBits(x[xo + i]) & EXPONENT;
      count += exponent + 0x00800000 >>> 31;
    }
    return count;
  }
}
