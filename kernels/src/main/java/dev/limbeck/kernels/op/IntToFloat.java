package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/** Converts integers to the nearest floats. */
@Definition(formula = "y = x as a float", cost = "8n bytes")
public record IntToFloat(Buffer x, Buffer y) implements Kernel {
  public IntToFloat {
    if (x.length() != y.length()) {
      throw new IllegalArgumentException("int_to_float: " + x.length() + " into " + y.length());
    }
  }

  @Override
  public String name() {
    return "int_to_float";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    int[] xs = x.ints();
    float[] ys = y.floats();
    ranges.split(
        x.length(),
        Axpy.GRAIN,
        (from, to) -> {
          for (int i = from; i < to; i++) {
            ys[y.offset() + i] = xs[x.offset() + i];
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    cuda.kernel("copy", "int_to_float_f32").i32(x.length()).pointer(x).pointer(y);
    cuda.launch(cuda.blocks((x.length() + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }
}
