package dev.limbeck.tensor;

import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.op.AllFinite;
import dev.limbeck.kernels.op.ArgMax;
import dev.limbeck.kernels.op.Broadcast;
import dev.limbeck.kernels.op.IntToFloat;
import dev.limbeck.kernels.op.OneHot;
import dev.limbeck.kernels.op.Softmax;
import dev.limbeck.kernels.op.SoftmaxGrad;
import dev.limbeck.kernels.op.Sort;
import dev.limbeck.kernels.op.Transpose;
import dev.limbeck.kernels.op.Where;

/** Shape logic of the operations along an axis, and of those that compose others. */
final class AxisOps {
  private AxisOps() {}

  static Tensor where(Tensor condition, Tensor a, Tensor b) {
    try (Scope scope = Scope.open()) {
      Tensor c = condition.type() == DType.I32 ? toFloat(condition) : condition;
      Shape shape = Broadcasting.common("where", a.shape(), b.shape());
      shape = Broadcasting.common("where", shape, c.shape());
      Broadcast[] layouts = Broadcasting.layouts("where", shape, c.shape(), a.shape(), b.shape());
      Tensor y = Tensor.empty(a.device(), shape);
      y.run(
          new Where(
              c.buffer(), layouts[0], a.buffer(), layouts[1], b.buffer(), layouts[2], y.buffer()));
      return scope.keep(y);
    }
  }

  static Tensor toFloat(Tensor x) {
    Tensor y = Tensor.empty(x.device(), x.shape());
    y.run(new IntToFloat(x.buffer(), y.buffer()));
    return y;
  }

  static Tensor argmax(Tensor x, int axis) {
    Shape s = x.shape();
    int a = s.axis(axis);
    Tensor y = Tensor.empty(x.device(), DType.I32, s.without(a));
    int inner = s.product(a + 1, s.rank());
    y.run(new ArgMax(x.buffer(), y.buffer(), s.product(0, a), s.dim(a), inner));
    return y;
  }

  static Tensor variance(Tensor x, int axis, boolean keep) {
    try (Scope scope = Scope.open()) {
      return scope.keep(x.sub(x.mean(axis, true)).square().mean(axis, keep));
    }
  }

  static Tensor logSumExp(Tensor x, int axis, boolean keep) {
    try (Scope scope = Scope.open()) {
      // A row of -∞ has no finite maximum to subtract.
      Tensor m = x.max(axis, true).clamp(-Float.MAX_VALUE, Float.MAX_VALUE);
      Tensor y = x.sub(m).exp().sum(axis, true).log().add(m);
      Shape to = keep ? y.shape() : y.shape().without(axis);
      return scope.keep(y).reshape(to.toArray());
    }
  }

  static Tensor softmax(Tensor x, int axis, boolean log) {
    int last = x.shape().rank() - 1;
    int a = x.shape().axis(axis);
    if (a != last) {
      try (Scope scope = Scope.open()) {
        int[] swap = swap(x.shape().rank(), a);
        return scope.keep(softmax(x.transpose(swap), last, log).transpose(swap));
      }
    }
    int count = x.dim(last);
    Tensor y = Tensor.empty(x.device(), x.shape());
    int rows = x.shape().product(0, last);
    y.run(new Softmax(log, x.buffer(), y.buffer(), rows, count));
    return y;
  }

  static Tensor softmaxGrad(Tensor g, Tensor y, int axis, boolean log) {
    int last = y.shape().rank() - 1;
    int a = y.shape().axis(axis);
    if (a != last) {
      try (Scope scope = Scope.open()) {
        int[] swap = swap(y.shape().rank(), a);
        Tensor dx = softmaxGrad(g.transpose(swap), y.transpose(swap), last, log);
        return scope.keep(dx.transpose(swap));
      }
    }
    int count = y.dim(last);
    Tensor dx = Tensor.empty(y.device(), y.shape());
    int rows = y.shape().product(0, last);
    dx.run(new SoftmaxGrad(log, g.buffer(), y.buffer(), dx.buffer(), rows, count));
    return dx;
  }

  /** The order of axes that exchanges one with the last. */
  private static int[] swap(int rank, int axis) {
    int[] order = new int[rank];
    for (int i = 0; i < rank; i++) {
      order[i] = i;
    }
    order[axis] = rank - 1;
    order[rank - 1] = axis;
    return order;
  }

  static Tensor transpose(Tensor x, int... axes) {
    int rank = x.shape().rank();
    int[] pitch = new int[rank];
    int product = 1;
    for (int i = rank - 1; i >= 0; i--) {
      pitch[i] = product;
      product *= x.dim(i);
    }
    int[] sizes = new int[rank];
    int[] strides = new int[rank];
    int seen = 0;
    for (int i = 0; i < rank && i < axes.length; i++) {
      int a = x.shape().axis(axes[i]);
      sizes[i] = x.dim(a);
      strides[i] = pitch[a];
      seen |= 1 << a;
    }
    if (axes.length != rank || seen != (1 << rank) - 1) {
      throw new ShapeException(
          "transpose: "
              + java.util.Arrays.toString(axes)
              + " does not name each axis of "
              + x.shape()
              + " once");
    }
    Tensor y = Tensor.empty(x.device(), Shape.of(sizes));
    if (rank == 0) {
      return y.copyFrom(x);
    }
    y.run(new Transpose(x.buffer(), y.buffer(), sizes, strides));
    return y;
  }

  static Tensor oneHot(Tensor indices, int classes, Device device) {
    int[] sizes = java.util.Arrays.copyOf(indices.shape().toArray(), indices.shape().rank() + 1);
    sizes[sizes.length - 1] = classes;
    Tensor y = Tensor.empty(device, Shape.of(sizes));
    y.run(new OneHot(indices.buffer(), y.buffer(), classes));
    return y;
  }

  static Tensor crossEntropy(Tensor x, Tensor labels) {
    checkLabels(x, labels);
    try (Scope scope = Scope.open()) {
      Tensor chosen = oneHot(labels, x.dim(-1), x.device());
      // Chosen, not multiplied by 0 and 1: a class that was masked out has logit -∞.
      Tensor none = Tensor.zeros(x.device(), Shape.of(1));
      Tensor picked =
          Tensor.where(chosen, x.logSoftmax(-1).reshape(chosen.shape().toArray()), none);
      return scope.keep(picked.sum().mul(-1f / labels.size()));
    }
  }

  static void checkLabels(Tensor x, Tensor labels) {
    int last = x.shape().rank() - 1;
    if (last < 0 || labels.type() != DType.I32 || labels.size() != x.shape().product(0, last)) {
      throw new ShapeException(
          "crossEntropy: expects one I32 label per row, got " + labels + " for " + x);
    }
  }

  static Tensor sort(Tensor x) {
    int last = x.shape().rank() - 1;
    Tensor y = Tensor.empty(x.device(), x.shape());
    y.run(new Sort(x.buffer(), y.buffer(), x.shape().product(0, last), x.dim(last)));
    return y;
  }

  static Tensor quantile(Tensor x, float q) {
    if (!(q >= 0f && q <= 1f)) {
      throw new IllegalArgumentException("quantile: " + q + " is not between 0 and 1");
    }
    int last = x.shape().rank() - 1;
    double position = (double) q * (x.dim(last) - 1);
    int low = (int) Math.floor(position);
    int high = Math.min(low + 1, x.dim(last) - 1);
    float share = (float) (position - low);
    try (Scope scope = Scope.open()) {
      Tensor sorted = sort(x);
      Tensor a = sorted.slice(last, low, low + 1);
      Tensor b = sorted.slice(last, high, high + 1);
      // An infinite neighbour of weight 0 must not turn the result into NaN.
      Tensor y = share == 0f ? a : a.mul(1f - share).add(b.mul(share));
      return scope.keep(y).reshape(x.shape().without(last).toArray());
    }
  }

  static boolean isFinite(Tensor x) {
    try (Tensor y = Tensor.empty(x.device(), Shape.of())) {
      y.run(new AllFinite(x.buffer(), y.buffer()));
      return y.item() != 0f;
    }
  }
}
