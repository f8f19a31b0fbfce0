package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.List;

/** Chooses element by element: y ← condition ≠ 0 ? a : b, each operand broadcast. */
@Definition(formula = "y = a where the condition is not 0, else b", cost = "16n bytes")
public record Where(
    Buffer condition,
    Broadcast layoutCondition,
    Buffer a,
    Broadcast layoutA,
    Buffer b,
    Broadcast layoutB,
    Buffer y)
    implements Kernel {
  public Where {
    if (condition.length() < layoutCondition.extent()
        || a.length() < layoutA.extent()
        || b.length() < layoutB.extent()
        || y.length() != layoutA.size()) {
      throw new IllegalArgumentException("where: sizes do not fit");
    }
  }

  @Override
  public String name() {
    return "where";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(condition, a, b, y);
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] ys = y.floats();
    int tile = layoutA.tile();
    ranges.split(
        y.length(),
        Math.max(1, Axpy.GRAIN / tile) * tile,
        (from, to) -> {
          Binary.Operand c = operand(condition, layoutCondition, ranges, 0);
          Binary.Operand first = operand(a, layoutA, ranges, 1);
          Binary.Operand second = operand(b, layoutB, ranges, 2);
          for (int at = from; at < to; at += tile) {
            int n = Math.min(tile, to - at);
            int co = c.seek(at, n);
            int ao = first.seek(at, n);
            int bo = second.seek(at, n);
            where(c.array, co, first.array, ao, second.array, bo, ys, y.offset() + at, n);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int n = y.length();
    if (layoutCondition.isFull() && layoutA.isFull() && layoutB.isFull()) {
      cuda.kernel("binary", "where_f32").i32(n).pointer(condition).pointer(a).pointer(b).pointer(y);
      cuda.launch(cuda.blocks((n + 3) / 4, Launcher.THREADS), Launcher.THREADS);
      return;
    }
    cuda.kernel("binary", "where_broadcast_f32");
    int threads = Broadcast.arguments(cuda, n, layoutCondition, layoutA, layoutB);
    cuda.pointer(condition).pointer(a).pointer(b).pointer(y);
    cuda.launch(cuda.blocks(threads, Launcher.THREADS), Launcher.THREADS);
  }

  private static Binary.Operand operand(Buffer x, Broadcast layout, Ranges ranges, int slot) {
    return new Binary.Operand(x.floats(), x.offset(), layout, layout.isFull(), ranges, slot);
  }

  private static void where(
      float[] c, int co, float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = c[co + i] != 0f ? a[ao + i] : b[bo + i];
    }
  }
}
