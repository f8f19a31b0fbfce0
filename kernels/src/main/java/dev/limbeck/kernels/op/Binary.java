package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Combines two arrays element by element: y ← f(a, b), each operand broadcast by four strides, some
 * of them zero. y may be an operand that is not broadcast.
 *
 * <p>A broadcast operand is expanded tile by tile into scratch that stays in the first-level cache;
 * so there is one loop per function.
 */
@Definition(
    formula = "y = a ∘ b with broadcasting, ∘ one of + − · / max min ≥",
    cost = "n flops, 12n bytes")
public record Binary(Op op, Buffer a, Broadcast layoutA, Buffer b, Broadcast layoutB, Buffer y)
    implements Kernel {
  /** The functions. */
  public enum Op {
    ADD,
    SUB,
    MUL,
    DIV,
    MAXIMUM,
    MINIMUM,
    /** 1 where a ≥ b, else 0; which operand a maximum's gradient belongs to. */
    GREATER_EQUAL
  }

  public Binary {
    if (a.length() < layoutA.extent() || b.length() < layoutB.extent()) {
      throw new IllegalArgumentException(op + ": an operand is too short");
    }
    if (y.length() != layoutA.size() || y.length() != layoutB.size()) {
      throw new IllegalArgumentException(op + ": the result has another size");
    }
  }

  @Override
  public String name() {
    return op.name().toLowerCase(java.util.Locale.ROOT);
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(a, b, y);
  }

  @Override
  public double flops() {
    return y.length();
  }

  @Override
  public boolean takesHalves(int ptx) {
    return ptx > 0
        && op == Op.ADD
        && layoutA.isFull()
        && layoutB.isFull()
        && a.type() == b.type()
        && a.type() == y.type();
  }

  @Override
  public Kernel on(Operands by) {
    return new Binary(op, by.read(a), layoutA, by.read(b), layoutB, by.written(y));
  }

  @Override
  public void onCpu(Ranges ranges) {
    boolean fullA = layoutA.isFull();
    boolean fullB = layoutB.isFull();
    float[] as = a.floats();
    float[] bs = b.floats();
    float[] ys = y.floats();
    int tile = fullA && fullB ? Axpy.GRAIN : layoutA.tile();
    int grain = Math.max(1, Axpy.GRAIN / tile) * tile;
    ranges.split(
        y.length(),
        grain,
        (from, to) -> {
          Operand first = new Operand(as, a.offset(), layoutA, fullA, ranges, 0);
          Operand second = new Operand(bs, b.offset(), layoutB, fullB, ranges, 1);
          for (int at = from; at < to; at += tile) {
            int n = Math.min(tile, to - at);
            int ao = first.seek(at, n);
            int bo = second.seek(at, n);
            int yo = y.offset() + at;
            int done =
                ranges.simd() ? Simd.run(op, first.array, ao, second.array, bo, ys, yo, n) : 0;
            run(first.array, ao + done, second.array, bo + done, ys, yo + done, n - done);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int n = y.length();
    if (y.type() == DType.BF16) {
      cuda.kernel("halves", "add_bf16").i32(n).pointer(a).pointer(b).pointer(y);
      cuda.launch(cuda.blocks((n + 7) / 8, Launcher.THREADS), Launcher.THREADS);
      return;
    }
    if (layoutA.isFull() && layoutB.isFull()) {
      cuda.kernel("binary", name() + "_f32").i32(n).pointer(a).pointer(b).pointer(y);
      cuda.launch(cuda.blocks((n + 3) / 4, Launcher.THREADS), Launcher.THREADS);
      return;
    }
    cuda.kernel("binary", name() + "_broadcast_f32");
    int threads = Broadcast.arguments(cuda, n, layoutA, layoutB);
    cuda.pointer(a).pointer(b).pointer(y);
    cuda.launch(cuda.blocks(threads, Launcher.THREADS), Launcher.THREADS);
  }

  /** An operand at one tile: its own array, or scratch that it was expanded into. */
  static final class Operand {
    private final float[] source;
    private final int offset;
    private final Broadcast layout;
    private final boolean full;
    private int ready;
    final float[] array;

    Operand(float[] source, int offset, Broadcast layout, boolean full, Ranges ranges, int slot) {
      this.source = source;
      this.offset = offset;
      this.layout = layout;
      this.full = full;
      this.array = full ? source : ranges.scratch(slot, Broadcast.TILE);
    }

    /** Makes {@code array} hold the values at results {@code [at, at + n)}; answers where. */
    int seek(int at, int n) {
      if (full) {
        return offset + at;
      }
      if (n > ready) {
        layout.expand(source, offset, at, at + n, array);
        ready = layout.isPeriodic() ? n : 0;
      }
      return 0;
    }
  }

  private void run(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
    switch (op) {
      case ADD -> add(a, ao, b, bo, y, yo, n);
      case SUB -> sub(a, ao, b, bo, y, yo, n);
      case MUL -> mul(a, ao, b, bo, y, yo, n);
      case DIV -> div(a, ao, b, bo, y, yo, n);
      case MAXIMUM -> maximum(a, ao, b, bo, y, yo, n);
      case MINIMUM -> minimum(a, ao, b, bo, y, yo, n);
      case GREATER_EQUAL -> greaterEqual(a, ao, b, bo, y, yo, n);
    }
  }

  private static void add(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = a[ao + i] + b[bo + i];
    }
  }

  private static void sub(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = a[ao + i] - b[bo + i];
    }
  }

  private static void mul(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = a[ao + i] * b[bo + i];
    }
  }

  private static void div(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = a[ao + i] / b[bo + i];
    }
  }

  private static void maximum(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Math.max(a[ao + i], b[bo + i]);
    }
  }

  private static void minimum(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Math.min(a[ao + i], b[bo + i]);
    }
  }

  private static void greaterEqual(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = a[ao + i] >= b[bo + i] ? 1f : 0f;
    }
  }

  /** The same on vectors; answers how many elements it did. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int run(Op op, float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
      int whole = S.loopBound(n);
      switch (op) {
        case ADD -> add(a, ao, b, bo, y, yo, whole);
        case SUB -> sub(a, ao, b, bo, y, yo, whole);
        case MUL -> mul(a, ao, b, bo, y, yo, whole);
        case DIV -> div(a, ao, b, bo, y, yo, whole);
        case MAXIMUM -> maximum(a, ao, b, bo, y, yo, whole);
        case MINIMUM -> minimum(a, ao, b, bo, y, yo, whole);
        default -> {
          return 0;
        }
      }
      return whole;
    }

    private static void add(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector u = FloatVector.fromArray(S, a, ao + i);
        u.add(FloatVector.fromArray(S, b, bo + i)).intoArray(y, yo + i);
      }
    }

    private static void sub(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector u = FloatVector.fromArray(S, a, ao + i);
        u.sub(FloatVector.fromArray(S, b, bo + i)).intoArray(y, yo + i);
      }
    }

    private static void mul(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector u = FloatVector.fromArray(S, a, ao + i);
        u.mul(FloatVector.fromArray(S, b, bo + i)).intoArray(y, yo + i);
      }
    }

    private static void div(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector u = FloatVector.fromArray(S, a, ao + i);
        u.div(FloatVector.fromArray(S, b, bo + i)).intoArray(y, yo + i);
      }
    }

    private static void maximum(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector u = FloatVector.fromArray(S, a, ao + i);
        u.max(FloatVector.fromArray(S, b, bo + i)).intoArray(y, yo + i);
      }
    }

    private static void minimum(float[] a, int ao, float[] b, int bo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector u = FloatVector.fromArray(S, a, ao + i);
        u.min(FloatVector.fromArray(S, b, bo + i)).intoArray(y, yo + i);
      }
    }
  }
}
