package dev.limbeck.bench;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import dev.limbeck.kernels.op.Copy;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;
import org.openjdk.jmh.annotations.Benchmark;

/** What this machine can do at most: the ceilings that other results are compared with. */
public class PeakBench extends KernelBench {
  /** Elements copied: 128 MiB, far beyond every cache. */
  private static final int COPIED = 1 << 25;

  private Checked fma;
  private Checked copy;

  @Override
  protected void build() {
    fma = checked(o -> new Registers(threads, o.input(Registers.VALUES), o.result(threads)));
    copy = checked(o -> new Copy(o.input(COPIED), o.result(COPIED)));
  }

  /** Multiplications and additions on registers alone. */
  @Benchmark
  public void fma(Work work) {
    run(fma, work);
  }

  /** A copy through memory. */
  @Benchmark
  public void copy(Work work) {
    run(copy, work);
  }

  /**
   * On each thread, twelve chains s ← s·a + b on vectors of at most sixteen lanes, so many that no
   * instruction waits for one before it.
   *
   * @param chunks one for each thread
   * @param x a and b
   * @param y a sum for each chunk, so that nothing is left out as useless
   */
  private record Registers(int chunks, Buffer x, Buffer y) implements Kernel {
    static final int VALUES = 2;
    private static final int CHAINS = 12;
    private static final int STEPS = 200_000;

    @Override
    public String name() {
      return "registers";
    }

    @Override
    public List<Buffer> buffers() {
      return List.of(x, y);
    }

    @Override
    public double flops() {
      return 2.0 * chunks * CHAINS * STEPS * Simd.lanes();
    }

    @Override
    public void onCpu(Ranges ranges) {
      float[] xs = x.floats();
      float a = 0.5f * Math.abs(xs[x.offset()]);
      float b = xs[x.offset() + 1];
      // Every chain ends at the same limit, b/(1 - a), on vectors and in single steps.
      float[] ys = y.floats();
      ranges.chunks(
          chunks, c -> ys[y.offset() + c] = ranges.simd() ? Simd.sum(a, b) : CHAINS * b / (1 - a));
    }

    private static final class Simd {
      private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

      private Simd() {}

      static int lanes() {
        return S.length();
      }

      static float sum(float first, float second) {
        FloatVector a = FloatVector.broadcast(S, first);
        FloatVector b = FloatVector.broadcast(S, second);
        FloatVector s0 = FloatVector.zero(S);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        FloatVector s4 = s0;
        FloatVector s5 = s0;
        FloatVector s6 = s0;
        FloatVector s7 = s0;
        FloatVector s8 = s0;
        FloatVector s9 = s0;
        FloatVector s10 = s0;
        FloatVector s11 = s0;
        for (int i = 0; i < STEPS; i++) {
          s0 = s0.fma(a, b);
          s1 = s1.fma(a, b);
          s2 = s2.fma(a, b);
          s3 = s3.fma(a, b);
          s4 = s4.fma(a, b);
          s5 = s5.fma(a, b);
          s6 = s6.fma(a, b);
          s7 = s7.fma(a, b);
          s8 = s8.fma(a, b);
          s9 = s9.fma(a, b);
          s10 = s10.fma(a, b);
          s11 = s11.fma(a, b);
        }
        FloatVector left = s0.add(s1).add(s2.add(s3)).add(s4.add(s5));
        FloatVector right = s6.add(s7).add(s8.add(s9)).add(s10.add(s11));
        return left.add(right).lane(0);
      }
    }
  }
}
