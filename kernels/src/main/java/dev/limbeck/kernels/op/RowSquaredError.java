package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;

/**
 * Computes the squared error of each row: out[i] = Σ_j (p[i,j] − t[i,j])².
 *
 * <p>Sums run over 16 lanes that are added in a fixed order, in double where they meet, so that the
 * result does not depend on the machine.
 */
@Definition(
    formula = "out[r] = mean_j (p[r,j] − t[r,j])²",
    cost = "3 flops and 8 bytes per element")
public record RowSquaredError(Buffer p, Buffer t, Buffer out) implements Kernel {
  private static final int LANES = 16;

  public RowSquaredError {
    if (p.length() != t.length() || p.length() % Math.max(1, out.length()) != 0) {
      throw new IllegalArgumentException(
          "row_squared_error: " + p.length() + " against " + t.length());
    }
  }

  @Override
  public String name() {
    return "row_squared_error";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(p, t, out);
  }

  @Override
  public double flops() {
    return 3.0 * p.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    int rows = out.length();
    if (rows == 0) {
      return;
    }
    int width = p.length() / rows;
    ranges.split(
        rows,
        Math.max(1, Axpy.GRAIN / Math.max(1, width)),
        (from, to) -> {
          float[] lanes = ranges.scratch(0, LANES);
          for (int i = from; i < to; i++) {
            out.floats()[out.offset() + i] =
                (float)
                    row(
                        p.floats(),
                        p.offset() + i * width,
                        t.floats(),
                        t.offset() + i * width,
                        width,
                        lanes);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    Runs runs = Runs.of(out.length(), p.length() / Math.max(1, out.length()));
    Buffer partial = runs.partial(cuda, out);
    runs.launch(cuda.kernel("reduce", "row_squared_error_f32"), 1f, p, t, partial);
    runs.finish(cuda, Reduce.Op.SUM, 1f, partial, out);
  }

  private static double row(float[] p, int po, float[] t, int to, int n, float[] lanes) {
    Arrays.fill(lanes, 0, LANES, 0f);
    int whole = n - n % LANES;
    for (int j = 0; j < whole; j += LANES) {
      for (int l = 0; l < LANES; l++) {
        float d = p[po + j + l] - t[to + j + l];
        lanes[l] += d * d;
      }
    }
    for (int j = whole; j < n; j++) {
      float d = p[po + j] - t[to + j];
      lanes[j - whole] += d * d;
    }
    double sum = 0;
    for (int l = 0; l < LANES; l++) {
      sum += lanes[l];
    }
    return sum;
  }
}
