package dev.limbeck.autograd;

import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.op.Unary;
import dev.limbeck.tensor.Normalization;
import dev.limbeck.tensor.Normalization.GroupNormOperands;
import dev.limbeck.tensor.Normalization.RowOperands;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;

/**
 * The tangents of normalisations and attention, computed in F32 whatever the operands are.
 *
 * <p>The derivative of x̂ = (x − mean)/deviation, inv·(I − 1 1ᵀ/n − x̂ x̂ᵀ/n), is symmetric: the
 * kernels that carry a gradient back through it carry a tangent forward as well.
 */
final class NormTangents {
  private NormTangents() {}

  private static Tensor wide(Tensor t) {
    return t == null ? null : t.to(DType.F32);
  }

  private static Tensor tangent(Var operand) {
    return operand == null ? null : wide(operand.tangent());
  }

  /** u' act'(u), with n = x̂γ + β, u = n(1 + scale) + shift. */
  static Tensor groupNorm(GroupNormOperands in, Var x, Var gamma, Var beta, Var scale, Var shift) {
    Tensor xv = wide(in.x());
    Shape shape = xv.shape();
    var unit = normalised(xv, in);
    var plain =
        Normalization.groupNorm(
            new GroupNormOperands(
                xv, in.groups(), in.gamma(), in.beta(), in.epsilon(), false, null, null));
    Tensor n = plain.y();
    Tensor normal = null;
    if (x.tangent() != null) {
      var d = Normalization.groupNormGradients(unit, plain.mean(), plain.inverse(), tangent(x));
      normal = d.x().mul(in.gamma());
    }
    if (gamma.tangent() != null) {
      Tensor ofGamma = Normalization.groupNorm(unit).y().mul(tangent(gamma));
      normal = Tangents.sum(normal, ofGamma);
    }
    Tensor du = plus(normal, tangent(beta), shape);
    Tensor factor = in.scale() == null ? null : perSample(in.scale(), shape).add(1f);
    if (factor != null && du != null) {
      du = du.mul(factor);
    }
    if (scale != null && scale.tangent() != null) {
      du = Tangents.sum(du, n.mul(perSample(scale.tangent(), shape)));
    }
    if (shift != null && shift.tangent() != null) {
      du = plus(du, perSample(shift.tangent(), shape), shape);
    }
    if (in.silu()) {
      Tensor u = factor == null ? n : n.mul(factor);
      if (in.shift() != null) {
        u = u.add(perSample(in.shift(), shape));
      }
      du = du.unaryGrad(Unary.Op.SILU, 0f, 0f, u);
    }
    return du.to(in.x().type());
  }

  /** The operands of x̂ alone. */
  private static GroupNormOperands normalised(Tensor x, GroupNormOperands in) {
    Device device = x.device();
    Tensor ones = Tensor.full(device, in.gamma().shape(), 1f);
    Tensor zeros = Tensor.zeros(device, in.gamma().shape());
    return new GroupNormOperands(x, in.groups(), ones, zeros, in.epsilon(), false, null, null);
  }

  /** [N,C] as [N,1,…,C]. */
  private static Tensor perSample(Tensor t, Shape shape) {
    int[] sizes = new int[shape.rank()];
    Arrays.fill(sizes, 1);
    sizes[0] = t.dim(0);
    sizes[sizes.length - 1] = t.dim(1);
    return wide(t).reshape(sizes);
  }

  /** t plus something that is repeated to its shape; either may be null, and so may the result. */
  private static Tensor plus(Tensor t, Tensor repeated, Shape shape) {
    if (repeated == null) {
      return t;
    }
    return t == null ? Tangents.spread(repeated, shape) : t.add(repeated);
  }

  /** x̂' γ + x̂ γ' + β'. */
  static Tensor rowNorm(RowOperands in, Var x, Var gamma, Var beta) {
    RowOperands plain = new RowOperands(wide(in.x()), in.centred(), null, null, in.epsilon());
    var out = Normalization.rows(plain);
    Tensor result = null;
    if (x.tangent() != null) {
      result = Normalization.rowGradients(plain, out.mean(), out.inverse(), tangent(x)).x();
      result = gamma == null ? result : result.mul(in.gamma());
    }
    if (gamma != null && gamma.tangent() != null) {
      result = Tangents.sum(result, out.y().mul(tangent(gamma)));
    }
    return plus(result, tangent(beta), in.x().shape()).to(in.x().type());
  }

  /**
   * P v' + P' v with P = softmax(S), S = scale·q kᵀ, S' = scale·(q' kᵀ + q k'ᵀ).
   *
   * @cost three to five products of the size of q kᵀ, and memory for all of P
   */
  static Tensor attention(Var q, Var k, Var v, int heads, float scale) {
    Tensor queries = split(q.value(), heads);
    Tensor keys = split(k.value(), heads);
    Tensor p = queries.matmul(keys, false, true).mul(scale).softmax(-1);
    Tensor slopes =
        Tangents.sum(
            q.tangent() == null ? null : split(q.tangent(), heads).matmul(keys, false, true),
            k.tangent() == null ? null : queries.matmul(split(k.tangent(), heads), false, true));
    Tensor moved = v.tangent() == null ? null : p.matmul(split(v.tangent(), heads));
    if (slopes != null) {
      Tensor bent = slopes.mul(scale).softmaxGrad(p, -1).matmul(split(v.value(), heads));
      moved = Tangents.sum(moved, bent);
    }
    return moved.transpose(0, 2, 1, 3).reshape(q.shape().toArray()).to(q.type());
  }

  /** [N,T,heads·d] as [N,heads,T,d]. */
  private static Tensor split(Tensor t, int heads) {
    return wide(t).reshape(t.dim(0), t.dim(1), heads, t.dim(2) / heads).transpose(0, 2, 1, 3);
  }
}
