package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Finds where the middle axis is largest: the first such index.
 *
 * @shape x [outer, count, inner], y I32 [outer, inner]
 */
@Definition(
    formula = "y[o,i] = the first c with x[o,c,i] = max over c",
    cost = "4·outer·count·inner bytes")
public record ArgMax(Buffer x, Buffer y, int outer, int count, int inner) implements Kernel {
  /** CUDA threads that occupy a large device, without several for one result. */
  private static final int ENOUGH = 65536;

  public ArgMax {
    if (count < 1 || x.length() != outer * count * inner || y.length() != outer * inner) {
      throw new IllegalArgumentException("argmax: sizes do not fit");
    }
  }

  @Override
  public String name() {
    return "argmax";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] xs = x.floats();
    int[] ys = y.ints();
    ranges.split(
        outer * inner,
        Math.max(1, Axpy.GRAIN / count),
        (from, to) -> {
          for (int i = from; i < to; i++) {
            int first = x.offset() + i / inner * count * inner + i % inner;
            ys[y.offset() + i] = argmax(xs, first, count, inner);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int results = outer * inner;
    Team team = Team.ofLanes(inner > 1 && results >= ENOUGH ? 1 : count);
    cuda.kernel("reduce", "argmax_f32").i32(outer).i32(count).i32(inner).i32(team.size());
    cuda.pointer(x).pointer(y).launch(team.blocks(results), team.threads());
  }

  private static int argmax(float[] x, int xo, int n, int stride) {
    int best = 0;
    for (int k = 1; k < n; k++) {
      if (x[xo + k * stride] > x[xo + best * stride]) {
        best = k;
      }
    }
    return best;
  }
}
