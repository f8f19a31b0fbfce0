package dev.limbeck.tensor;

import dev.limbeck.kernels.op.Attention;
import dev.limbeck.kernels.op.AttentionGrad;

/** Scaled dot-product attention with what its gradient needs; {@code Var} records it. */
public final class AttentionOp {
  private AttentionOp() {}

  /** The output [N,queries,heads·d], with the log-sums of the softmax [N,heads,queries]. */
  public record Result(Tensor o, Tensor logSum) {}

  /** The gradients of queries, keys and values. */
  public record Gradients(Tensor q, Tensor k, Tensor v) {}

  /** Computes softmax(scale·Q·Kᵀ)·V for each head. */
  public static Result forward(Tensor q, Tensor k, Tensor v, int heads, float scale) {
    Attention.Layout layout = layout(q, k, v, heads);
    Tensor o = Tensor.empty(q.device(), q.type(), q.shape());
    Tensor logSum = Tensor.empty(q.device(), Shape.of(layout.samples(), heads, layout.queries()));
    q.run(
        new Attention(
            layout, scale, q.buffer(), k.buffer(), v.buffer(), o.buffer(), logSum.buffer()));
    return new Result(o, logSum);
  }

  /** Computes the gradients from that of the output. */
  public static Gradients gradients(
      Tensor q, Tensor k, Tensor v, int heads, float scale, Result result, Tensor dO) {
    Attention.Layout layout = layout(q, k, v, heads);
    Gradients out =
        new Gradients(
            Tensor.empty(q.device(), q.type(), q.shape()),
            Tensor.empty(k.device(), k.type(), k.shape()),
            Tensor.empty(v.device(), v.type(), v.shape()));
    Attention forward =
        new Attention(
            layout,
            scale,
            q.buffer(),
            k.buffer(),
            v.buffer(),
            result.o.buffer(),
            result.logSum.buffer());
    q.run(new AttentionGrad(forward, dO.buffer(), out.q.buffer(), out.k.buffer(), out.v.buffer()));
    return out;
  }

  private static Attention.Layout layout(Tensor q, Tensor k, Tensor v, int heads) {
    String shapes = " (q " + q.shape() + ", k " + k.shape() + ", v " + v.shape() + ")";
    if (q.shape().rank() != 3 || k.shape().rank() != 3) {
      throw new ShapeException("attention: expects q, k, v [N,T,heads*d]" + shapes);
    }
    if (!k.shape().equals(v.shape())) {
      throw new ShapeException("attention: k and v must have one shape" + shapes);
    }
    if (q.dim(0) != k.dim(0) || q.dim(2) != k.dim(2)) {
      throw new ShapeException("attention: q and k differ in batch or features" + shapes);
    }
    if (heads < 1 || q.dim(2) % heads != 0) {
      throw new ShapeException(
          "attention: " + q.dim(2) + " features do not divide into " + heads + " heads" + shapes);
    }
    return new Attention.Layout(q.dim(0), q.dim(1), k.dim(1), heads, q.dim(2) / heads);
  }
}
