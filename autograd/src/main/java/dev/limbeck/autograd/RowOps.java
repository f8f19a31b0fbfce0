package dev.limbeck.autograd;

import dev.limbeck.kernels.op.ErrorSlopes;
import dev.limbeck.kernels.op.RowCombine;
import dev.limbeck.kernels.op.RowSquaredError;
import dev.limbeck.kernels.op.WeightedMean;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;

/** Operations with one coefficient per sample, the first axis. */
public final class RowOps {
  private RowOps() {}

  /**
   * Computes a[i]·x[i] + b[i]·y[i] for every sample i.
   *
   * @shape a, b: [N]; x, y and the result: [N,…]
   */
  public static Tensor combine(Tensor a, Tensor x, Tensor b, Tensor y) {
    checkRows("row_combine", a, x);
    checkRows("row_combine", b, y);
    checkSame("row_combine", x.shape(), y.shape());
    Tensor out = Tensor.empty(x.device(), x.type(), x.shape());
    x.device()
        .execute(new RowCombine(a.buffer(), x.buffer(), b.buffer(), y.buffer(), out.buffer()));
    return out;
  }

  /**
   * Computes a[i]·x[i] for every sample i.
   *
   * @shape a: [N]; x and the result: [N,…]
   */
  public static Tensor scale(Tensor a, Tensor x) {
    checkRows("row_scale", a, x);
    Tensor out = Tensor.empty(x.device(), x.type(), x.shape());
    x.device().execute(new RowCombine(a.buffer(), x.buffer(), null, null, out.buffer()));
    return out;
  }

  /** As {@link #combine(Tensor, Tensor, Tensor, Tensor)}; the coefficients get no gradient. */
  public static Var combine(Tensor a, Var x, Tensor b, Var y) {
    Tape tape = Var.tapeOf(x, y);
    return Var.record(
        combine(a, x.value(), b, y.value()),
        new Var[] {x, y},
        new Tensor[] {a, b},
        g -> {
          if (x.needsGradient(tape)) {
            x.accumulate(scale(a, g));
          }
          if (y.needsGradient(tape)) {
            y.accumulate(scale(b, g));
          }
        },
        () -> combineTangents(a, x.tangent(), b, y.tangent()));
  }

  /** As {@link #scale(Tensor, Tensor)}; the coefficients get no gradient. */
  public static Var scale(Tensor a, Var x) {
    return Var.record(
        scale(a, x.value()),
        new Var[] {x},
        new Tensor[] {a},
        g -> x.accumulate(scale(a, g)),
        () -> scale(a, x.tangent()));
  }

  private static Tensor combineTangents(Tensor a, Tensor x, Tensor b, Tensor y) {
    if (x == null) {
      return scale(b, y);
    }
    return y == null ? scale(a, x) : combine(a, x, b, y);
  }

  /**
   * The weighted mean squared error (1/N) Σ_i w[i] · mean_j (p[i,j] − t[i,j])².
   *
   * <p>The gradient reaches the prediction only.
   *
   * @shape p, t: [N,…]; w: [N]; result: []
   */
  public static Var meanSquaredError(Var p, Tensor t, Tensor w) {
    checkSame("mse", p.shape(), t.shape());
    checkRows("mse", w, t);
    int rows = w.size();
    int width = t.size() / rows;
    Tensor loss = Tensor.empty(t.device(), Shape.of());
    try (Tensor errors = Tensor.empty(t.device(), Shape.of(rows))) {
      t.device().execute(new RowSquaredError(p.buffer(), t.buffer(), errors.buffer()));
      t.device().execute(new WeightedMean(w.buffer(), errors.buffer(), width, loss.buffer()));
    }
    return Var.record(
        loss,
        new Var[] {p},
        new Tensor[] {p.value(), t, w},
        g -> p.accumulate(errorSlopes(p.value(), t, w, g)),
        () -> {
          Tensor one = Tensor.full(t.device(), Shape.of(), 1f);
          return errorSlopes(p.value(), t, w, one).mul(p.tangent()).sum();
        });
  }

  /** g · 2 w[i] (p − t)[i,j] / (rows · width). */
  private static Tensor errorSlopes(Tensor p, Tensor t, Tensor w, Tensor g) {
    int rows = w.size();
    Tensor plus = Tensor.empty(t.device(), Shape.of(rows));
    Tensor minus = Tensor.empty(t.device(), Shape.of(rows));
    t.device()
        .execute(
            new ErrorSlopes(
                w.buffer(), g.buffer(), t.size() / rows, plus.buffer(), minus.buffer()));
    return combine(plus, p, minus, t);
  }

  private static void checkRows(String op, Tensor coefficients, Tensor x) {
    if (coefficients.shape().rank() != 1
        || x.shape().rank() < 1
        || coefficients.size() != x.dim(0)) {
      throw new ShapeException(
          op
              + ": one coefficient per sample is needed, coefficients "
              + coefficients.shape()
              + ", x "
              + x.shape());
    }
  }

  private static void checkSame(String op, Shape a, Shape b) {
    if (!a.equals(b)) {
      throw new ShapeException(op + ": shapes differ, " + a + " and " + b);
    }
  }
}
