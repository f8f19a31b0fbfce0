package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Computes the factors of p and of t in the gradient of a weighted mean squared error: plus[i] =
 * 2·g·w[i]/(n·width) for row i of n, minus = −plus.
 *
 * @param g the gradient of the error, one number
 * @param width elements of a row
 */
@Definition(formula = "plus[i] = 2·g·w[i]/(n·width), minus = −plus", cost = "2n flops, 12n bytes")
public record ErrorSlopes(Buffer w, Buffer g, int width, Buffer plus, Buffer minus)
    implements Kernel {
  public ErrorSlopes {
    if (g.length() != 1 || plus.length() != w.length() || minus.length() != w.length()) {
      throw new IllegalArgumentException(
          "error slopes: " + w.length() + " weights for " + plus.length() + " rows");
    }
  }

  @Override
  public String name() {
    return "error_slopes";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(w, g, plus, minus);
  }

  @Override
  public double flops() {
    return 2.0 * w.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    double scale = 2.0 * g.floats()[g.offset()] / ((double) w.length() * width);
    for (int i = 0; i < w.length(); i++) {
      float slope = (float) (scale * w.floats()[w.offset() + i]);
      plus.floats()[plus.offset() + i] = slope;
      minus.floats()[minus.offset() + i] = -slope;
    }
  }

  @Override
  public void onCuda(Launcher cuda) {
    int n = w.length();
    cuda.kernel("loss", "error_slopes_f32").i32(n).i32(width);
    cuda.pointer(w).pointer(g).pointer(plus).pointer(minus);
    cuda.launch(cuda.blocks(n, Launcher.THREADS), Launcher.THREADS);
  }
}
