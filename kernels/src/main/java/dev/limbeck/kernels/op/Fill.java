package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;

/** Sets every element to one value; an I32 buffer to the value rounded down. */
@Definition(formula = "y = value", cost = "n elements written")
public record Fill(float value, Buffer y) implements Kernel {
  @Override
  public String name() {
    return "fill";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(y);
  }

  @Override
  public boolean takesHalves(int ptx) {
    return true;
  }

  @Override
  public void onCpu(Ranges ranges) {
    Object memory = y.memory();
    int o = y.offset();
    ranges.split(
        y.length(),
        Axpy.GRAIN,
        (from, to) -> {
          if (memory instanceof float[] floats) {
            Arrays.fill(floats, o + from, o + to, value);
          } else if (memory instanceof int[] ints) {
            Arrays.fill(ints, o + from, o + to, (int) Math.floor(value));
          } else {
            Arrays.fill((short[]) memory, o + from, o + to, (short) Cast.bits(value));
          }
        });
  }

  /**
   * The value goes through {@link Launcher#varying(int...)}: a sampler's noise level, which fills a
   * tensor at each step, differs from step to step.
   */
  @Override
  public void onCuda(Launcher cuda) {
    int bits =
        switch (y.type()) {
          case I32 -> (int) Math.floor(value);
          case F32 -> Float.floatToRawIntBits(value);
          case BF16 -> Cast.bits(value);
        };
    if (bits == 0) {
      cuda.zero(y);
      return;
    }
    boolean halves = y.type() == DType.BF16;
    int unit = halves ? 8 : 4;
    cuda.kernel("copy", halves ? "fill_b16" : "fill_b32").i32(y.length());
    cuda.varying(bits).pointer(y);
    cuda.launch(cuda.blocks((y.length() + unit - 1) / unit, Launcher.THREADS), Launcher.THREADS);
  }
}
