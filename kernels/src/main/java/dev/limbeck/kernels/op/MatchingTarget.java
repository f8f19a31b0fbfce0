package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Moves each row of x by the difference of two estimates: out[i,:] = x[i,:] − s[i]·(believed[i,:] −
 * real[i,:]), where s[i] is 1, or 1/(mean_j |x[i,j] − real[i,j]| + floor) if normalised.
 *
 * <p>An element whose step is no number stays where it is. Half the squared distance to the result
 * has the gradient of distribution matching.
 *
 * @paper Yin et al. 2024, arXiv 2405.14867
 */
@Definition(
    formula =
        "out[r,:] = x[r,:] − (believed[r,:] − real[r,:])/(mean_j |x[r,j] − real[r,j]| + floor)",
    cost = "6 flops and 16 bytes per element")
public record MatchingTarget(
    int rows, boolean normalised, Buffer x, Buffer real, Buffer believed, Buffer out)
    implements Kernel {
  /** Added to the normaliser, which may vanish on toy data. */
  private static final double FLOOR = 1e-5;

  public MatchingTarget {
    int n = x.length();
    if (real.length() != n
        || believed.length() != n
        || out.length() != n
        || n % Math.max(1, rows) != 0) {
      throw new IllegalArgumentException(
          "matching target: "
              + n
              + ", "
              + real.length()
              + " and "
              + believed.length()
              + " elements in "
              + rows
              + " rows");
    }
  }

  @Override
  public String name() {
    return "matching_target";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, real, believed, out);
  }

  @Override
  public double flops() {
    return 6.0 * x.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    int width = x.length() / Math.max(1, rows);
    int grain = Math.max(1, Axpy.GRAIN / Math.max(1, width));
    ranges.split(
        rows,
        grain,
        (from, to) -> {
          for (int i = from; i < to; i++) {
            row(i * width, width);
          }
        });
  }

  private void row(int at, int width) {
    float[] xs = x.floats();
    float[] rs = real.floats();
    float[] fs = believed.floats();
    int xo = x.offset() + at;
    int ro = real.offset() + at;
    int fo = believed.offset() + at;
    double distance = 0;
    for (int j = 0; j < width; j++) {
      distance += Math.abs(xs[xo + j] - rs[ro + j]);
    }
    double scale = normalised ? 1 / (distance / width + FLOOR) : 1;
    for (int j = 0; j < width; j++) {
      float g = (float) ((fs[fo + j] - rs[ro + j]) * scale);
      out.floats()[out.offset() + at + j] = xs[xo + j] - (Float.isNaN(g) ? 0 : g);
    }
  }

  @Override
  public void onCuda(Launcher cuda) {
    cuda.kernel("loss", "matching_target_f32").i32(x.length() / Math.max(1, rows));
    cuda.i32(normalised ? 1 : 0).i64(Double.doubleToRawLongBits(FLOOR));
    cuda.pointer(x).pointer(real).pointer(believed).pointer(out);
    cuda.launch(rows, Launcher.THREADS);
  }
}
