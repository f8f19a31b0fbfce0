package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/**
 * Copies {@code rows} runs of {@code width} elements between arrays of different row lengths: the
 * inside of concatenation and of slices.
 */
@Definition(formula = "y[r,j] = x[r,j] for a block of rows", cost = "2·rows·width elements moved")
public record CopyBlock(
    Buffer x, int from, int pitch, Buffer y, int to, int targetPitch, int rows, int width)
    implements Kernel {
  public CopyBlock {
    if (x.type() != y.type()) {
      throw new IllegalArgumentException("copy: " + x.type() + " into " + y.type());
    }
    if (rows > 0
        && (from + (long) (rows - 1) * pitch + width > x.length()
            || to + (long) (rows - 1) * targetPitch + width > y.length())) {
      throw new IllegalArgumentException("copy: the block leaves a buffer");
    }
  }

  @Override
  public String name() {
    return "copy_block";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public double bytes() {
    return 2.0 * rows * width * x.type().bytes();
  }

  @Override
  public void onCpu(Ranges ranges) {
    Object source = x.memory();
    Object target = y.memory();
    int first = x.offset() + from;
    int into = y.offset() + to;
    ranges.split(
        rows,
        Math.max(1, Axpy.GRAIN / Math.max(1, width)),
        (a, b) -> {
          for (int row = a; row < b; row++) {
            System.arraycopy(source, first + row * pitch, target, into + row * targetPitch, width);
          }
        });
  }
}
