package dev.limbeck.autograd;

import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/**
 * The tangents of operations with several operands, any of which may be null: zero.
 *
 * <p>A rule's result is new memory, never an operand's tangent itself: scopes may free an operand
 * while its result lives on. Where an operation has a choice (ties, kinks), tangents and gradients
 * make the same one, so that ⟨u, J v⟩ = ⟨Jᵀ u, v⟩ everywhere.
 */
final class Tangents {
  private Tangents() {}

  /** a + b for two summands of one shape, at least one of which is there. */
  static Tensor sum(Tensor a, Tensor b) {
    if (a == null) {
      return b;
    }
    return b == null ? a : a.add(b);
  }

  /** A new tensor with t repeated to a shape. */
  static Tensor spread(Tensor t, Shape shape) {
    return t.shape().equals(shape) ? t.copy() : zeros(t, shape).add(t);
  }

  private static Tensor orZeros(Var v) {
    return v.tangent() != null ? v.tangent() : zeros(v.value(), v.shape());
  }

  private static Tensor zeros(Tensor like, Shape shape) {
    return Tensor.zeros(like.device(), like.type(), shape);
  }

  // ---- elementwise ----

  /** a' + b'. */
  static Tensor add(Var a, Var b, Shape shape) {
    if (a.tangent() == null || b.tangent() == null) {
      return spread(a.tangent() == null ? b.tangent() : a.tangent(), shape);
    }
    return a.tangent().add(b.tangent());
  }

  /** a' − b'. */
  static Tensor sub(Var a, Var b, Shape shape) {
    if (b.tangent() == null) {
      return spread(a.tangent(), shape);
    }
    return a.tangent() == null ? spread(b.tangent().neg(), shape) : a.tangent().sub(b.tangent());
  }

  /** a' b + a b'. */
  static Tensor mul(Var a, Var b) {
    return sum(
        a.tangent() == null ? null : a.tangent().mul(b.value()),
        b.tangent() == null ? null : a.value().mul(b.tangent()));
  }

  /** (a' − (a/b) b') / b. */
  static Tensor div(Var a, Var b, Tensor quotient) {
    if (b.tangent() == null) {
      return a.tangent().div(b.value());
    }
    Tensor second = quotient.mul(b.tangent());
    Tensor difference = a.tangent() == null ? second.neg() : a.tangent().sub(second);
    return difference.div(b.value());
  }

  /** The tangent of the chosen operand, at ties of a. */
  static Tensor extremum(Var a, Var b, boolean largest) {
    Tensor mask = largest ? a.value().greaterEqual(b.value()) : b.value().greaterEqual(a.value());
    return Tensor.where(mask, orZeros(a), orZeros(b));
  }

  static Tensor where(Tensor condition, Var a, Var b) {
    return Tensor.where(condition, orZeros(a), orZeros(b));
  }

  // ---- along an axis ----

  /** The tangent of the largest element; the mean of those of several equal ones. */
  static Tensor max(Var x, Tensor y, int axis, boolean keep) {
    Tensor mask = x.value().greaterEqual(y.reshape(x.shape().with(axis, 1).toArray()));
    return mask.mul(x.tangent()).sum(axis, keep).div(mask.sum(axis, keep));
  }

  /** y (x' − Σ y x'), whose matrix is symmetric; or x' − Σ e^y x'. */
  static Tensor softmax(Var x, Tensor y, int axis, boolean log) {
    return log
        ? x.tangent().sub(y.exp().mul(x.tangent()).sum(axis, true))
        : x.tangent().softmaxGrad(y, axis);
  }

  static Tensor concat(int axis, Var... parts) {
    Tensor[] tangents = new Tensor[parts.length];
    for (int i = 0; i < parts.length; i++) {
      tangents[i] = orZeros(parts[i]);
    }
    return Tensor.concat(axis, tangents);
  }

  // ---- products ----

  /** X' Y + X Y'. */
  static Tensor matmul(Var x, Var y, boolean tx, boolean ty) {
    return sum(
        x.tangent() == null ? null : x.tangent().matmul(y.value(), tx, ty),
        y.tangent() == null ? null : x.value().matmul(y.tangent(), tx, ty));
  }

  /** X' Wᵀ + X W'ᵀ + b'. */
  static Tensor linear(Var x, Var weight, Var bias, Shape shape) {
    Tensor ofBias = of(bias);
    Tensor moved = null;
    if (x.tangent() != null) {
      moved = x.tangent().linear(weight.like(x.value()), ofBias);
    }
    if (weight.tangent() != null) {
      Tensor ofWeight = weight.tangent().to(x.type());
      Tensor bent = x.value().linear(ofWeight, moved == null ? ofBias : null);
      moved = sum(moved, bent);
    }
    return moved == null ? spread(ofBias.to(x.type()), shape) : moved;
  }

  /** X'∗W + X∗W' + b' + r'. */
  static Tensor conv2d(Var x, Var weight, Var bias, Conv2dSpec spec, Var residual, Shape shape) {
    Tensor result = null;
    Tensor ofBias = of(bias);
    Tensor rest = of(residual);
    if (x.tangent() != null) {
      result = x.tangent().conv2d(weight.like(x.value()), ofBias, spec, rest);
      ofBias = null;
      rest = result;
    }
    if (weight.tangent() != null) {
      return x.value().conv2d(weight.tangent().to(x.type()), ofBias, spec, rest);
    }
    if (result != null) {
      return result;
    }
    if (ofBias == null) {
      return rest.copy();
    }
    return rest == null ? spread(ofBias.to(x.type()), shape) : rest.add(ofBias.to(x.type()));
  }

  private static Tensor of(Var operand) {
    return operand == null ? null : operand.tangent();
  }
}
