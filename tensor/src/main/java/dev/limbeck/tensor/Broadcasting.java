package dev.limbeck.tensor;

import dev.limbeck.kernels.op.Binary;
import dev.limbeck.kernels.op.Broadcast;
import dev.limbeck.kernels.op.Reduce;

/** The rules by which shapes of different ranks and sizes meet in one operation. */
final class Broadcasting {
  private Broadcasting() {}

  /** The common shape: axes are aligned at the end, and a size of 1 is repeated. */
  static Shape common(String op, Shape a, Shape b) {
    int rank = Math.max(a.rank(), b.rank());
    int[] sizes = new int[rank];
    for (int i = 1; i <= rank; i++) {
      int x = sizeFromEnd(a, i);
      int y = sizeFromEnd(b, i);
      if (x != y && x != 1 && y != 1) {
        throw new ShapeException(
            op + ": sizes " + x + " and " + y + " cannot be broadcast (a " + a + ", b " + b + ")");
      }
      sizes[rank - i] = x == 1 ? y : x;
    }
    return Shape.of(sizes);
  }

  private static int sizeFromEnd(Shape s, int i) {
    return i <= s.rank() ? s.dim(s.rank() - i) : 1;
  }

  /** How each operand lies under the result, with axes merged where all operands allow it. */
  static Broadcast[] layouts(String op, Shape result, Shape... operands) {
    int[] sizes = {1, 1, 1, 1};
    int[][] strides = new int[operands.length][Broadcast.AXES];
    int[] next = new int[operands.length];
    java.util.Arrays.fill(next, 1);
    int at = Broadcast.AXES;
    for (int i = 1; i <= result.rank(); i++) {
      int size = sizeFromEnd(result, i);
      if (size == 1) {
        continue;
      }
      boolean merges = at < Broadcast.AXES;
      int[] own = new int[operands.length];
      for (int k = 0; k < operands.length; k++) {
        own[k] = sizeFromEnd(operands[k], i) == 1 ? 0 : next[k];
        next[k] *= own[k] == 0 ? 1 : size;
        merges &= at < Broadcast.AXES && own[k] == strides[k][at] * sizes[at];
      }
      if (merges) {
        sizes[at] *= size;
        continue;
      }
      if (--at < 0) {
        throw new ShapeException(op + ": broadcasting to " + result + " mixes too many axes");
      }
      sizes[at] = size;
      for (int k = 0; k < operands.length; k++) {
        strides[k][at] = own[k];
      }
    }
    Broadcast[] layouts = new Broadcast[operands.length];
    for (int k = 0; k < operands.length; k++) {
      layouts[k] = new Broadcast(sizes, strides[k]);
    }
    return layouts;
  }

  static Tensor binary(Binary.Op op, Tensor a, Tensor b) {
    String name = op.name().toLowerCase(java.util.Locale.ROOT);
    Shape shape = a.shape().equals(b.shape()) ? a.shape() : common(name, a.shape(), b.shape());
    Broadcast[] layouts = layouts(name, shape, a.shape(), b.shape());
    if (a.type() != b.type()) {
      throw new IllegalArgumentException(
          name + ": operands are " + a.type() + " and " + b.type() + ", convert one by to");
    }
    Tensor y = Tensor.empty(a.device(), a.type(), shape);
    y.run(new Binary(op, a.buffer(), layouts[0], b.buffer(), layouts[1], y.buffer()));
    return y;
  }

  /** Sums over the axes along which {@code to} was repeated to become {@code x}'s shape. */
  static Tensor sumTo(Tensor x, Shape to) {
    if (x.shape().equals(to)) {
      return x;
    }
    Tensor sum = x;
    int rank = x.shape().rank();
    int end = rank;
    // Runs of neighbouring repeated axes are summed in one pass, the last run first.
    while (end > 0) {
      if (!isRepeated(x.shape(), to, end - 1)) {
        end--;
        continue;
      }
      int start = end - 1;
      while (start > 0 && isRepeated(x.shape(), to, start - 1)) {
        start--;
      }
      int outer = x.shape().product(0, start);
      int count = x.shape().product(start, end);
      int inner = sum.size() / Math.max(1, outer * count);
      Tensor next = Tensor.empty(x.device(), x.type(), Shape.of(outer, inner));
      next.run(new Reduce(Reduce.Op.SUM, 1f, sum.buffer(), next.buffer(), outer, count, inner));
      sum = next;
      end = start;
    }
    return sum.reshape(to.toArray());
  }

  /** True if axis {@code i} of {@code from} stands for a 1 or for nothing in {@code to}. */
  private static boolean isRepeated(Shape from, Shape to, int i) {
    int j = i - (from.rank() - to.rank());
    return j < 0 || to.dim(j) == 1 && from.dim(i) != 1;
  }
}
