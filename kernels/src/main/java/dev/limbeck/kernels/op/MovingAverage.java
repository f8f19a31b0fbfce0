package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** Moves an average towards values: average ← average + rate·(values − average). */
@Definition(formula = "a ← a + r·(w − a)", cost = "3n flops, 12n bytes")
public record MovingAverage(float rate, Buffer values, Buffer average) implements Kernel {
  public MovingAverage {
    if (values.length() != average.length()) {
      throw new IllegalArgumentException(
          "moving average: " + values.length() + " against " + average.length());
    }
  }

  @Override
  public String name() {
    return "moving_average";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(values, average);
  }

  @Override
  public double flops() {
    return 3.0 * values.length();
  }

  @Override
  public double bytes() {
    return 12.0 * values.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] x = values.floats();
    float[] a = average.floats();
    int xo = values.offset();
    int ao = average.offset();
    ranges.split(
        values.length(),
        Axpy.GRAIN,
        (from, to) -> {
          int i = ranges.simd() ? Simd.update(rate, x, xo, a, ao, from, to) : from;
          for (; i < to; i++) {
            a[ao + i] = Math.fma(x[xo + i] - a[ao + i], rate, a[ao + i]);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int n = values.length();
    cuda.kernel("adam", "moving_average_f32").i32(n).varying(rate).pointer(values).pointer(average);
    cuda.launch(cuda.blocks((n + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }

  /** The same on vectors. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int update(float rate, float[] x, int xo, float[] a, int ao, int from, int to) {
      FloatVector rates = FloatVector.broadcast(S, rate);
      int i = from;
      for (; i <= to - S.length(); i += S.length()) {
        FloatVector old = FloatVector.fromArray(S, a, ao + i);
        FloatVector.fromArray(S, x, xo + i).sub(old).fma(rates, old).intoArray(a, ao + i);
      }
      return i;
    }
  }
}
