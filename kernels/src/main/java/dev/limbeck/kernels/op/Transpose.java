package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;

/**
 * Reorders axes: y is contiguous with the given sizes, and moving along its axis i moves {@code
 * strides[i]} elements in x.
 */
@Definition(formula = "y[…] = x[permuted …]", cost = "8n bytes; reads are strided")
public record Transpose(Buffer x, Buffer y, int[] sizes, int[] strides) implements Kernel {
  /** Side of the tiles of {@code transpose.cu}. */
  private static final int TILE = 32;

  /** Axes below this size would leave more than half of a tile empty. */
  private static final int NARROW = 16;

  /** Along the second and third direction of a grid. */
  private static final int MAX_BLOCKS = 65535;

  public Transpose {
    if (x.length() != y.length() || sizes.length != strides.length || sizes.length == 0) {
      throw new IllegalArgumentException("transpose: sizes do not fit");
    }
  }

  @Override
  public String name() {
    return "transpose";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    int last = sizes.length - 1;
    int row = sizes[last];
    int rows = y.length() / Math.max(1, row);
    ranges.split(
        rows,
        Math.max(1, Axpy.GRAIN / Math.max(1, row)),
        (from, to) -> {
          for (int r = from; r < to; r++) {
            int source = x.offset();
            int rest = r;
            for (int axis = last - 1; axis >= 0; axis--) {
              source += rest % sizes[axis] * strides[axis];
              rest /= sizes[axis];
            }
            copyRow(xs, source, strides[last], ys, y.offset() + r * row, row);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    if (y.length() == 0) {
      return;
    }
    Transpose merged = merged();
    int last = merged.sizes.length - 1;
    int high = merged.runningAxis();
    if (last == 0 && merged.strides[0] == 1) {
      cuda.copy(x, y);
    } else if (high != last && merged.sizes[high] >= NARROW && merged.sizes[last] >= NARROW) {
      merged.tiles(cuda, high);
    } else {
      merged.gathered(cuda);
    }
  }

  /** The same reordering without axes of size 1, and with axes that stay neighbours as one. */
  private Transpose merged() {
    int[] size = new int[sizes.length];
    int[] stride = new int[sizes.length];
    int axes = 0;
    for (int i = 0; i < sizes.length; i++) {
      if (sizes[i] == 1) {
        continue;
      }
      if (axes > 0 && stride[axes - 1] == strides[i] * sizes[i]) {
        size[axes - 1] *= sizes[i];
      } else {
        size[axes++] = sizes[i];
      }
      stride[axes - 1] = strides[i];
    }
    if (axes == 0) {
      return new Transpose(x, y, new int[] {1}, new int[] {1});
    }
    return new Transpose(x, y, Arrays.copyOf(size, axes), Arrays.copyOf(stride, axes));
  }

  /** The axis along which x is contiguous; the last one if there is none. */
  private int runningAxis() {
    for (int i = 0; i < strides.length; i++) {
      if (strides[i] == 1) {
        return i;
      }
    }
    return strides.length - 1;
  }

  private void tiles(Launcher cuda, int high) {
    int last = sizes.length - 1;
    // Never empty: there is no memory of no length.
    int[] table = new int[Math.max(1, 3 * (last - 1))];
    int at = 0;
    int pitch = 1;
    int highPitch = 0;
    for (int i = last; i >= 0; i--) {
      if (i == high) {
        highPitch = pitch;
      } else if (i != last) {
        table[at++] = sizes[i];
        table[at++] = strides[i];
        table[at++] = pitch;
      }
      pitch *= sizes[i];
    }
    int outer = y.length() / (sizes[high] * sizes[last]);
    cuda.kernel("transpose", "transpose_tiles_f32").i32(outer).i32(last - 1).table(table);
    cuda.i32(sizes[high]).i32(highPitch).i32(sizes[last]).i32(strides[last]).pointer(x).pointer(y);
    int wide = Math.min(MAX_BLOCKS, (sizes[last] + TILE - 1) / TILE);
    int tall = (sizes[high] + TILE - 1) / TILE;
    cuda.launch(tall, wide, Math.min(MAX_BLOCKS, outer), Launcher.THREADS, 0);
  }

  private void gathered(Launcher cuda) {
    int last = sizes.length - 1;
    int odd = sizes[last];
    for (int i = 0; i < last; i++) {
      odd |= strides[i];
    }
    int unit = strides[last] == 1 && odd % 4 == 0 ? 4 : 1;
    int[] table = new int[4 * sizes.length];
    for (int i = 0; i <= last; i++) {
      Divisor size = Divisor.of(i == last ? sizes[i] / unit : sizes[i]);
      int at = 4 * (last - i);
      table[at] = size.value();
      table[at + 1] = size.multiplier();
      table[at + 2] = size.shift();
      table[at + 3] = i == last ? strides[i] : strides[i] / unit;
    }
    int n = y.length() / unit;
    cuda.kernel("transpose", unit == 4 ? "transpose_f32x4" : "transpose_f32").i32(n);
    cuda.i32(sizes.length).table(table).pointer(x).pointer(y);
    cuda.launch(cuda.blocks(n, Launcher.THREADS), Launcher.THREADS);
  }

  private static void copyRow(float[] x, int xo, int stride, float[] y, int yo, int n) {
    if (stride == 1) {
      System.arraycopy(x, xo, y, yo, n);
      return;
    }
    for (int i = 0; i < n; i++) {
      y[yo + i] = x[xo + i * stride];
    }
  }
}
