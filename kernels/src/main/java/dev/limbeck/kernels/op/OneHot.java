package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;

/**
 * Writes a one at each row's index and zeros elsewhere; a row of zeros for a negative index. On a
 * CUDA device, which throws nothing, a row of NaN for an index that is no class.
 *
 * @shape index I32 [n], y [n, classes]
 */
@Definition(formula = "y[i,c] = 1 if c = index[i], else 0", cost = "4·n·classes bytes")
public record OneHot(Buffer index, Buffer y, int classes) implements Kernel {
  public OneHot {
    if (y.length() != index.length() * classes) {
      throw new IllegalArgumentException("one_hot: the result has another size");
    }
  }

  @Override
  public String name() {
    return "one_hot";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(index, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    int[] indices = index.ints();
    float[] ys = y.floats();
    ranges.split(
        index.length(),
        Math.max(1, Axpy.GRAIN / Math.max(1, classes)),
        (from, to) -> {
          Arrays.fill(ys, y.offset() + from * classes, y.offset() + to * classes, 0f);
          for (int i = from; i < to; i++) {
            int k = indices[index.offset() + i];
            if (k >= classes) {
              throw new IndexOutOfBoundsException(
                  "one_hot: index " + k + " at position " + i + " is not below " + classes);
            }
            if (k >= 0) {
              ys[y.offset() + i * classes + k] = 1f;
            }
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    cuda.kernel("gather", "one_hot_f32").i32(y.length());
    Divisor.of(Math.max(1, classes)).to(cuda).pointer(index).pointer(y);
    cuda.launch(cuda.blocks((y.length() + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }
}
