package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * The gradient of {@link Softmax} from its result: dx ← y·(g - Σ g·y), or, for the logarithm, dx ←
 * g - e^y·Σ g.
 *
 * @shape g, y and dx [rows, count]; dx is neither g nor y
 */
@Definition(
    formula = "dx = y·(g − Σ g·y), or g − e^y·Σ g",
    cost = "4 flops per element, 20 for the logarithm")
public record SoftmaxGrad(boolean log, Buffer g, Buffer y, Buffer dx, int rows, int count)
    implements Kernel {
  public SoftmaxGrad {
    int n = rows * count;
    if (g.length() != n || y.length() != n || dx.length() != n) {
      throw new IllegalArgumentException("softmax gradient: sizes do not fit");
    }
  }

  @Override
  public String name() {
    return log ? "log_softmax_grad" : "softmax_grad";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(g, y, dx);
  }

  @Override
  public double flops() {
    return (log ? 20.0 : 4.0) * rows * count;
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] gs = g.floats();
    float[] ys = y.floats();
    float[] ds = dx.floats();
    ranges.split(
        rows,
        Math.max(1, Axpy.GRAIN / 4 / Math.max(1, count)),
        (from, to) -> {
          float[] lanes = ranges.scratch(0, Reduce.LANES);
          for (int row = from; row < to; row++) {
            int go = g.offset() + row * count;
            int yo = y.offset() + row * count;
            int o = dx.offset() + row * count;
            if (log) {
              float sum = Reduce.sum(ranges.simd(), gs, go, count, lanes);
              logGradient(gs, go, ys, yo, sum, ds, o, count);
            } else {
              multiply(gs, go, ys, yo, ds, o, count);
              float sum = Reduce.sum(ranges.simd(), ds, o, count, lanes);
              gradient(gs, go, ys, yo, sum, ds, o, count);
            }
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    Team team = Team.of(count, Softmax.CUDA_THREADS);
    cuda.kernel("softmax", "softmax_grad_f32").i32(rows).i32(count).i32(team.size());
    cuda.i32(log ? 1 : 0).pointer(g).pointer(y).pointer(dx);
    cuda.launch(team.blocks(rows), team.threads());
  }

  private static void multiply(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = a[ao + i] * b[bo + i];
    }
  }

  private static void gradient(
      float[] g, int go, float[] y, int yo, float sum, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      d[o + i] = y[yo + i] * (g[go + i] - sum);
    }
  }

  private static void logGradient(
      float[] g, int go, float[] y, int yo, float sum, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      d[o + i] = Math.fma(-Mathf.exp(y[yo + i]), sum, g[go + i]);
    }
  }
}
