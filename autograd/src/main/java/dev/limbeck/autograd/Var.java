package dev.limbeck.autograd;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.HasBuffer;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/**
 * A tensor that may carry a {@link Tape}: the operand and result of differentiable operations.
 *
 * <p>An operation records itself when an operand is recorded; its gradient then reaches operands
 * that {@linkplain #needsGradient need} one.
 */
public final class Var implements HasBuffer {
  private final Tensor value;
  private final Parameter parameter;
  private final Tape tape;
  private final boolean needsGradient;
  private Tensor gradient;

  /** True if {@link #gradient} may be overwritten: the tape made it, no other variable sees it. */
  private boolean ownsGradient;

  Var(Tensor value, Parameter parameter) {
    this.value = value;
    this.parameter = parameter;
    this.tape = null;
    this.needsGradient = false;
  }

  Var(Tensor value, Tape tape, boolean needsGradient) {
    this.value = value;
    this.parameter = null;
    this.tape = tape;
    this.needsGradient = needsGradient;
  }

  /** A tensor that takes part in operations without being recorded. */
  public static Var constant(Tensor value) {
    return new Var(value, (Tape) null, false);
  }

  public Tensor value() {
    return value;
  }

  @Override
  public Buffer buffer() {
    return value.buffer();
  }

  public Shape shape() {
    return value.shape();
  }

  /** Size of an axis; negative axes count from the end. */
  public int dim(int axis) {
    return value.dim(axis);
  }

  Tape tape() {
    return tape;
  }

  /** The parameter that this operand is, or null. */
  public Parameter parameter() {
    return parameter;
  }

  /** The value without its history: gradients stop here. */
  public Tensor detach() {
    return value;
  }

  /**
   * The gradient after {@link Tape#backward}, for inputs made by {@link Tape#inputWithGradient};
   * null if the loss does not depend on it.
   */
  public Tensor gradient() {
    return gradient;
  }

  // ---- recording ----

  /** The tape of the first recorded operand, or null: nothing needs recording. */
  public static Tape tapeOf(Var... operands) {
    for (Var v : operands) {
      if (v != null && v.tape != null) {
        return v.tape;
      }
    }
    return null;
  }

  /** True if a gradient for this operand is wanted by the given tape. */
  public boolean needsGradient(Tape on) {
    return on != null && (parameter != null ? on.trains(parameter) : tape == on && needsGradient);
  }

  /**
   * The result of an operation; recorded if an operand is, and if any operand needs a gradient.
   *
   * <p>The adjoint is called with the output's gradient and hands each input its share by {@link
   * #accumulate(Tensor)}, asking {@link #needsGradient(Tape)} first where the share costs work.
   *
   * @param saved the tensors that the adjoint reads: they live until it has run
   */
  public static Var record(Tensor result, Var[] operands, Tensor[] saved, Tape.Adjoint adjoint) {
    Tape tape = tapeOf(operands);
    if (tape == null) {
      return constant(result);
    }
    boolean needed = false;
    for (Var v : operands) {
      needed |= v != null && v.needsGradient(tape);
    }
    Var output = new Var(result, tape, needed);
    if (needed) {
      tape.add(output, adjoint, saved);
    }
    return output;
  }

  /**
   * Adds a share to this operand's gradient. The tape takes the tensor over: it may be freed or
   * overwritten afterwards. Does nothing for operands without gradient.
   */
  public void accumulate(Tensor share) {
    accumulate(share, true);
  }

  /**
   * As {@link #accumulate(Tensor)}; with {@code owned} false the share belongs to another variable
   * too (an addition hands the same gradient to both operands) and is never overwritten.
   */
  public void accumulate(Tensor share, boolean owned) {
    if (parameter != null) {
      Gradients.add(parameter.gradient(), share);
      return;
    }
    if (!needsGradient) {
      return;
    }
    if (gradient == null) {
      gradient = share;
      ownsGradient = owned;
      share.buffer().hold();
    } else if (ownsGradient) {
      Gradients.add(gradient, share);
    } else {
      Tensor sum = Gradients.sum(gradient, share);
      sum.buffer().hold();
      Tensor old = gradient;
      gradient = sum;
      ownsGradient = true;
      releaseGradient(old);
    }
  }

  /** The gradient that arrived, leaving none; the caller releases it. */
  Tensor takeGradient() {
    Tensor taken = gradient;
    gradient = null;
    return taken;
  }

  void releaseGradient(Tensor taken) {
    if (taken.buffer().unhold()) {
      tape.freeUnlessKept(taken);
    }
  }

  // ---- shape ----

  /** The same elements under another shape of the same size. */
  public Var reshape(int... sizes) {
    int[] from = shape().toArray();
    return record(
        value.reshape(sizes),
        new Var[] {this},
        new Tensor[0],
        g -> accumulate(g.reshape(from), false));
  }

  // ---- matrix products and convolutions ----

  /** The matrix product of the last two axes; see {@link Tensor#matmul(Tensor)}. */
  public Var matmul(Var y) {
    return matmul(y, false, false);
  }

  /** As {@link #matmul(Var)}, with either operand's last two axes exchanged. */
  public Var matmul(Var y, boolean transposeThis, boolean transposeY) {
    return MatrixOps.matmul(this, y, transposeThis, transposeY);
  }

  /** x·Wᵀ + bias over the last axis; see {@link Tensor#linear}. */
  public Var linear(Var weight, Var biasOrNull) {
    return MatrixOps.linear(this, weight, biasOrNull);
  }

  /** Convolution of channels-last images; see {@link Tensor#conv2d}. */
  public Var conv2d(Var weight, Var biasOrNull, Conv2dSpec spec) {
    return MatrixOps.conv2d(this, weight, biasOrNull, spec);
  }

  @Override
  public String toString() {
    return (tape == null ? "constant " : "recorded ") + value;
  }
}
