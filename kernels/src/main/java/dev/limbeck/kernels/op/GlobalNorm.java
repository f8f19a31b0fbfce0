package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Euclidean norm of a run of numbers: √(Σ xᵢ²), in a fixed order of additions.
 *
 * <p>Sixteen partial sums per chunk of fixed length, then everything in double.
 */
@Definition(formula = "√Σ x²", cost = "2n flops, 4n bytes")
public record GlobalNorm(Buffer x, Buffer result) implements Kernel {
  private static final int GRAIN = 16384;
  private static final int LANES = 16;

  public GlobalNorm {
    if (result.length() != 1) {
      throw new IllegalArgumentException("norm: the result has " + result.length() + " elements");
    }
  }

  @Override
  public String name() {
    return "global_norm";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, result);
  }

  @Override
  public double flops() {
    return 2.0 * x.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    int chunks = (x.length() + GRAIN - 1) / GRAIN;
    float[] partial = ranges.scratch(0, Math.max(1, chunks) * LANES);
    ranges.chunks(
        chunks,
        chunk -> {
          int from = chunk * GRAIN;
          int to = Math.min(x.length(), from + GRAIN);
          java.util.Arrays.fill(partial, chunk * LANES, (chunk + 1) * LANES, 0f);
          int done = ranges.simd() ? Simd.squares(x, from, to, partial, chunk * LANES) : from;
          squares(done, to, partial, chunk * LANES);
        });
    double sum = 0;
    for (int i = 0; i < chunks * LANES; i++) {
      sum += partial[i];
    }
    result.floats()[result.offset()] = (float) Math.sqrt(sum);
  }

  @Override
  public void onCuda(Launcher cuda) {
    Runs runs = Runs.of(1, x.length());
    Buffer partial = cuda.scratch(DType.F32, runs.perRow());
    runs.launch(cuda.kernel("reduce", "sum_of_squares_f32"), 1f, x, null, partial);
    cuda.kernel("reduce", "global_norm_f32").i32(runs.perRow()).pointer(partial).pointer(result);
    cuda.launch(1, 32);
  }

  /** Adds the square of element i to lane i mod 16. */
  private void squares(int from, int to, float[] sums, int at) {
    float[] xs = x.floats();
    int xo = x.offset();
    for (int i = from; i < to; i++) {
      int lane = at + (i & (LANES - 1));
      sums[lane] = Math.fma(xs[xo + i], xs[xo + i], sums[lane]);
    }
  }

  /** The same on vectors. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int squares(Buffer x, int from, int to, float[] sums, int at) {
      float[] xs = x.floats();
      int xo = x.offset();
      int whole = from + (to - from) / LANES * LANES;
      for (int lane = 0; lane < LANES; lane += S.length()) {
        FloatVector sum = FloatVector.zero(S);
        for (int i = from + lane; i < whole; i += LANES) {
          FloatVector v = FloatVector.fromArray(S, xs, xo + i);
          sum = v.fma(v, sum);
        }
        sum.intoArray(sums, at + lane);
      }
      return whole;
    }
  }
}
