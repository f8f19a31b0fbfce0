package dev.limbeck.tensor;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.HasBuffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.Axpy;
import dev.limbeck.kernels.op.Binary;
import dev.limbeck.kernels.op.Cast;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.kernels.op.Copy;
import dev.limbeck.kernels.op.CopyBlock;
import dev.limbeck.kernels.op.DropoutApply;
import dev.limbeck.kernels.op.Fill;
import dev.limbeck.kernels.op.Gather;
import dev.limbeck.kernels.op.Reduce;
import dev.limbeck.kernels.op.ScatterAdd;
import dev.limbeck.kernels.op.Unary;
import dev.limbeck.kernels.op.UnaryGrad;

/**
 * Numbers in a {@link Buffer}, seen through a {@link Shape}: contiguous, the last axis fastest.
 *
 * <p>Operations return new tensors, whose buffers the thread's innermost {@link
 * dev.limbeck.kernels.Scope} adopts; nothing is recorded for differentiation.
 */
public final class Tensor implements HasBuffer, AutoCloseable {
  private final Buffer buffer;
  private final Shape shape;

  /** A view of a buffer; the buffer's length must be the shape's size. */
  public Tensor(Buffer buffer, Shape shape) {
    if (buffer.length() != shape.size()) {
      throw new ShapeException(
          "tensor: a buffer of " + buffer.length() + " elements cannot have shape " + shape);
    }
    this.buffer = buffer;
    this.shape = shape;
  }

  // ---- creation ----

  /** F32 elements, undefined. */
  public static Tensor empty(Device device, Shape shape) {
    return empty(device, DType.F32, shape);
  }

  /** Elements of the given type, undefined. */
  public static Tensor empty(Device device, DType type, Shape shape) {
    return new Tensor(device.allocate(type, shape.size()), shape);
  }

  /** F32 elements copied from a host array of exactly the shape's size. */
  public static Tensor of(Device device, Shape shape, float... values) {
    checkCount(shape, values.length);
    Tensor t = empty(device, shape);
    t.buffer.upload(values, 0);
    return t;
  }

  /** I32 elements copied from a host array of exactly the shape's size. */
  public static Tensor of(Device device, Shape shape, int... values) {
    checkCount(shape, values.length);
    Tensor t = empty(device, DType.I32, shape);
    t.buffer.upload(values, 0);
    return t;
  }

  /**
   * F32 elements that are never written again: {@link #toFloats} answers them without asking the
   * device, so that what depends on them needs no wait.
   */
  public static Tensor constant(Device device, Shape shape, float... values) {
    Tensor t = of(device, shape, values);
    t.know(values.clone());
    return t;
  }

  /** I32 elements that are never written again; see {@link #constant(Device, Shape, float...)}. */
  public static Tensor constant(Device device, Shape shape, int... values) {
    Tensor t = of(device, shape, values);
    t.know(values.clone());
    return t;
  }

  private void know(Object values) {
    buffer.freeze();
    buffer.derive(OnHost.VALUES, () -> values);
  }

  /** What {@link #constant} keeps beside the device's memory. */
  private enum OnHost {
    VALUES
  }

  /** The values of a constant, or null. */
  private Object known() {
    return buffer.isFrozen() && !buffer.isSlice() ? buffer.derived(OnHost.VALUES) : null;
  }

  /** F32 zeros. */
  public static Tensor zeros(Device device, Shape shape) {
    return full(device, shape, 0f);
  }

  /** Zeros of the given type. */
  public static Tensor zeros(Device device, DType type, Shape shape) {
    return empty(device, type, shape).fill(0f);
  }

  /** F32 elements that all have one value. */
  public static Tensor full(Device device, Shape shape, float value) {
    return empty(device, shape).fill(value);
  }

  private static void checkCount(Shape shape, int count) {
    if (count != shape.size()) {
      throw new ShapeException("tensor: " + count + " values given for shape " + shape);
    }
  }

  // ---- what it is ----

  @Override
  public Buffer buffer() {
    return buffer;
  }

  public Shape shape() {
    return shape;
  }

  public DType type() {
    return buffer.type();
  }

  public Device device() {
    return buffer.device();
  }

  /** Size of an axis; negative axes count from the end. */
  public int dim(int axis) {
    return shape.dim(axis);
  }

  /** Number of elements. */
  public int size() {
    return shape.size();
  }

  /** A host copy of an F32 or BF16 tensor. */
  public float[] toFloats() {
    if (type() == DType.BF16) {
      try (Tensor wide = to(DType.F32)) {
        return wide.toFloats();
      }
    }
    if (known() instanceof float[] values) {
      return values.clone();
    }
    float[] host = new float[size()];
    buffer.download(host, 0);
    return host;
  }

  /** A host copy of an I32 tensor. */
  public int[] toInts() {
    if (known() instanceof int[] values) {
      return values.clone();
    }
    int[] host = new int[size()];
    buffer.download(host, 0);
    return host;
  }

  /** The only element of a tensor of size one. */
  public float item() {
    if (size() != 1) {
      throw new ShapeException("item: expects one element, the tensor has shape " + shape);
    }
    return toFloats()[0];
  }

  /** The same elements under another shape of the same size, sharing the buffer. */
  public Tensor reshape(int... sizes) {
    Shape to = Shape.of(sizes);
    if (to.size() != size()) {
      throw new ShapeException("reshape: " + shape + " has another size than " + to);
    }
    return new Tensor(buffer, to);
  }

  // ---- matrix products and convolutions ----

  /**
   * The matrix product of the last two axes, over equal leading axes.
   *
   * @shape this [...,m,k], y [...,k,n] → [...,m,n]
   * @throws ShapeException if the inner sizes or the leading axes differ
   */
  public Tensor matmul(Tensor y) {
    return matmul(y, false, false);
  }

  /** As {@link #matmul(Tensor)}, with either operand's last two axes exchanged. */
  public Tensor matmul(Tensor y, boolean transposeThis, boolean transposeY) {
    return MatrixOps.matmul(this, y, transposeThis, transposeY);
  }

  /**
   * x·Wᵀ + bias over the last axis.
   *
   * @shape this [...,in], weight [out,in], bias [out] or null → [...,out]
   * @throws ShapeException if the sizes do not match
   */
  public Tensor linear(Tensor weight, Tensor biasOrNull) {
    return MatrixOps.linear(this, weight, biasOrNull);
  }

  /**
   * Convolution of channels-last images, as networks define it (no flip).
   *
   * @shape this [n,h,w,c], weight [o,kh,kw,c], bias [o] or null → [n,h',w',o]
   * @throws ShapeException if channels differ or the kernel is larger than the padded image
   */
  public Tensor conv2d(Tensor weight, Tensor biasOrNull, Conv2dSpec spec) {
    return MatrixOps.conv2d(this, weight, biasOrNull, spec, null);
  }

  /** As {@link #conv2d(Tensor, Tensor, Conv2dSpec)} plus a tensor of the result's shape. */
  public Tensor conv2d(Tensor weight, Tensor biasOrNull, Conv2dSpec spec, Tensor residual) {
    return MatrixOps.conv2d(this, weight, biasOrNull, spec, residual);
  }

  // ---- in place ----

  /** Sets every element. */
  public Tensor fill(float value) {
    run(new Fill(value, buffer));
    return this;
  }

  /** Copies the elements of a tensor of the same size, whatever its shape. */
  public Tensor copyFrom(Tensor source) {
    if (source.size() != size()) {
      throw new ShapeException("copyFrom: " + source.shape + " has another size than " + shape);
    }
    if (source.device() == device()) {
      run(new Copy(source.buffer, buffer));
    } else if (type() == DType.BF16) {
      buffer.copyFrom(source.buffer);
    } else if (type() == DType.I32) {
      buffer.upload(source.toInts(), 0);
    } else {
      buffer.upload(source.toFloats(), 0);
    }
    return this;
  }

  /** Adds a multiple of a tensor of the same size: this ← this + scale·x. */
  public Tensor addInPlace(float scale, Tensor x) {
    if (x.size() != size()) {
      throw new ShapeException("addInPlace: " + x.shape + " has another size than " + shape);
    }
    run(new Axpy(scale, x.buffer, buffer));
    return this;
  }

  /** A new tensor with the same elements. */
  public Tensor copy() {
    return empty(device(), type(), shape).copyFrom(this);
  }

  /**
   * The same numbers as F32 or BF16, the latter rounded to the nearest, at ties to the even one;
   * this tensor itself if it has the type.
   */
  public Tensor to(DType type) {
    if (type() == type) {
      return this;
    }
    Tensor y = empty(device(), type, shape);
    run(new Cast(buffer, y.buffer));
    return y;
  }

  // ---- elementwise; operands of different shapes are broadcast ----

  /** a + b. */
  public Tensor add(Tensor b) {
    return Broadcasting.binary(Binary.Op.ADD, this, b);
  }

  /** a - b. */
  public Tensor sub(Tensor b) {
    return Broadcasting.binary(Binary.Op.SUB, this, b);
  }

  /** a · b. */
  public Tensor mul(Tensor b) {
    return Broadcasting.binary(Binary.Op.MUL, this, b);
  }

  /** a / b. */
  public Tensor div(Tensor b) {
    return Broadcasting.binary(Binary.Op.DIV, this, b);
  }

  /** The larger of a and b. */
  public Tensor maximum(Tensor b) {
    return Broadcasting.binary(Binary.Op.MAXIMUM, this, b);
  }

  /** The smaller of a and b. */
  public Tensor minimum(Tensor b) {
    return Broadcasting.binary(Binary.Op.MINIMUM, this, b);
  }

  /** 1 where a ≥ b, else 0. */
  public Tensor greaterEqual(Tensor b) {
    return Broadcasting.binary(Binary.Op.GREATER_EQUAL, this, b);
  }

  /** x + c. */
  public Tensor add(float c) {
    return unary(Unary.Op.AFFINE, 1f, c);
  }

  /** c · x. */
  public Tensor mul(float c) {
    return unary(Unary.Op.AFFINE, c, -0f);
  }

  /** -x. */
  public Tensor neg() {
    return unary(Unary.Op.NEG, 0f, 0f);
  }

  /** e^x. */
  public Tensor exp() {
    return unary(Unary.Op.EXP, 0f, 0f);
  }

  /** The natural logarithm. */
  public Tensor log() {
    return unary(Unary.Op.LOG, 0f, 0f);
  }

  /** √x. */
  public Tensor sqrt() {
    return unary(Unary.Op.SQRT, 0f, 0f);
  }

  /** x². */
  public Tensor square() {
    return unary(Unary.Op.SQUARE, 0f, 0f);
  }

  /** |x|. */
  public Tensor abs() {
    return unary(Unary.Op.ABS, 0f, 0f);
  }

  /** x^p. */
  public Tensor pow(float p) {
    return unary(Unary.Op.POW, p, 0f);
  }

  /** min(max(x, low), high). */
  public Tensor clamp(float low, float high) {
    return unary(Unary.Op.CLAMP, low, high);
  }

  /** 1 / (1 + e^-x). */
  public Tensor sigmoid() {
    return unary(Unary.Op.SIGMOID, 0f, 0f);
  }

  /** The hyperbolic tangent. */
  public Tensor tanh() {
    return unary(Unary.Op.TANH, 0f, 0f);
  }

  /** x·sigmoid(x). */
  public Tensor silu() {
    return unary(Unary.Op.SILU, 0f, 0f);
  }

  /** x·Φ(x), with Φ the normal distribution function (the exact form, by erf). */
  public Tensor gelu() {
    return unary(Unary.Op.GELU, 0f, 0f);
  }

  /** max(x, 0). */
  public Tensor relu() {
    return unary(Unary.Op.LEAKY_RELU, 0f, 0f);
  }

  /** x if positive, else slope·x. */
  public Tensor leakyRelu(float slope) {
    return unary(Unary.Op.LEAKY_RELU, slope, 0f);
  }

  /** ln(1 + e^x). */
  public Tensor softplus() {
    return unary(Unary.Op.SOFTPLUS, 0f, 0f);
  }

  /** An elementwise function with its parameters; the named methods are the usual way to it. */
  public Tensor unary(Unary.Op op, float p, float q) {
    Tensor y = empty(device(), type(), shape);
    run(new Unary(op, p, q, buffer, y.buffer));
    return y;
  }

  /**
   * The gradient of {@link #unary} for this output gradient; {@code saved} is what {@link
   * UnaryGrad} says.
   */
  public Tensor unaryGrad(Unary.Op op, float p, float q, Tensor saved) {
    Tensor dx = empty(device(), type(), shape);
    run(new UnaryGrad(op, p, q, buffer, saved.buffer, dx.buffer));
    return dx;
  }

  // ---- reductions; their results are F32 ----

  /** The sum of all elements, a scalar. */
  public Tensor sum() {
    return reduce(Reduce.Op.SUM, 1f, 1, size(), 1, Shape.of());
  }

  /** The mean of all elements, a scalar. */
  public Tensor mean() {
    return reduce(Reduce.Op.SUM, 1f / size(), 1, size(), 1, Shape.of());
  }

  /** The sum over one axis, which stays with size 1 if {@code keep}. */
  public Tensor sum(int axis, boolean keep) {
    return reduce(Reduce.Op.SUM, 1f, axis, keep);
  }

  /** The mean over one axis, which stays with size 1 if {@code keep}. */
  public Tensor mean(int axis, boolean keep) {
    return reduce(Reduce.Op.SUM, 1f / dim(axis), axis, keep);
  }

  /** The largest element along one axis, which stays with size 1 if {@code keep}. */
  public Tensor max(int axis, boolean keep) {
    return reduce(Reduce.Op.MAX, 1f, axis, keep);
  }

  /** Where the elements along an axis are largest: the first such index, I32, without the axis. */
  public Tensor argmax(int axis) {
    return AxisOps.argmax(this, axis);
  }

  /** The mean squared distance from the mean along an axis, divided by n (not n - 1). */
  public Tensor variance(int axis, boolean keep) {
    return AxisOps.variance(this, axis, keep);
  }

  /** ln Σ e^x along an axis, without overflow. */
  public Tensor logSumExp(int axis, boolean keep) {
    return AxisOps.logSumExp(this, axis, keep);
  }

  /** e^x / Σ e^x along an axis. */
  public Tensor softmax(int axis) {
    return AxisOps.softmax(this, axis, false);
  }

  /** x - ln Σ e^x along an axis. */
  public Tensor logSoftmax(int axis) {
    return AxisOps.softmax(this, axis, true);
  }

  /** This output gradient carried back through {@link #softmax}, whose result was y. */
  public Tensor softmaxGrad(Tensor y, int axis) {
    return AxisOps.softmaxGrad(this, y, axis, false);
  }

  /** This output gradient carried back through {@link #logSoftmax}, whose result was y. */
  public Tensor logSoftmaxGrad(Tensor y, int axis) {
    return AxisOps.softmaxGrad(this, y, axis, true);
  }

  /**
   * The mean over rows of -ln softmax(x)[label].
   *
   * @shape this [..., classes], labels I32 with one per row; the result is a scalar
   */
  public Tensor crossEntropy(Tensor labels) {
    return AxisOps.crossEntropy(this, labels);
  }

  /** The elements of each row (last axis) in ascending order; NaN comes last. */
  public Tensor sort() {
    return AxisOps.sort(this);
  }

  /**
   * The q-quantile of each row (last axis): linear between the two nearest order statistics.
   *
   * @shape this [..., m] → [...]
   */
  public Tensor quantile(float q) {
    return AxisOps.quantile(this, q);
  }

  /** True if no element is NaN or infinite; waits for the device. */
  public boolean isFinite() {
    return AxisOps.isFinite(this);
  }

  private Tensor reduce(Reduce.Op op, float scale, int axis, boolean keep) {
    int a = shape.axis(axis);
    Shape to = keep ? shape.with(a, 1) : shape.without(a);
    int inner = shape.product(a + 1, shape.rank());
    return reduce(op, scale, shape.product(0, a), shape.dim(a), inner, to);
  }

  private Tensor reduce(Reduce.Op op, float scale, int outer, int count, int inner, Shape to) {
    Tensor y = empty(device(), to);
    run(new Reduce(op, scale, buffer, y.buffer, outer, count, inner));
    return y;
  }

  /**
   * The sum over the axes along which a tensor of shape {@code to} was repeated to become this
   * shape: the gradient of broadcasting. This tensor itself if the shapes are equal.
   */
  public Tensor sumTo(Shape to) {
    return Broadcasting.sumTo(this, to);
  }

  // ---- moving data ----

  /** Elements of a where the condition (F32 or I32) is not 0, else of b; all broadcast. */
  public static Tensor where(Tensor condition, Tensor a, Tensor b) {
    return AxisOps.where(condition, a, b);
  }

  /** The axes in another order: axis i of the result is axis {@code axes[i]} of this. */
  public Tensor transpose(int... axes) {
    return AxisOps.transpose(this, axes);
  }

  /**
   * Rows with a single 1, at the index; a negative index gives zeros.
   *
   * @shape indices I32 [...] → [..., classes]
   * @throws IndexOutOfBoundsException if an index is not below {@code classes}
   */
  public static Tensor oneHot(Tensor indices, int classes, Device device) {
    return AxisOps.oneHot(indices, classes, device);
  }

  /** I32 elements as F32. */
  public Tensor toFloat() {
    return AxisOps.toFloat(this);
  }

  /** The parts one after the other along an axis; their other sizes must agree. */
  public static Tensor concat(int axis, Tensor... parts) {
    Shape first = parts[0].shape;
    int a = first.axis(axis);
    int total = 0;
    for (Tensor part : parts) {
      if (part.shape.rank() != first.rank() || !part.shape.with(a, 1).equals(first.with(a, 1))) {
        throw new ShapeException(
            "concat: shapes may differ along axis " + a + " only: " + first + ", " + part.shape);
      }
      total += part.dim(a);
    }
    Tensor y = empty(parts[0].device(), parts[0].type(), first.with(a, total));
    int inner = first.product(a + 1, first.rank());
    int rows = first.product(0, a);
    int to = 0;
    for (Tensor part : parts) {
      int width = part.dim(a) * inner;
      y.run(new CopyBlock(part.buffer, 0, width, y.buffer, to, total * inner, rows, width));
      to += width;
    }
    return y;
  }

  /** Indices {@code [from, to)} of one axis. */
  public Tensor slice(int axis, int from, int to) {
    int a = shape.axis(axis);
    if (from < 0 || to < from || to > shape.dim(a)) {
      throw new ShapeException(
          "slice: [" + from + ", " + to + ") leaves axis " + a + " of " + shape);
    }
    Tensor y = empty(device(), type(), shape.with(a, to - from));
    int inner = shape.product(a + 1, shape.rank());
    int pitch = dim(a) * inner;
    int width = (to - from) * inner;
    run(new CopyBlock(buffer, from * inner, pitch, y.buffer, 0, width, shape.product(0, a), width));
    return y;
  }

  /** Copies {@code part} over indices {@code [from, from + part's size)} of one axis. */
  public Tensor copySlice(int axis, int from, Tensor part) {
    int a = shape.axis(axis);
    if (part.shape.rank() != shape.rank()
        || !part.shape.with(a, 1).equals(shape.with(a, 1))
        || from < 0
        || from + part.dim(a) > dim(a)) {
      throw new ShapeException(
          "copySlice: " + part.shape + " at " + from + " of axis " + a + " leaves " + shape);
    }
    int inner = shape.product(a + 1, shape.rank());
    int pitch = dim(a) * inner;
    int width = part.dim(a) * inner;
    run(
        new CopyBlock(
            part.buffer, 0, width, buffer, from * inner, pitch, shape.product(0, a), width));
    return this;
  }

  /**
   * Rows of this table by number.
   *
   * @shape this [V, width…], indices I32 of any shape; the result has the indices' axes, then width
   * @throws IndexOutOfBoundsException if an index is not a row; on a CUDA device, where nobody
   *     waits for the index, its row of the result is NaN instead
   */
  public Tensor gather(Tensor indices) {
    Tensor y = empty(device(), type(), gathered(indices));
    run(new Gather(buffer, indices.buffer, y.buffer, size() / Math.max(1, dim(0))));
    return y;
  }

  private Shape gathered(Tensor indices) {
    if (shape.rank() == 0 || indices.type() != DType.I32) {
      throw new ShapeException(
          "gather: expects a table with rows and I32 indices, got " + this + " and " + indices);
    }
    int[] sizes = new int[indices.shape.rank() + shape.rank() - 1];
    System.arraycopy(indices.shape.toArray(), 0, sizes, 0, indices.shape.rank());
    System.arraycopy(shape.toArray(), 1, sizes, indices.shape.rank(), shape.rank() - 1);
    return Shape.of(sizes);
  }

  /**
   * Adds rows to this table in place: this[indices[i]] += rows[i], in the order of i.
   *
   * @throws IndexOutOfBoundsException if an index is not a row; on a CUDA device row 0 becomes NaN
   *     instead
   */
  public Tensor scatterAdd(Tensor indices, Tensor rows) {
    if (!rows.shape.equals(gathered(indices))) {
      throw new ShapeException(
          "scatterAdd: rows " + rows.shape + " do not fit " + shape + " at " + indices.shape);
    }
    run(new ScatterAdd(rows.buffer, indices.buffer, buffer, size() / Math.max(1, dim(0))));
    return this;
  }

  // ---- normalisation, attention, dropout ----

  /**
   * Group normalisation over the last axis' channels, then optional SiLU.
   *
   * @see dev.limbeck.kernels.op.GroupNorm
   */
  public Tensor groupNorm(int groups, Tensor gamma, Tensor beta, float epsilon, boolean silu) {
    return groupNorm(groups, gamma, beta, epsilon, silu, null, null);
  }

  /** As above with act((x̂·γ + β)·(1 + scale) + shift), scale and shift [N,C]. */
  public Tensor groupNorm(
      int groups,
      Tensor gamma,
      Tensor beta,
      float epsilon,
      boolean silu,
      Tensor scale,
      Tensor shift) {
    var result =
        Normalization.groupNorm(
            new Normalization.GroupNormOperands(
                this, groups, gamma, beta, epsilon, silu, scale, shift));
    result.mean().close();
    result.inverse().close();
    return result.y();
  }

  /** Normalises the last axis to mean 0 and variance 1, then x̂·γ + β, both [C]. */
  public Tensor layerNorm(Tensor gamma, Tensor beta, float epsilon) {
    return rowNorm(new Normalization.RowOperands(this, true, gamma, beta, epsilon));
  }

  /** x/√(mean x² + ε) over the last axis. */
  public Tensor rmsNorm(float epsilon) {
    return rowNorm(new Normalization.RowOperands(this, false, null, null, epsilon));
  }

  private static Tensor rowNorm(Normalization.RowOperands in) {
    var result = Normalization.rows(in);
    result.mean().close();
    result.inverse().close();
    return result.y();
  }

  /** Means of k×k blocks of pixels; k divides the sides of this [N,H,W,C]. */
  public Tensor avgPool(int k) {
    return Resizing.averagePool(this, k).apply(this);
  }

  /** Images [N,H,W,C] of another size, each pixel the one at ⌊i·in/out⌋. */
  public Tensor resizeNearest(int height, int width) {
    return Resizing.nearest(this, height, width).apply(this);
  }

  /** Images [N,H,W,C] of another size, interpolated between pixel centres (half-pixel rule). */
  public Tensor resizeBilinear(int height, int width) {
    return Resizing.bilinear(this, height, width).apply(this);
  }

  /**
   * Attention softmax(scale·q·kᵀ)·v per head; q, k, v are [N,T,heads·d].
   *
   * @see dev.limbeck.kernels.op.Attention
   */
  public static Tensor attention(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    var result = AttentionOp.forward(q, k, v, heads, scale);
    result.logSum().close();
    return result.o();
  }

  /** Zeroes a random part and scales the rest by 1/(1 − rate); this tensor itself if off. */
  public Tensor dropout(Dropout dropout) {
    if (dropout.isOff()) {
      return this;
    }
    Tensor y = empty(device(), type(), shape);
    run(new DropoutApply(dropout.rate(), dropout.key(), buffer, y.buffer));
    return y;
  }

  /** Gives the memory back at once rather than at the end of the scope. */
  @Override
  public void close() {
    buffer.close();
  }

  /** Runs a kernel on this tensor's device. */
  void run(Kernel kernel) {
    device().execute(kernel);
  }

  @Override
  public String toString() {
    return "Tensor" + shape + " " + type() + " on " + device().id();
  }
}
