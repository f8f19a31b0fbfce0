package dev.limbeck.autograd;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.HasBuffer;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.op.Binary;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.kernels.op.Unary;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Resizing;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;

/**
 * A tensor that may carry a {@link Tape} and a tangent: the operand and result of differentiable
 * operations.
 *
 * <p>An operation records itself when an operand is recorded; its gradient then reaches operands
 * that {@linkplain #needsGradient need} one.
 *
 * <p>Where an operand has a {@linkplain #tangent tangent}, the derivative of the operands along a
 * direction, the result has one too: the exact derivative of the result along it, computed beside
 * the value. One run of a network on {@link #dual} inputs is its Jacobian-vector product. Tangents
 * are never recorded; recording and tangents do not know of one another.
 */
public final class Var implements HasBuffer {
  private static final Tensor[] NOTHING = {};

  private final Tensor value;
  private final Parameter parameter;
  private final Tape tape;
  private final boolean needsGradient;
  private final Tensor tangent;
  private Tensor gradient;

  /** True if {@link #gradient} may be overwritten: the tape made it, no other variable sees it. */
  private boolean ownsGradient;

  private Var(Tensor value, Parameter parameter, Tape tape, boolean needsGradient, Tensor tangent) {
    this.value = value;
    this.parameter = parameter;
    this.tape = tape;
    this.needsGradient = needsGradient;
    this.tangent = tangent;
  }

  Var(Tensor value, Parameter parameter) {
    this(value, parameter, null, false, null);
  }

  Var(Tensor value, Tape tape, boolean needsGradient, Tensor tangent) {
    this(value, null, tape, needsGradient, tangent);
  }

  /** A tensor that takes part in operations without being recorded. */
  public static Var constant(Tensor value) {
    return dual(value, null);
  }

  /** As {@link #constant}, with the direction along which derivatives are wanted. */
  public static Var dual(Tensor value, Tensor tangent) {
    return new Var(value, null, null, false, checked(value, tangent));
  }

  /** The same operand, recorded as before, with a tangent; null takes it off. */
  public Var withTangent(Tensor direction) {
    Var same = new Var(value, parameter, tape, needsGradient, checked(value, direction));
    if (needsGradient) {
      tape.add(same, g -> accumulate(g, false), NOTHING);
    }
    return same;
  }

  private static Tensor checked(Tensor value, Tensor tangent) {
    if (tangent != null && !tangent.shape().equals(value.shape())) {
      throw new ShapeException(
          "tangent: it must have the shape of its value "
              + value.shape()
              + ", it has "
              + tangent.shape());
    }
    if (tangent != null && tangent.type() != value.type()) {
      throw new IllegalArgumentException(
          "tangent: it is "
              + tangent.type()
              + " and its value "
              + value.type()
              + ", convert one by to");
    }
    return tangent;
  }

  /**
   * This operand, recorded on the tape of another: for operations that have no recorded operand but
   * a parameter, such as the look-up of an embedding by constant labels.
   */
  public Var beside(Var recorded) {
    return tape == null && recorded.tape != null
        ? new Var(value, parameter, recorded.tape, false, tangent)
        : this;
  }

  public Tensor value() {
    return value;
  }

  /**
   * The derivative of the value along the direction that the inputs' tangents are; null where that
   * is zero because the value does not depend on such an input.
   */
  public Tensor tangent() {
    return tangent;
  }

  @Override
  public Buffer buffer() {
    return value.buffer();
  }

  @Override
  public Buffer companion() {
    return tangent == null ? null : tangent.buffer();
  }

  public Shape shape() {
    return value.shape();
  }

  public DType type() {
    return value.type();
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

  /** The value without its history: gradients and tangents stop here. */
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
   * Computes the tangent of an operation's result from those of its operands, of which at least one
   * is not null.
   */
  @FunctionalInterface
  public interface Pushforward {
    /** A tensor of the result's shape, in memory that no operand's tangent uses. */
    Tensor run();
  }

  /** As below, for an operation that refuses operands with tangents. */
  public static Var record(Tensor result, Var[] operands, Tensor[] saved, Tape.Adjoint adjoint) {
    return record(result, operands, saved, adjoint, null);
  }

  /**
   * The result of an operation; recorded if an operand is, and if any operand needs a gradient.
   *
   * <p>The adjoint is called with the output's gradient and hands each input its share by {@link
   * #accumulate(Tensor)}, asking {@link #needsGradient(Tape)} first where the share costs work.
   *
   * @param saved the tensors that the adjoint reads: they live until it has run
   * @param pushforward called at once if an operand has a tangent, and not otherwise
   */
  public static Var record(
      Tensor result,
      Var[] operands,
      Tensor[] saved,
      Tape.Adjoint adjoint,
      Pushforward pushforward) {
    Tensor tangent = tangentOf(result, operands, pushforward);
    Tape tape = tapeOf(operands);
    if (tape == null) {
      return new Var(result, null, false, tangent);
    }
    boolean needed = false;
    for (Var v : operands) {
      needed |= v != null && v.needsGradient(tape);
    }
    Var output = new Var(result, tape, needed, tangent);
    if (needed) {
      tape.add(output, adjoint, saved);
    }
    return output;
  }

  private static Tensor tangentOf(Tensor result, Var[] operands, Pushforward pushforward) {
    for (Var v : operands) {
      if (v != null && v.tangent != null) {
        if (pushforward == null) {
          throw new UnsupportedOperationException(
              "an operation with the result "
                  + result
                  + " was recorded without a rule for tangents: give Var.record its pushforward,"
                  + " or take the operands' tangents off by detach()");
        }
        try (Scope scope = Scope.open()) {
          return scope.keep(checked(result, pushforward.run()));
        }
      }
    }
    return null;
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

  // ---- type ----

  /** The same numbers as F32 or BF16; the gradient is converted back. See {@link Tensor#to}. */
  public Var to(DType type) {
    DType from = value.type();
    if (from == type) {
      return this;
    }
    return record(
        value.to(type),
        new Var[] {this},
        NOTHING,
        g -> accumulate(g.to(from)),
        () -> tangent.to(type));
  }

  /** The value as an operand beside x: a parameter's in x's type, anything else as it is. */
  Tensor like(Tensor x) {
    return parameter == null ? value : parameter.value(x.type());
  }

  // ---- shape ----

  /** The same elements under another shape of the same size. */
  public Var reshape(int... sizes) {
    int[] from = shape().toArray();
    return record(
        value.reshape(sizes),
        new Var[] {this},
        NOTHING,
        g -> accumulate(g.reshape(from), false),
        () -> tangent.reshape(sizes));
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

  /** Convolution of channels-last images; see {@link Tensor#conv2d(Tensor, Tensor, Conv2dSpec)}. */
  public Var conv2d(Var weight, Var biasOrNull, Conv2dSpec spec) {
    return MatrixOps.conv2d(this, weight, biasOrNull, spec, null);
  }

  /**
   * As {@link #conv2d(Var, Var, Conv2dSpec)} plus a residual of the result's shape: one pass over
   * memory less than an addition afterwards.
   */
  public Var conv2d(Var weight, Var biasOrNull, Conv2dSpec spec, Var residual) {
    return MatrixOps.conv2d(this, weight, biasOrNull, spec, residual);
  }

  // ---- elementwise; operands of different shapes are broadcast ----

  /** a + b. */
  public Var add(Var b) {
    Tape tape = tapeOf(this, b);
    Tensor sum = value.add(b.value);
    return record(
        sum,
        new Var[] {this, b},
        NOTHING,
        g -> {
          shareBroadcast(g, tape);
          b.shareBroadcast(g, tape);
        },
        () -> Tangents.add(this, b, sum.shape()));
  }

  /** a - b. */
  public Var sub(Var b) {
    Tape tape = tapeOf(this, b);
    Tensor difference = value.sub(b.value);
    return record(
        difference,
        new Var[] {this, b},
        NOTHING,
        g -> {
          shareBroadcast(g, tape);
          if (b.needsGradient(tape)) {
            b.accumulate(g.sumTo(b.shape()).neg());
          }
        },
        () -> Tangents.sub(this, b, difference.shape()));
  }

  /** a · b. */
  public Var mul(Var b) {
    Tape tape = tapeOf(this, b);
    Tensor first = value;
    Tensor second = b.value;
    boolean forA = needsGradient(tape);
    boolean forB = b.needsGradient(tape);
    return record(
        value.mul(b.value),
        new Var[] {this, b},
        forA && forB ? new Tensor[] {first, second} : new Tensor[] {forA ? second : first},
        g -> {
          if (forA) {
            accumulate(g.mul(second).sumTo(first.shape()));
          }
          if (forB) {
            b.accumulate(g.mul(first).sumTo(second.shape()));
          }
        },
        () -> Tangents.mul(this, b));
  }

  /** a / b. */
  public Var div(Var b) {
    Tape tape = tapeOf(this, b);
    Tensor quotient = value.div(b.value);
    Tensor divisor = b.value;
    Shape shape = shape();
    return record(
        quotient,
        new Var[] {this, b},
        b.needsGradient(tape) ? new Tensor[] {divisor, quotient} : new Tensor[] {divisor},
        g -> {
          Tensor share = g.div(divisor);
          if (b.needsGradient(tape)) {
            b.accumulate(share.mul(quotient).sumTo(divisor.shape()).neg());
          }
          if (needsGradient(tape)) {
            accumulate(share.sumTo(shape));
          }
        },
        () -> Tangents.div(this, b, quotient));
  }

  /** The larger of a and b; at ties the gradient goes to a. */
  public Var maximum(Var b) {
    return AxisOps.extremum(this, b, Binary.Op.MAXIMUM);
  }

  /** The smaller of a and b; at ties the gradient goes to a. */
  public Var minimum(Var b) {
    return AxisOps.extremum(this, b, Binary.Op.MINIMUM);
  }

  /** Elements of a where the condition (F32 or I32) is not 0, else of b; all broadcast. */
  public static Var where(Tensor condition, Var a, Var b) {
    return AxisOps.where(condition, a, b);
  }

  /** Takes its share of a gradient that came through a broadcasting sum. */
  private void shareBroadcast(Tensor g, Tape tape) {
    if (needsGradient(tape)) {
      Tensor share = g.sumTo(shape());
      accumulate(share, share != g);
    }
  }

  /** x + c. */
  public Var add(float c) {
    return record(
        value.add(c), new Var[] {this}, NOTHING, g -> accumulate(g, false), () -> tangent.copy());
  }

  /** c · x. */
  public Var mul(float c) {
    return record(
        value.mul(c), new Var[] {this}, NOTHING, g -> accumulate(g.mul(c)), () -> tangent.mul(c));
  }

  /** -x. */
  public Var neg() {
    return record(
        value.neg(), new Var[] {this}, NOTHING, g -> accumulate(g.neg()), () -> tangent.neg());
  }

  /** e^x. */
  public Var exp() {
    return unary(Unary.Op.EXP, 0f, 0f);
  }

  /** The natural logarithm. */
  public Var log() {
    return unary(Unary.Op.LOG, 0f, 0f);
  }

  /** √x. */
  public Var sqrt() {
    return unary(Unary.Op.SQRT, 0f, 0f);
  }

  /** x². */
  public Var square() {
    return unary(Unary.Op.SQUARE, 0f, 0f);
  }

  /** |x|, with slope 0 at 0. */
  public Var abs() {
    return unary(Unary.Op.ABS, 0f, 0f);
  }

  /** x^p. */
  public Var pow(float p) {
    return unary(Unary.Op.POW, p, 0f);
  }

  /** min(max(x, low), high); the gradient passes where low ≤ x ≤ high. */
  public Var clamp(float low, float high) {
    return unary(Unary.Op.CLAMP, low, high);
  }

  /** 1 / (1 + e^-x). */
  public Var sigmoid() {
    return unary(Unary.Op.SIGMOID, 0f, 0f);
  }

  /** The hyperbolic tangent. */
  public Var tanh() {
    return unary(Unary.Op.TANH, 0f, 0f);
  }

  /** x·sigmoid(x). */
  public Var silu() {
    return unary(Unary.Op.SILU, 0f, 0f);
  }

  /** x·Φ(x), with Φ the normal distribution function (the exact form, by erf). */
  public Var gelu() {
    return unary(Unary.Op.GELU, 0f, 0f);
  }

  /** max(x, 0), with slope 0 at 0. */
  public Var relu() {
    return unary(Unary.Op.LEAKY_RELU, 0f, 0f);
  }

  /** x if positive, else slope·x. */
  public Var leakyRelu(float slope) {
    return unary(Unary.Op.LEAKY_RELU, slope, 0f);
  }

  /** ln(1 + e^x). */
  public Var softplus() {
    return unary(Unary.Op.SOFTPLUS, 0f, 0f);
  }

  private Var unary(Unary.Op op, float p, float q) {
    Tensor y = value.unary(op, p, q);
    boolean fromResult =
        op == Unary.Op.EXP || op == Unary.Op.SQRT || op == Unary.Op.SIGMOID || op == Unary.Op.TANH;
    Tensor saved = fromResult ? y : value;
    return record(
        y,
        new Var[] {this},
        new Tensor[] {saved},
        g -> accumulate(g.unaryGrad(op, p, q, saved)),
        () -> tangent.unaryGrad(op, p, q, saved));
  }

  // ---- reductions ----

  /** The sum of all elements, a scalar. */
  public Var sum() {
    Shape from = shape();
    return record(
        value.sum(),
        new Var[] {this},
        NOTHING,
        g -> accumulate(spread(g, from, 1f).to(type())),
        () -> tangent.sum());
  }

  /** The mean of all elements, a scalar. */
  public Var mean() {
    Shape from = shape();
    return record(
        value.mean(),
        new Var[] {this},
        NOTHING,
        g -> accumulate(spread(g, from, 1f / from.size()).to(type())),
        () -> tangent.mean());
  }

  /** The sum over one axis, which stays with size 1 if {@code keep}. */
  public Var sum(int axis, boolean keep) {
    return sumOver(value.sum(axis, keep), axis, 1f, () -> tangent.sum(axis, keep));
  }

  /** The mean over one axis, which stays with size 1 if {@code keep}. */
  public Var mean(int axis, boolean keep) {
    return sumOver(value.mean(axis, keep), axis, 1f / dim(axis), () -> tangent.mean(axis, keep));
  }

  /** The largest element along one axis; the gradient is shared equally between equal ones. */
  public Var max(int axis, boolean keep) {
    return AxisOps.max(this, axis, keep);
  }

  /** The mean squared distance from the mean along an axis, divided by n (not n - 1). */
  public Var variance(int axis, boolean keep) {
    return AxisOps.variance(this, axis, keep);
  }

  /** ln Σ e^x along an axis, without overflow. */
  public Var logSumExp(int axis, boolean keep) {
    return AxisOps.logSumExp(this, axis, keep);
  }

  /** e^x / Σ e^x along an axis. */
  public Var softmax(int axis) {
    return AxisOps.softmax(this, axis, false);
  }

  /** x - ln Σ e^x along an axis. */
  public Var logSoftmax(int axis) {
    return AxisOps.softmax(this, axis, true);
  }

  /** The mean over rows of -ln softmax(x)[label]; see {@link Tensor#crossEntropy}. */
  public Var crossEntropy(Tensor labels) {
    return AxisOps.crossEntropy(this, labels);
  }

  private Var sumOver(Tensor result, int axis, float scale, Pushforward pushforward) {
    Shape from = shape();
    int[] kept = from.with(axis, 1).toArray();
    return record(
        result,
        new Var[] {this},
        NOTHING,
        g -> accumulate(spread(g.reshape(kept), from, scale).to(type())),
        pushforward);
  }

  /** scale·g, repeated to a shape. */
  private static Tensor spread(Tensor g, Shape to, float scale) {
    return Tensor.full(g.device(), to, scale).mul(g);
  }

  // ---- moving data ----

  /** The parts one after the other along an axis; their other sizes must agree. */
  public static Var concat(int axis, Var... parts) {
    Tensor[] values = new Tensor[parts.length];
    for (int i = 0; i < parts.length; i++) {
      values[i] = parts[i].value;
    }
    Tape tape = tapeOf(parts);
    return record(
        Tensor.concat(axis, values),
        parts,
        NOTHING,
        g -> {
          int from = 0;
          for (Var part : parts) {
            int to = from + part.dim(axis);
            if (part.needsGradient(tape)) {
              part.accumulate(g.slice(axis, from, to));
            }
            from = to;
          }
        },
        () -> Tangents.concat(axis, parts));
  }

  /** The axes in another order: axis i of the result is axis {@code axes[i]} of this. */
  public Var transpose(int... axes) {
    return AxisOps.transpose(this, axes);
  }

  /** Indices {@code [from, to)} of one axis. */
  public Var slice(int axis, int from, int to) {
    Shape whole = shape();
    return record(
        value.slice(axis, from, to),
        new Var[] {this},
        NOTHING,
        g -> accumulate(Tensor.zeros(g.device(), g.type(), whole).copySlice(axis, from, g)),
        () -> tangent.slice(axis, from, to));
  }

  /**
   * Rows of this table by number; the gradient adds up rows that were taken several times. An index
   * that is no row throws on the CPU and gives a row of NaN on a CUDA device.
   *
   * @shape this [V, width…], indices I32 of any shape; the result has the indices' axes, then width
   */
  public Var gather(Tensor indices) {
    Shape table = shape();
    return record(
        value.gather(indices),
        new Var[] {this},
        new Tensor[] {indices},
        g -> {
          if (parameter != null) {
            parameter.gradient().scatterAdd(indices, g);
          } else {
            accumulate(Tensor.zeros(g.device(), g.type(), table).scatterAdd(indices, g));
          }
        },
        () -> tangent.gather(indices));
  }

  // ---- normalisation, attention, dropout ----

  /**
   * Group normalisation over the last axis' channels, then optional SiLU.
   *
   * @see dev.limbeck.kernels.op.GroupNorm
   */
  public Var groupNorm(int groups, Var gamma, Var beta, float epsilon, boolean silu) {
    return groupNorm(groups, gamma, beta, epsilon, silu, null, null);
  }

  /** As above with act((x̂·γ + β)·(1 + scale) + shift), scale and shift [N,C]. */
  public Var groupNorm(
      int groups, Var gamma, Var beta, float epsilon, boolean silu, Var scale, Var shift) {
    return NormVars.groupNorm(this, groups, gamma, beta, epsilon, silu, scale, shift);
  }

  /** Normalises the last axis to mean 0 and variance 1, then x̂·γ + β, both [C]. */
  public Var layerNorm(Var gamma, Var beta, float epsilon) {
    return NormVars.rowNorm(this, true, gamma, beta, epsilon);
  }

  /** x/√(mean x² + ε) over the last axis. */
  public Var rmsNorm(float epsilon) {
    return NormVars.rowNorm(this, false, null, null, epsilon);
  }

  /** Means of k×k blocks of pixels; k divides the sides of this [N,H,W,C]. */
  public Var avgPool(int k) {
    return NormVars.resize(this, Resizing.averagePool(value, k));
  }

  /** Images [N,H,W,C] of another size, each pixel the one at ⌊i·in/out⌋. */
  public Var resizeNearest(int height, int width) {
    return NormVars.resize(this, Resizing.nearest(value, height, width));
  }

  /** Images [N,H,W,C] of another size, interpolated between pixel centres (half-pixel rule). */
  public Var resizeBilinear(int height, int width) {
    return NormVars.resize(this, Resizing.bilinear(value, height, width));
  }

  /**
   * Attention softmax(scale·q·kᵀ)·v per head; q, k, v are [N,T,heads·d].
   *
   * @see dev.limbeck.kernels.op.Attention
   */
  public static Var attention(Var q, Var k, Var v, int heads, float scale) {
    return NormVars.attention(q, k, v, heads, scale);
  }

  /** Zeroes a random part and scales the rest by 1/(1 − rate); this operand itself if off. */
  public Var dropout(Dropout dropout) {
    if (dropout.isOff()) {
      return this;
    }
    return record(
        value.dropout(dropout),
        new Var[] {this},
        NOTHING,
        g -> accumulate(g.dropout(dropout)),
        () -> tangent.dropout(dropout));
  }

  @Override
  public String toString() {
    return (tape == null ? "constant " : "recorded ") + value;
  }
}
