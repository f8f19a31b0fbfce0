package dev.limbeck.tensor;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.op.Conv2d;
import dev.limbeck.kernels.op.Conv2dDims;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.kernels.op.MatMul;
import java.util.Arrays;

/** Shapes and launches of matrix products and convolutions. */
final class MatrixOps {
  private MatrixOps() {}

  static Tensor matmul(Tensor x, Tensor y, boolean transposeX, boolean transposeY) {
    Shape xs = x.shape();
    Shape ys = y.shape();
    int rank = xs.rank();
    if (rank < 2 || ys.rank() != rank || !leading(xs).equals(leading(ys))) {
      throw new ShapeException(
          "matmul: operands need two axes or more and equal leading axes, got "
              + xs
              + " and "
              + ys);
    }
    int m = xs.dim(transposeX ? -1 : -2);
    int k = xs.dim(transposeX ? -2 : -1);
    int n = ys.dim(transposeY ? -2 : -1);
    if (ys.dim(transposeY ? -1 : -2) != k) {
      throw new ShapeException(
          "matmul: inner sizes differ (x "
              + xs
              + (transposeX ? " transposed" : "")
              + ", y "
              + ys
              + (transposeY ? " transposed)" : ")"));
    }
    Tensor z = Tensor.empty(x.device(), x.type(), xs.with(-2, m).with(-1, n));
    int batch = xs.product(0, rank - 2);
    z.run(
        new MatMul(
            batch,
            m,
            n,
            k,
            x.buffer(),
            transposeX,
            y.buffer(),
            transposeY,
            null,
            z.buffer(),
            false));
    return z;
  }

  private static Shape leading(Shape s) {
    return Shape.of(Arrays.copyOf(s.toArray(), s.rank() - 2));
  }

  static Tensor linear(Tensor x, Tensor weight, Tensor bias) {
    Shape xs = x.shape();
    Shape ws = weight.shape();
    if (ws.rank() != 2 || xs.rank() < 1 || xs.dim(-1) != ws.dim(1)) {
      throw new ShapeException(
          "linear: weight [out,in] must match x [...,in] (x " + xs + ", weight " + ws + ")");
    }
    checkBias("linear", bias, ws.dim(0));
    Tensor y = Tensor.empty(x.device(), x.type(), xs.with(-1, ws.dim(0)));
    int rows = xs.product(0, xs.rank() - 1);
    y.run(
        new MatMul(
            1,
            rows,
            ws.dim(0),
            ws.dim(1),
            x.buffer(),
            false,
            weight.buffer(),
            true,
            buffer(bias),
            y.buffer(),
            false));
    return y;
  }

  static Conv2dDims dims(Shape x, Shape weight, Conv2dSpec spec) {
    if (x.rank() != 4 || weight.rank() != 4) {
      throw new ShapeException(
          "conv2d: expects x [n,h,w,c] and weight [o,kh,kw,c] (x "
              + x
              + ", weight "
              + weight
              + ")");
    }
    if (x.dim(3) != weight.dim(3)) {
      throw new ShapeException(
          "conv2d: weight expects "
              + weight.dim(3)
              + " input channels, x has "
              + x.dim(3)
              + " (x "
              + x
              + ", weight "
              + weight
              + ")");
    }
    Conv2dDims dims =
        new Conv2dDims(
            x.dim(0),
            x.dim(1),
            x.dim(2),
            x.dim(3),
            weight.dim(0),
            weight.dim(1),
            weight.dim(2),
            spec);
    if (dims.outH() < 1 || dims.outW() < 1) {
      throw new ShapeException(
          "conv2d: the kernel is larger than the padded image (x "
              + x
              + ", weight "
              + weight
              + ", "
              + spec
              + ")");
    }
    return dims;
  }

  static Tensor conv2d(Tensor x, Tensor weight, Tensor bias, Conv2dSpec spec, Tensor residual) {
    Conv2dDims d = dims(x.shape(), weight.shape(), spec);
    checkBias("conv2d", bias, d.o());
    Tensor y = Tensor.empty(x.device(), x.type(), Shape.of(d.n(), d.outH(), d.outW(), d.o()));
    if (residual != null && !residual.shape().equals(y.shape())) {
      throw new ShapeException(
          "conv2d: residual must have the result's shape "
              + y.shape()
              + ", it has "
              + residual.shape());
    }
    y.run(new Conv2d(d, x.buffer(), weight.buffer(), buffer(bias), buffer(residual), y.buffer()));
    return y;
  }

  private static void checkBias(String op, Tensor bias, int channels) {
    if (bias != null && !bias.shape().equals(Shape.of(channels))) {
      throw new ShapeException(
          op + ": bias must have shape [" + channels + "], it has " + bias.shape());
    }
  }

  private static Buffer buffer(Tensor t) {
    return t == null ? null : t.buffer();
  }
}
