package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import java.util.ArrayList;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Combines two matrices row by row with a coefficient per row: out[i,:] = a[i]·x[i,:] +
 * b[i]·y[i,:].
 *
 * <p>Noising (x₀ + σ n) and preconditioning (c_skip x + c_out F) are this operation with one σ per
 * sample. Without y it scales rows.
 *
 * @param b null exactly if {@code y} is
 */
@Definition(
    formula = "out[r,:] = a[r]·x[r,:] + b[r]·y[r,:]",
    cost = "3 flops and 12 bytes per element")
public record RowCombine(Buffer a, Buffer x, Buffer b, Buffer y, Buffer out) implements Kernel {
  public RowCombine {
    if ((b == null) != (y == null)) {
      throw new IllegalArgumentException("row_combine: b and y come together");
    }
    if (x.length() != out.length() || (y != null && y.length() != x.length())) {
      throw new IllegalArgumentException("row_combine: matrices of different sizes");
    }
    if (x.length() % Math.max(1, a.length()) != 0 || (b != null && b.length() != a.length())) {
      throw new IllegalArgumentException(
          "row_combine: " + a.length() + " coefficients for " + x.length() + " elements");
    }
  }

  @Override
  public String name() {
    return "row_combine";
  }

  @Override
  public List<Buffer> buffers() {
    List<Buffer> all = new ArrayList<>(List.of(a, x, out));
    all.add(b);
    all.add(y);
    return all;
  }

  @Override
  public double flops() {
    return (b == null ? 1.0 : 3.0) * x.length();
  }

  @Override
  public Kernel on(Operands by) {
    return new RowCombine(by.read(a), by.read(x), by.read(b), by.read(y), by.written(out));
  }

  @Override
  public void onCpu(Ranges ranges) {
    int rows = a.length();
    if (rows == 0) {
      return;
    }
    int width = x.length() / rows;
    int grain = Math.max(1, Axpy.GRAIN / Math.max(1, width));
    boolean simd = ranges.simd();
    ranges.split(
        rows,
        grain,
        (from, to) -> {
          for (int i = from; i < to; i++) {
            row(simd, i, width);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int n = x.length();
    cuda.kernel("row_combine", "row_combine_f32").i32(n).i32(n / Math.max(1, a.length()));
    cuda.pointer(a).pointer(x).pointer(b).pointer(y).pointer(out);
    cuda.launch(cuda.blocks((n + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }

  private void row(boolean simd, int i, int width) {
    float p = a.floats()[a.offset() + i];
    int xo = x.offset() + i * width;
    int oo = out.offset() + i * width;
    if (y == null) {
      int done = simd ? Simd.scale(p, x.floats(), xo, out.floats(), oo, width) : 0;
      for (int j = done; j < width; j++) {
        out.floats()[oo + j] = p * x.floats()[xo + j];
      }
      return;
    }
    float q = b.floats()[b.offset() + i];
    int yo = y.offset() + i * width;
    float[] xs = x.floats();
    float[] ys = y.floats();
    float[] os = out.floats();
    int done = simd ? Simd.combine(p, xs, xo, q, ys, yo, os, oo, width) : 0;
    for (int j = done; j < width; j++) {
      os[oo + j] = Math.fma(p, xs[xo + j], q * ys[yo + j]);
    }
  }

  /** The same on vectors; each returns how many elements it did. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int scale(float p, float[] x, int xo, float[] out, int oo, int n) {
      int j = 0;
      for (; j <= n - S.length(); j += S.length()) {
        FloatVector.fromArray(S, x, xo + j).mul(p).intoArray(out, oo + j);
      }
      return j;
    }

    static int combine(
        float p, float[] x, int xo, float q, float[] y, int yo, float[] out, int oo, int n) {
      FloatVector pv = FloatVector.broadcast(S, p);
      int j = 0;
      for (; j <= n - S.length(); j += S.length()) {
        FloatVector qy = FloatVector.fromArray(S, y, yo + j).mul(q);
        FloatVector.fromArray(S, x, xo + j).fma(pv, qy).intoArray(out, oo + j);
      }
      return j;
    }
  }
}
