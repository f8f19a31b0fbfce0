package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
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
  public boolean takesHalves(int ptx) {
    return true;
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

  @Override
  public void onCuda(Launcher cuda) {
    int bytes = x.type().bytes();
    int odd = from | to | width | (rows > 1 ? pitch | targetPitch : 0);
    int unit = odd % (16 / bytes) == 0 ? 16 / bytes : 1;
    Divisor columns = Divisor.of(Math.max(1, width / unit));
    int n = rows * (width / unit);
    cuda.kernel("copy", symbol(unit * bytes)).i32(n);
    columns.to(cuda).i32(pitch / unit).i32(targetPitch / unit).i32(from / unit).i32(to / unit);
    cuda.pointer(x).pointer(y);
    cuda.launch(cuda.blocks(n, Launcher.THREADS), Launcher.THREADS);
  }

  private static String symbol(int unitBytes) {
    return switch (unitBytes) {
      case 16 -> "copy_block_b128";
      case 4 -> "copy_block_b32";
      default -> "copy_block_b16";
    };
  }
}
