package dev.limbeck.tensor;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.op.GroupNorm;
import dev.limbeck.kernels.op.GroupNormGrad;
import dev.limbeck.kernels.op.RowNorm;
import dev.limbeck.kernels.op.RowNormGrad;

/** Normalisations with what their gradients need; {@code Var} records them. */
public final class Normalization {
  private Normalization() {}

  /** The operands of one group normalisation; scale and shift may both be null. */
  public record GroupNormOperands(
      Tensor x,
      int groups,
      Tensor gamma,
      Tensor beta,
      float epsilon,
      boolean silu,
      Tensor scale,
      Tensor shift) {

    public GroupNormOperands {
      checkGroupNorm(x, groups, gamma, beta, scale, shift);
    }
  }

  /** The result y, with the means and inverse deviations [N,groups]. */
  public record GroupNormResult(Tensor y, Tensor mean, Tensor inverse) {}

  /** The gradients of a group normalisation's operands; those of absent operands are null. */
  public record GroupNormGradients(
      Tensor x, Tensor gamma, Tensor beta, Tensor scale, Tensor shift) {}

  /** Computes the normalised, scaled, shifted and (if asked) SiLU-activated tensor. */
  public static GroupNormResult groupNorm(GroupNormOperands in) {
    Tensor x = in.x;
    Shape perGroup = Shape.of(x.dim(0), in.groups);
    GroupNormResult out =
        new GroupNormResult(
            Tensor.empty(x.device(), x.type(), x.shape()),
            Tensor.empty(x.device(), perGroup),
            Tensor.empty(x.device(), perGroup));
    if (x.size() > 0) {
      x.run(kernel(in, out));
    }
    return out;
  }

  /** Computes the gradients of all operands from that of y. */
  public static GroupNormGradients groupNormGradients(
      GroupNormOperands in, Tensor mean, Tensor inverse, Tensor dy) {
    Tensor x = in.x;
    GroupNormGradients out =
        new GroupNormGradients(
            Tensor.empty(x.device(), x.type(), x.shape()),
            like(in.gamma),
            like(in.beta),
            in.scale == null ? null : like(in.scale),
            in.shift == null ? null : like(in.shift));
    x.run(
        new GroupNormGrad(
            kernel(in, new GroupNormResult(x, mean, inverse)),
            dy.buffer(),
            out.x.buffer(),
            out.gamma.buffer(),
            out.beta.buffer(),
            bufferOf(out.scale),
            bufferOf(out.shift)));
    return out;
  }

  private static Tensor like(Tensor t) {
    return Tensor.empty(t.device(), t.type(), t.shape());
  }

  private static GroupNorm kernel(GroupNormOperands in, GroupNormResult out) {
    Shape s = in.x.shape();
    int c = s.dim(-1);
    int pixels = s.product(1, s.rank() - 1);
    return new GroupNorm(
        new GroupNorm.Layout(s.dim(0), pixels, c, in.groups),
        in.epsilon,
        in.silu,
        in.x.buffer(),
        in.gamma.buffer(),
        in.beta.buffer(),
        bufferOf(in.scale),
        bufferOf(in.shift),
        out.y.buffer(),
        out.mean.buffer(),
        out.inverse.buffer());
  }

  private static void checkGroupNorm(
      Tensor x, int groups, Tensor gamma, Tensor beta, Tensor scale, Tensor shift) {
    if (x.shape().rank() < 2) {
      throw new ShapeException("groupNorm: expects x [N,...,C], x has shape " + x.shape());
    }
    int c = x.dim(-1);
    if (groups < 1 || c % groups != 0) {
      throw new ShapeException(
          "groupNorm: "
              + c
              + " channels do not divide into "
              + groups
              + " groups (x "
              + x.shape()
              + ")");
    }
    Shape perChannel = Shape.of(c);
    Shape perSample = Shape.of(x.dim(0), c);
    expect("groupNorm", "gamma", gamma, perChannel, x);
    expect("groupNorm", "beta", beta, perChannel, x);
    if (scale != null) {
      expect("groupNorm", "scale", scale, perSample, x);
    }
    if (shift != null) {
      expect("groupNorm", "shift", shift, perSample, x);
    }
  }

  private static void expect(String op, String what, Tensor t, Shape wanted, Tensor x) {
    if (!t.shape().equals(wanted)) {
      throw new ShapeException(
          op
              + ": "
              + what
              + " must be "
              + wanted
              + ", it is "
              + t.shape()
              + " (x "
              + x.shape()
              + ")");
    }
  }

  // ---- rows ----

  /** The operands of layer normalisation (centred), or of RMS normalisation; γ, β may be null. */
  public record RowOperands(Tensor x, boolean centred, Tensor gamma, Tensor beta, float epsilon) {
    public RowOperands {
      if (x.shape().rank() < 1 || x.dim(-1) < 1) {
        throw new ShapeException("layerNorm: expects x [...,C], x has shape " + x.shape());
      }
      Shape perChannel = Shape.of(x.dim(-1));
      if (gamma != null) {
        expect("layerNorm", "gamma", gamma, perChannel, x);
      }
      if (beta != null) {
        expect("layerNorm", "beta", beta, perChannel, x);
      }
    }
  }

  /** The result y, with the rows' means and inverse deviations. */
  public record RowResult(Tensor y, Tensor mean, Tensor inverse) {}

  /** The gradients of a row normalisation's operands; those of absent operands are null. */
  public record RowGradients(Tensor x, Tensor gamma, Tensor beta) {}

  /** Normalises the last axis. */
  public static RowResult rows(RowOperands in) {
    Shape perRow = Shape.of(in.x.size() / in.x.dim(-1));
    RowResult out =
        new RowResult(
            Tensor.empty(in.x.device(), in.x.shape()),
            Tensor.empty(in.x.device(), perRow),
            Tensor.empty(in.x.device(), perRow));
    in.x.run(kernel(in, out));
    return out;
  }

  /** Computes the gradients of all operands from that of y. */
  public static RowGradients rowGradients(RowOperands in, Tensor mean, Tensor inverse, Tensor dy) {
    RowGradients out =
        new RowGradients(
            Tensor.empty(in.x.device(), in.x.shape()),
            in.gamma == null ? null : Tensor.empty(in.x.device(), in.gamma.shape()),
            in.beta == null ? null : Tensor.empty(in.x.device(), in.beta.shape()));
    in.x.run(
        new RowNormGrad(
            kernel(in, new RowResult(in.x, mean, inverse)),
            dy.buffer(),
            out.x.buffer(),
            bufferOf(out.gamma),
            bufferOf(out.beta)));
    return out;
  }

  private static RowNorm kernel(RowOperands in, RowResult out) {
    return new RowNorm(
        in.x.dim(-1),
        in.centred,
        in.epsilon,
        in.x.buffer(),
        bufferOf(in.gamma),
        bufferOf(in.beta),
        out.y.buffer(),
        out.mean.buffer(),
        out.inverse.buffer());
  }

  private static Buffer bufferOf(Tensor t) {
    return t == null ? null : t.buffer();
  }
}
