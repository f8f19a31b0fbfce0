package dev.limbeck.autograd;

import static dev.limbeck.autograd.OpCase.of;
import static dev.limbeck.autograd.OpCase.unary;

import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * The table of operations: every public operation of {@link Var} and {@link RowOps} has a row here,
 * which {@link OpCasesTest} and {@link TangentsTest} check on every path.
 */
final class OpCases {
  private OpCases() {}

  static List<OpCase> all() {
    List<OpCase> rows = new ArrayList<>();
    elementwise(rows);
    binary(rows);
    reductions(rows);
    movement(rows);
    products(rows);
    layers(rows);
    perSample(rows);
    return rows;
  }

  private static List<Shape> shapes(int[]... sizes) {
    List<Shape> shapes = new ArrayList<>();
    for (int[] each : sizes) {
      shapes.add(Shape.of(each));
    }
    return shapes;
  }

  private static int[] s(int... sizes) {
    return sizes;
  }

  private static void elementwise(List<OpCase> rows) {
    rows.add(unary("neg", x -> -x, v -> v[0].neg()));
    rows.add(unary("exp", Math::exp, v -> v[0].exp()));
    rows.add(unary("log", Math::log, v -> v[0].log()).within(0.2f, 5f));
    rows.add(unary("sqrt", Math::sqrt, v -> v[0].sqrt()).within(0.2f, 5f));
    rows.add(unary("square", x -> x * x, v -> v[0].square()));
    rows.add(unary("abs", Math::abs, v -> v[0].abs()).awayFromZero());
    rows.add(unary("pow", x -> Math.pow(x, 2.5), v -> v[0].pow(2.5f)).within(0.2f, 3f));
    rows.add(
        unary("clamp", x -> Math.max(0, Math.min(9, x)), v -> v[0].clamp(0f, 9f)).awayFromZero());
    rows.add(unary("sigmoid", x -> 1 / (1 + Math.exp(-x)), v -> v[0].sigmoid()));
    rows.add(unary("tanh", Math::tanh, v -> v[0].tanh()));
    rows.add(unary("silu", x -> x / (1 + Math.exp(-x)), v -> v[0].silu()));
    rows.add(unary("gelu", null, v -> v[0].gelu()));
    rows.add(unary("relu", x -> Math.max(0, x), v -> v[0].relu()).awayFromZero());
    rows.add(
        unary("leakyRelu", x -> x > 0 ? x : 0.2f * x, v -> v[0].leakyRelu(0.2f)).awayFromZero());
    rows.add(unary("softplus", x -> Math.log1p(Math.exp(x)), v -> v[0].softplus()));
    rows.add(unary("add", x -> x + 2.5, v -> v[0].add(2.5f)));
    rows.add(unary("mul", x -> x * -2.5, v -> v[0].mul(-2.5f)));
  }

  private static void binary(List<OpCase> rows) {
    // Equal shapes, a bias, a factor per sample, and both sides repeated.
    List<List<Shape>> pairs =
        List.of(
            shapes(s(3, 5, 71), s(3, 5, 71)),
            shapes(s(3, 5, 71), s(71)),
            shapes(s(3, 5, 71), s(3, 1, 1)),
            shapes(s(3, 1, 71), s(5, 1)));
    for (List<Shape> pair : pairs) {
      rows.add(of("add", pair, v -> v[0].add(v[1])));
      rows.add(of("sub", pair, v -> v[0].sub(v[1])));
      rows.add(of("mul", pair, v -> v[0].mul(v[1])));
      rows.add(of("div", pair, v -> v[0].div(v[1])).within(0.5f, 2f));
      rows.add(of("maximum", pair, v -> v[0].maximum(v[1])).inputsApart());
      rows.add(of("minimum", pair, v -> v[0].minimum(v[1])).inputsApart());
    }
  }

  private static void reductions(List<OpCase> rows) {
    List<Shape> x = shapes(s(3, 5, 71));
    rows.add(of("sum", x, v -> v[0].sum()));
    rows.add(of("mean", x, v -> v[0].mean()));
    for (int axis = 0; axis < 3; axis++) {
      int a = axis;
      rows.add(of("sum", x, v -> v[0].sum(a, true)));
      rows.add(of("mean", x, v -> v[0].mean(a, false)));
      // A wide range, so that no step of a difference quotient changes which is largest.
      rows.add(of("max", x, v -> v[0].max(a, false)).within(-50f, 50f));
      rows.add(of("variance", x, v -> v[0].variance(a, true)));
      rows.add(of("logSumExp", x, v -> v[0].logSumExp(a, false)));
      rows.add(of("softmax", x, v -> v[0].softmax(a)));
      rows.add(of("logSoftmax", x, v -> v[0].logSoftmax(a)));
    }
    rows.add(
        of(
            "crossEntropy",
            shapes(s(6, 37)),
            v -> v[0].crossEntropy(indices(v[0], 36, 0, 5, 5, 9, 1))));
  }

  private static void movement(List<OpCase> rows) {
    List<Shape> x = shapes(s(3, 5, 71));
    // Numbers that BF16 has, those a step of a difference quotient away included.
    rows.add(of("to", x, v -> v[0].to(DType.BF16).to(DType.F32)).within(-1.4f, 1.4f).inputsApart());
    rows.add(of("to", x, v -> v[0].to(DType.BF16).mean()).within(-1.4f, 1.4f).inputsApart());
    rows.add(of("reshape", x, v -> v[0].reshape(15, 71)));
    rows.add(of("transpose", x, v -> v[0].transpose(2, 0, 1)));
    rows.add(of("transpose", x, v -> v[0].transpose(0, 2, 1)));
    rows.add(
        of(
            "where",
            shapes(s(7), s(7)),
            v -> Var.where(indices(v[0], 1, 0, 0, 1, 1, 0, 1), v[0], v[1])));
    rows.add(of("concat", shapes(s(3, 5, 7), s(3, 2, 7), s(3, 1, 7)), v -> Var.concat(1, v)));
    rows.add(of("slice", x, v -> v[0].slice(2, 13, 50)));
    rows.add(of("slice", x, v -> v[0].slice(0, 1, 3)));
    rows.add(of("gather", shapes(s(9, 21)), v -> v[0].gather(indices(v[0], 8, 0, 3, 3, 8, 1))));
  }

  private static Tensor indices(Var beside, int... values) {
    return Tensor.of(beside.value().device(), Shape.of(values.length), values);
  }

  private static void products(List<OpCase> rows) {
    rows.add(of("matmul", shapes(s(13, 37), s(37, 19)), v -> v[0].matmul(v[1])));
    rows.add(of("matmul", shapes(s(3, 37, 13), s(3, 37, 19)), v -> v[0].matmul(v[1], true, false)));
    rows.add(of("matmul", shapes(s(13, 37), s(19, 37)), v -> v[0].matmul(v[1], false, true)));
    rows.add(of("linear", shapes(s(2, 5, 37), s(19, 37), s(19)), v -> v[0].linear(v[1], v[2])));
    rows.add(
        of(
            "conv2d",
            shapes(s(2, 9, 7, 5), s(6, 3, 3, 5), s(6)),
            v -> v[0].conv2d(v[1], v[2], Conv2dSpec.same(3))));
    rows.add(
        of(
            "conv2d",
            shapes(s(2, 8, 6, 5), s(6, 3, 3, 5), s(6)),
            v -> v[0].conv2d(v[1], v[2], new Conv2dSpec(2, 2, 0, 0, 1, 1))));
    rows.add(
        of(
            "conv2d",
            shapes(s(2, 4, 6, 18), s(20, 1, 1, 18)),
            v -> v[0].conv2d(v[1], null, Conv2dSpec.same(1))));
    rows.add(
        of(
            "conv2d",
            shapes(s(1, 6, 5, 16), s(17, 3, 3, 16), s(17), s(1, 6, 5, 17)),
            v -> v[0].conv2d(v[1], v[2], Conv2dSpec.same(3), v[3])));
  }

  private static void layers(List<OpCase> rows) {
    List<Shape> norm = shapes(s(2, 5, 3, 24), s(24), s(24));
    rows.add(of("groupNorm", norm, v -> v[0].groupNorm(4, v[1], v[2], 1e-5f, true)));
    rows.add(of("groupNorm", norm, v -> v[0].groupNorm(24, v[1], v[2], 1e-5f, false)));
    rows.add(
        of(
            "groupNorm",
            shapes(s(2, 5, 3, 24), s(24), s(24), s(2, 24), s(2, 24)),
            v -> v[0].groupNorm(3, v[1], v[2], 1e-5f, true, v[3], v[4])));
    rows.add(
        of(
            "attention",
            shapes(s(2, 21, 12), s(2, 21, 12), s(2, 21, 12)),
            v -> Var.attention(v[0], v[1], v[2], 3, 0.5f)));
    rows.add(
        of("layerNorm", shapes(s(3, 5, 37), s(37), s(37)), v -> v[0].layerNorm(v[1], v[2], 1e-5f)));
    rows.add(of("rmsNorm", shapes(s(3, 5, 37)), v -> v[0].rmsNorm(1e-5f)));
    List<Shape> images = shapes(s(2, 6, 4, 19));
    rows.add(of("avgPool", images, v -> v[0].avgPool(2)));
    rows.add(of("resizeNearest", images, v -> v[0].resizeNearest(9, 4)));
    rows.add(of("resizeBilinear", images, v -> v[0].resizeBilinear(4, 11)));
    rows.add(of("dropout", shapes(s(3, 5, 71)), v -> v[0].dropout(new Dropout(0.3f, 5))));
  }

  private static void perSample(List<OpCase> rows) {
    List<Shape> two = shapes(s(3, 5, 7), s(3, 5, 7));
    rows.add(
        of(
            "RowOps.combine",
            two,
            v -> RowOps.combine(numbers(v[0], .5f, -1, 2), v[0], numbers(v[0], 3, 1, -.3f), v[1])));
    rows.add(
        of("RowOps.scale", shapes(s(3, 71)), v -> RowOps.scale(numbers(v[0], .5f, -1, 2), v[0])));
    rows.add(
        of(
            "RowOps.meanSquaredError",
            shapes(s(3, 5)),
            v ->
                RowOps.meanSquaredError(
                    v[0],
                    Tensor.full(v[0].value().device(), v[0].shape(), .3f),
                    numbers(v[0], .5f, 1, 2))));
  }

  private static Tensor numbers(Var beside, float... values) {
    return Tensor.of(beside.value().device(), Shape.of(values.length), values);
  }
}
