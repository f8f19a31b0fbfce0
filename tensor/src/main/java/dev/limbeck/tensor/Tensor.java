package dev.limbeck.tensor;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.HasBuffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.Conv2dSpec;

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

  /** A host copy of an F32 tensor. */
  public float[] toFloats() {
    float[] host = new float[size()];
    buffer.download(host, 0);
    return host;
  }

  /** A host copy of an I32 tensor. */
  public int[] toInts() {
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
    return MatrixOps.conv2d(this, weight, biasOrNull, spec);
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
