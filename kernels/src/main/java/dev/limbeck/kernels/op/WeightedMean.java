package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Computes the mean of weighted sums of rows: out = Σ_i w[i]·x[i] / (n·width), in double.
 *
 * @param x the sum of each of n rows
 * @param width terms of a row's sum
 */
@Definition(formula = "out = Σ w[i]·x[i] / (n·width)", cost = "2n flops, 8n bytes")
public record WeightedMean(Buffer w, Buffer x, int width, Buffer out) implements Kernel {
  public WeightedMean {
    if (w.length() != x.length() || out.length() != 1) {
      throw new IllegalArgumentException(
          "weighted mean: " + w.length() + " weights for " + x.length() + " rows");
    }
  }

  @Override
  public String name() {
    return "weighted_mean";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(w, x, out);
  }

  @Override
  public double flops() {
    return 2.0 * x.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    double sum = 0;
    for (int i = 0; i < x.length(); i++) {
      sum += (double) w.floats()[w.offset() + i] * x.floats()[x.offset() + i];
    }
    out.floats()[out.offset()] = (float) (sum / ((double) x.length() * width));
  }

  @Override
  public void onCuda(Launcher cuda) {
    cuda.kernel("loss", "weighted_mean_f32").i32(x.length()).i32(width);
    cuda.pointer(w).pointer(x).pointer(out).launch(1, 32);
  }
}
