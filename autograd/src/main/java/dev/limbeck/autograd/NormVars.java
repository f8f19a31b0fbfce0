package dev.limbeck.autograd;

import dev.limbeck.tensor.AttentionOp;
import dev.limbeck.tensor.Normalization;
import dev.limbeck.tensor.Normalization.GroupNormOperands;
import dev.limbeck.tensor.Normalization.RowOperands;
import dev.limbeck.tensor.Resizing;
import dev.limbeck.tensor.Tensor;

/** Records normalisations, attention and resizing. */
final class NormVars {
  private NormVars() {}

  static Var groupNorm(
      Var x, int groups, Var gamma, Var beta, float epsilon, boolean silu, Var scale, Var shift) {
    var in =
        new GroupNormOperands(
            x.value(),
            groups,
            gamma.value(),
            beta.value(),
            epsilon,
            silu,
            valueOf(scale),
            valueOf(shift));
    var out = Normalization.groupNorm(in);
    Var[] operands = {x, gamma, beta, scale, shift};
    Var.Pushforward pushforward = () -> NormTangents.groupNorm(in, x, gamma, beta, scale, shift);
    Tape tape = Var.tapeOf(operands);
    if (!needed(tape, operands)) {
      out.mean().close();
      out.inverse().close();
      return Var.record(out.y(), operands, new Tensor[0], g -> {}, pushforward);
    }
    return Var.record(
        out.y(),
        operands,
        saved(in.x(), in.gamma(), in.beta(), in.scale(), in.shift(), out.mean(), out.inverse()),
        g -> {
          var d = Normalization.groupNormGradients(in, out.mean(), out.inverse(), g);
          give(tape, x, d.x());
          give(tape, gamma, d.gamma());
          give(tape, beta, d.beta());
          give(tape, scale, d.scale());
          give(tape, shift, d.shift());
        },
        pushforward);
  }

  static Var attention(Var q, Var k, Var v, int heads, float scale) {
    var out = AttentionOp.forward(q.value(), k.value(), v.value(), heads, scale);
    Var[] operands = {q, k, v};
    Var.Pushforward pushforward = () -> NormTangents.attention(q, k, v, heads, scale);
    Tape tape = Var.tapeOf(operands);
    if (!needed(tape, operands)) {
      out.logSum().close();
      return Var.record(out.o(), operands, new Tensor[0], g -> {}, pushforward);
    }
    return Var.record(
        out.o(),
        operands,
        saved(q.value(), k.value(), v.value(), out.o(), out.logSum()),
        g -> {
          var d = AttentionOp.gradients(q.value(), k.value(), v.value(), heads, scale, out, g);
          give(tape, q, d.q());
          give(tape, k, d.k());
          give(tape, v, d.v());
        },
        pushforward);
  }

  static Var rowNorm(Var x, boolean centred, Var gamma, Var beta, float epsilon) {
    var in = new RowOperands(x.value(), centred, valueOf(gamma), valueOf(beta), epsilon);
    var out = Normalization.rows(in);
    Var[] operands = {x, gamma, beta};
    Var.Pushforward pushforward = () -> NormTangents.rowNorm(in, x, gamma, beta);
    Tape tape = Var.tapeOf(operands);
    if (!needed(tape, operands)) {
      out.mean().close();
      out.inverse().close();
      return Var.record(out.y(), operands, new Tensor[0], g -> {}, pushforward);
    }
    return Var.record(
        out.y(),
        operands,
        saved(in.x(), in.gamma(), out.mean(), out.inverse()),
        g -> {
          var d = Normalization.rowGradients(in, out.mean(), out.inverse(), g);
          give(tape, x, d.x());
          give(tape, gamma, d.gamma());
          give(tape, beta, d.beta());
        },
        pushforward);
  }

  static Var resize(Var x, Resizing map) {
    return Var.record(
        map.apply(x.value()),
        new Var[] {x},
        new Tensor[0],
        g -> x.accumulate(map.transposed().apply(g)),
        () -> map.apply(x.tangent()));
  }

  private static Tensor valueOf(Var operand) {
    return operand == null ? null : operand.value();
  }

  private static boolean needed(Tape tape, Var... operands) {
    for (Var v : operands) {
      if (v != null && v.needsGradient(tape)) {
        return true;
      }
    }
    return false;
  }

  private static Tensor[] saved(Tensor... tensors) {
    return java.util.Arrays.stream(tensors)
        .filter(java.util.Objects::nonNull)
        .toArray(Tensor[]::new);
  }

  private static void give(Tape tape, Var operand, Tensor share) {
    if (operand != null && operand.needsGradient(tape)) {
      operand.accumulate(share);
    }
  }
}
