package dev.limbeck.autograd;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.op.BiasGradient;
import dev.limbeck.kernels.op.Conv2dDims;
import dev.limbeck.kernels.op.Conv2dInputGradient;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.kernels.op.Conv2dWeightGradient;
import dev.limbeck.kernels.op.MatMul;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/** Derivatives of matrix products and convolutions. */
final class MatrixOps {
  private MatrixOps() {}

  /** Z = XY: dX = G·Yᵀ and dY = Xᵀ·G, and the same with the roles that transposes exchange. */
  static Var matmul(Var x, Var y, boolean tx, boolean ty) {
    Tensor xv = x.value();
    Tensor yv = y.value();
    Tape tape = Var.tapeOf(x, y);
    return Var.record(
        xv.matmul(yv, tx, ty),
        new Var[] {x, y},
        new Tensor[] {xv, yv},
        g -> {
          if (x.needsGradient(tape)) {
            Gradients.into(x, to -> multiply(tx ? yv : g, tx && ty, tx ? g : yv, tx || !ty, to));
          }
          if (y.needsGradient(tape)) {
            Gradients.into(y, to -> multiply(ty ? g : xv, ty || !tx, ty ? xv : g, ty && tx, to));
          }
        },
        () -> Tangents.matmul(x, y, tx, ty));
  }

  private static void multiply(Tensor a, boolean ta, Tensor b, boolean tb, Gradients.Target to) {
    Shape s = to.tensor().shape();
    int m = s.dim(-2);
    int n = s.dim(-1);
    int k = a.dim(ta ? -2 : -1);
    int batch = s.product(0, s.rank() - 2);
    to.execute(
        new MatMul(
            batch, m, n, k, a.buffer(), ta, b.buffer(), tb, null, to.buffer(), to.accumulate()));
  }

  /** Y = XWᵀ + b: dX = G·W, dW = Gᵀ·X, db = Σ rows of G. */
  static Var linear(Var x, Var weight, Var bias) {
    Tensor xv = x.value();
    Tensor wv = weight.like(xv);
    Tape tape = Var.tapeOf(x, weight, bias);
    int out = wv.dim(0);
    int in = wv.dim(1);
    Tensor z = xv.linear(wv, value(bias));
    return Var.record(
        z,
        new Var[] {x, weight, bias},
        new Tensor[] {xv, wv},
        g -> {
          int rows = g.size() / Math.max(1, out);
          Buffer gb = g.buffer();
          if (x.needsGradient(tape)) {
            Gradients.into(
                x,
                to ->
                    to.execute(
                        new MatMul(
                            1,
                            rows,
                            in,
                            out,
                            gb,
                            false,
                            wv.buffer(),
                            false,
                            null,
                            to.buffer(),
                            to.accumulate())));
          }
          if (weight.needsGradient(tape)) {
            Gradients.into(
                weight,
                to ->
                    to.execute(
                        new MatMul(
                            1,
                            out,
                            in,
                            rows,
                            gb,
                            true,
                            xv.buffer(),
                            false,
                            null,
                            to.buffer(),
                            to.accumulate())));
          }
          biasGradient(bias, tape, g, rows, out);
        },
        () -> Tangents.linear(x, weight, bias, z.shape()));
  }

  /** Y = x∗W + b + r: the gradient of r is G itself; see the kernels of the three others. */
  static Var conv2d(Var x, Var weight, Var bias, Conv2dSpec spec, Var residual) {
    Tensor xv = x.value();
    Tensor wv = weight.like(xv);
    Tape tape = Var.tapeOf(x, weight, bias, residual);
    Tensor y = xv.conv2d(wv, value(bias), spec, value(residual));
    Conv2dDims dims =
        new Conv2dDims(
            xv.dim(0), xv.dim(1), xv.dim(2), xv.dim(3), wv.dim(0), wv.dim(1), wv.dim(2), spec);
    return Var.record(
        y,
        new Var[] {x, weight, bias, residual},
        new Tensor[] {xv, wv},
        g -> {
          if (x.needsGradient(tape)) {
            Tensor dx = Tensor.empty(g.device(), xv.type(), xv.shape());
            g.device().execute(new Conv2dInputGradient(dims, g.buffer(), wv.buffer(), dx.buffer()));
            x.accumulate(dx);
          }
          if (weight.needsGradient(tape)) {
            Gradients.into(
                weight,
                to ->
                    to.execute(
                        new Conv2dWeightGradient(
                            dims, xv.buffer(), g.buffer(), to.buffer(), to.accumulate())));
          }
          biasGradient(bias, tape, g, dims.outPixels(), dims.o());
          if (residual != null && residual.needsGradient(tape)) {
            residual.accumulate(g, false);
          }
        },
        () -> Tangents.conv2d(x, weight, bias, spec, residual, y.shape()));
  }

  private static void biasGradient(Var bias, Tape tape, Tensor g, int rows, int columns) {
    if (bias != null && bias.needsGradient(tape)) {
      Gradients.into(
          bias,
          to ->
              to.execute(
                  new BiasGradient(rows, columns, g.buffer(), to.buffer(), to.accumulate())));
    }
  }

  private static Tensor value(Var v) {
    return v == null ? null : v.value();
  }
}
