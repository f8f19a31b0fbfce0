package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** Adds a multiple of one run of numbers to another: y ← a·x + y. */
@Definition(formula = "y ← a·x + y", cost = "2n flops, 12n bytes")
public record Axpy(float a, Buffer x, Buffer y) implements Kernel {
  /** Elements per chunk: 64 KiB of x and of y, half of a small L2 cache. */
  static final int GRAIN = 16384;

  public Axpy {
    if (x.length() != y.length()) {
      throw new IllegalArgumentException("axpy: " + x.length() + " against " + y.length());
    }
  }

  @Override
  public String name() {
    return "axpy";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public double flops() {
    return 2.0 * x.length();
  }

  @Override
  public double bytes() {
    return 12.0 * x.length();
  }

  @Override
  public boolean takesHalves(int ptx) {
    return ptx > 0 && x.type() == y.type();
  }

  @Override
  public Kernel on(Operands by) {
    return new Axpy(a, by.read(x), by.updated(y));
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    int xo = x.offset();
    int yo = y.offset();
    ranges.split(
        x.length(),
        GRAIN,
        (from, to) -> {
          if (ranges.simd()) {
            Simd.axpy(a, xs, xo, ys, yo, from, to);
          } else {
            axpy(a, xs, xo, ys, yo, from, to);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    if (y.type() == DType.BF16) {
      cuda.kernel("halves", "axpy_bf16").i32(x.length()).f32(a).pointer(x).pointer(y);
      cuda.launch(cuda.blocks((x.length() + 7) / 8, Launcher.THREADS), Launcher.THREADS);
      return;
    }
    cuda.kernel("axpy", "axpy_f32").i32(x.length()).f32(a).pointer(x).pointer(y);
    cuda.launch(cuda.blocks((x.length() + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }

  private static void axpy(float a, float[] x, int xo, float[] y, int yo, int from, int to) {
    for (int i = from; i < to; i++) {
      y[yo + i] = Math.fma(a, x[xo + i], y[yo + i]);
    }
  }

  /** The same on vectors. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static void axpy(float a, float[] x, int xo, float[] y, int yo, int from, int to) {
      int i = from;
      for (; i <= to - S.length(); i += S.length()) {
        FloatVector sum =
            FloatVector.fromArray(S, x, xo + i)
                .fma(FloatVector.broadcast(S, a), FloatVector.fromArray(S, y, yo + i));
        sum.intoArray(y, yo + i);
      }
      Axpy.axpy(a, x, xo, y, yo, i, to);
    }
  }
}
