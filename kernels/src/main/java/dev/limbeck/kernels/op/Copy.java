package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/** Copies a run of elements of any type: y ← x. */
@Definition(formula = "y = x", cost = "2n elements moved")
public record Copy(Buffer x, Buffer y) implements Kernel {
  public Copy {
    if (x.length() != y.length() || x.type() != y.type()) {
      throw new IllegalArgumentException(
          "copy: " + x.length() + " " + x.type() + " into " + y.length() + " " + y.type());
    }
  }

  @Override
  public String name() {
    return "copy";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public boolean takesHalves(int ptx) {
    return true;
  }

  @Override
  public void onCpu(Ranges ranges) {
    Object from = x.memory();
    Object to = y.memory();
    ranges.split(
        x.length(),
        Axpy.GRAIN,
        (a, b) -> System.arraycopy(from, x.offset() + a, to, y.offset() + a, b - a));
  }

  @Override
  public void onCuda(Launcher cuda) {
    cuda.copy(x, y);
  }
}
