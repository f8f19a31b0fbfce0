package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Expands numbers into sines and cosines: row n of y holds sin(c·(f_k·x_n)) and cos(c·(f_k·x_n)).
 *
 * <p>The products are rounded to F32 one by one, because sines of arguments in the hundreds differ
 * visibly (by 10⁻⁵) where a product is rounded otherwise, and trained networks are to see the
 * features they were trained on. The sines are those of {@link StrictMath}: the same bits on every
 * machine, and there are only a few thousand of them per network call.
 *
 * @shape x [N], f [K], y [N, width] with width ≥ 2K; columns beyond 2K are zero
 * @param cosineFirst whether the K cosines precede the K sines
 */
@Definition(formula = "y[n,:] = (sin, cos)(c·f·x[n])", cost = "2NK sines")
public record Sinusoid(
    float c, boolean cosineFirst, int width, Buffer frequencies, Buffer x, Buffer y)
    implements Kernel {
  public Sinusoid {
    if (y.length() != x.length() * width || width < 2 * frequencies.length()) {
      throw new IllegalArgumentException(
          "sinusoid: "
              + frequencies.length()
              + " frequencies of "
              + x.length()
              + " numbers do not fit rows of "
              + width
              + " in "
              + y.length());
    }
  }

  @Override
  public String name() {
    return "sinusoid";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(frequencies, x, y);
  }

  @Override
  public double flops() {
    return 20.0 * y.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] xs = x.floats();
    float[] fs = frequencies.floats();
    float[] ys = y.floats();
    int count = frequencies.length();
    ranges.split(
        x.length(),
        8,
        (from, to) -> {
          for (int n = from; n < to; n++) {
            int sines = y.offset() + n * width + (cosineFirst ? count : 0);
            int cosines = y.offset() + n * width + (cosineFirst ? 0 : count);
            for (int k = 0; k < count; k++) {
              float angle = c * (xs[x.offset() + n] * fs[frequencies.offset() + k]);
              ys[sines + k] = (float) StrictMath.sin(angle);
              ys[cosines + k] = (float) StrictMath.cos(angle);
            }
            for (int k = 2 * count; k < width; k++) {
              ys[y.offset() + n * width + k] = 0f;
            }
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int count = frequencies.length();
    int items = width - count;
    int n = x.length() * items;
    cuda.kernel("sinusoid", "sinusoid_f32").i32(n);
    Divisor.of(Math.max(1, items)).to(cuda).f32(c).i32(cosineFirst ? 1 : 0).i32(width).i32(count);
    cuda.pointer(frequencies).pointer(x).pointer(y);
    cuda.launch(cuda.blocks(n, Launcher.THREADS), Launcher.THREADS);
  }
}
