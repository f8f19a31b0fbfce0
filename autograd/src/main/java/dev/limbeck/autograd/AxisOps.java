package dev.limbeck.autograd;

import dev.limbeck.kernels.op.Binary;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/** Derivatives of choices, and of operations along an axis. */
final class AxisOps {
  private static final Tensor[] NOTHING = {};

  private AxisOps() {}

  /** y = max(a, b) or min(a, b): the gradient goes to the chosen operand, at ties to a. */
  static Var extremum(Var a, Var b, Binary.Op op) {
    boolean largest = op == Binary.Op.MAXIMUM;
    Tape tape = Var.tapeOf(a, b);
    Tensor first = a.value();
    Tensor second = b.value();
    return Var.record(
        largest ? first.maximum(second) : first.minimum(second),
        new Var[] {a, b},
        new Tensor[] {first, second},
        g -> {
          Tensor mask = largest ? first.greaterEqual(second) : second.greaterEqual(first);
          Tensor chosen = g.mul(mask);
          if (b.needsGradient(tape)) {
            b.accumulate(g.sub(chosen).sumTo(second.shape()));
          }
          if (a.needsGradient(tape)) {
            a.accumulate(chosen.sumTo(first.shape()));
          }
        },
        () -> Tangents.extremum(a, b, largest));
  }

  static Var where(Tensor condition, Var a, Var b) {
    Tape tape = Var.tapeOf(a, b);
    Shape shapeA = a.shape();
    Shape shapeB = b.shape();
    return Var.record(
        Tensor.where(condition, a.value(), b.value()),
        new Var[] {a, b},
        new Tensor[] {condition},
        g -> {
          Tensor zero = Tensor.zeros(g.device(), Shape.of());
          if (a.needsGradient(tape)) {
            a.accumulate(Tensor.where(condition, g, zero).sumTo(shapeA));
          }
          if (b.needsGradient(tape)) {
            b.accumulate(Tensor.where(condition, zero, g).sumTo(shapeB));
          }
        },
        () -> Tangents.where(condition, a, b));
  }

  /** The gradient goes to the largest elements, in equal shares where several are equal. */
  static Var max(Var x, int axis, boolean keep) {
    Tensor xv = x.value();
    Tensor y = xv.max(axis, keep);
    int[] kept = x.shape().with(axis, 1).toArray();
    return Var.record(
        y,
        new Var[] {x},
        new Tensor[] {xv, y},
        g -> {
          Tensor mask = xv.greaterEqual(y.reshape(kept));
          Tensor share = g.reshape(kept).div(mask.sum(axis, true));
          x.accumulate(mask.mul(share));
        },
        () -> Tangents.max(x, y, axis, keep));
  }

  /** d/dx_k Σ (x - mean)²/n = 2 (x_k - mean)/n. */
  static Var variance(Var x, int axis, boolean keep) {
    Tensor xv = x.value();
    int[] kept = x.shape().with(axis, 1).toArray();
    float factor = 2f / x.dim(axis);
    return Var.record(
        xv.variance(axis, keep),
        new Var[] {x},
        new Tensor[] {xv},
        g -> x.accumulate(xv.sub(xv.mean(axis, true)).mul(g.reshape(kept).mul(factor))),
        () -> xv.sub(xv.mean(axis, true)).mul(x.tangent()).sum(axis, keep).mul(factor));
  }

  /** d/dx_k ln Σ e^x = e^(x_k - y). */
  static Var logSumExp(Var x, int axis, boolean keep) {
    Tensor xv = x.value();
    Tensor y = xv.logSumExp(axis, keep);
    int[] kept = x.shape().with(axis, 1).toArray();
    return Var.record(
        y,
        new Var[] {x},
        new Tensor[] {xv, y},
        g -> x.accumulate(xv.sub(y.reshape(kept)).exp().mul(g.reshape(kept))),
        () -> xv.sub(y.reshape(kept)).exp().mul(x.tangent()).sum(axis, keep));
  }

  static Var softmax(Var x, int axis, boolean log) {
    Tensor y = log ? x.value().logSoftmax(axis) : x.value().softmax(axis);
    return Var.record(
        y,
        new Var[] {x},
        new Tensor[] {y},
        g -> x.accumulate(log ? g.logSoftmaxGrad(y, axis) : g.softmaxGrad(y, axis)),
        () -> Tangents.softmax(x, y, axis, log));
  }

  static Var transpose(Var x, int... axes) {
    int[] back = new int[axes.length];
    Tensor y = x.value().transpose(axes);
    for (int i = 0; i < axes.length; i++) {
      back[x.shape().axis(axes[i])] = i;
    }
    return Var.record(
        y,
        new Var[] {x},
        NOTHING,
        g -> x.accumulate(g.transpose(back)),
        () -> x.tangent().transpose(axes));
  }

  /** Loss = -Σ ln p[label] / n; its gradient is (p - one-hot)/n. */
  static Var crossEntropy(Var x, Tensor labels) {
    Tensor xv = x.value();
    return Var.record(
        xv.crossEntropy(labels),
        new Var[] {x},
        new Tensor[] {xv, labels},
        g -> {
          Tensor dx = crossEntropySlopes(xv, labels).mul(g.mul(1f / labels.size()));
          x.accumulate(dx.reshape(xv.shape().toArray()));
        },
        () -> {
          Tensor flat = x.tangent().reshape(xv.size());
          return crossEntropySlopes(xv, labels).mul(flat).sum().mul(1f / labels.size());
        });
  }

  /** p - one-hot, as one row. */
  private static Tensor crossEntropySlopes(Tensor x, Tensor labels) {
    Tensor chosen = Tensor.oneHot(labels, x.dim(-1), x.device());
    return x.softmax(-1).reshape(x.size()).sub(chosen.reshape(x.size()));
  }
}
