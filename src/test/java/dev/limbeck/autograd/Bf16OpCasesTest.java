package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Operations that a network in BF16 consists of, with their gradients, beside the same in F32. */
class Bf16OpCasesTest {
  private static final Set<String> OPERATIONS =
      Set.of(
          "add",
          "mul",
          "silu",
          "sum",
          "mean",
          "reshape",
          "concat",
          "slice",
          "gather",
          "linear",
          "matmul",
          "conv2d",
          "groupNorm",
          "attention",
          "avgPool",
          "resizeNearest",
          "resizeBilinear",
          "dropout");

  /** The unit roundoff of BF16. */
  private static final float ROUNDING = 0x1p-8f;

  /** The result is rounded, the tensor-core attention's weights and a broadcast's sum before it. */
  private static final float VALUES = 2 * ROUNDING;

  /** The output's gradient, what lies between, and the share of the gradient are rounded. */
  private static final float GRADIENTS = 4 * ROUNDING;

  private record Result(float[] value, List<float[]> gradients) {}

  /** Value and gradients of Σ wᵢyᵢ, on inputs that BF16 has. */
  private static Result run(Device device, OpCase row, DType type) {
    try (Tape tape = Tape.open(List.of())) {
      Var[] inputs = new Var[row.inputs().size()];
      Var[] operands = new Var[inputs.length];
      for (int i = 0; i < inputs.length; i++) {
        inputs[i] = tape.inputWithGradient(row.input(device, i).to(DType.BF16).to(DType.F32));
        operands[i] = inputs[i].to(type);
      }
      Var y = row.apply().on(operands);
      boolean reduced = row.op().equals("sum") || row.op().equals("mean");
      assertEquals(reduced ? DType.F32 : type, y.type(), row.toString());
      Var wide = tape.retain(y.to(DType.F32));
      float[] value = wide.value().toFloats();
      Tensor weights = Tensor.of(device, wide.shape(), OpCasesTest.weights(value.length));
      tape.backward(wide, weights);
      List<float[]> gradients = new ArrayList<>();
      for (Var input : inputs) {
        gradients.add(input.gradient().toFloats());
      }
      return new Result(value, gradients);
    }
  }

  private static void assertClose(float[] expected, float[] actual, float tolerance, String what) {
    float largest = 1e-6f;
    for (float e : expected) {
      largest = Math.max(largest, Math.abs(e));
    }
    assertArrayEquals(expected, actual, tolerance * largest, what);
  }

  @DeviceTest
  void valuesAndGradientsAreThoseOfF32(Device device) {
    int rows = 0;
    for (OpCase row : OpCases.all()) {
      if (!OPERATIONS.contains(row.op())) {
        continue;
      }
      rows++;
      try (Scope scope = Scope.open()) {
        Result expected = run(device, row, DType.F32);
        Result actual = run(device, row, DType.BF16);
        assertClose(expected.value, actual.value, VALUES, row + ", value");
        for (int i = 0; i < row.inputs().size(); i++) {
          float[] g = expected.gradients.get(i);
          assertClose(g, actual.gradients.get(i), GRADIENTS, row + ", gradient " + i);
        }
      }
    }
    assertTrue(rows > OPERATIONS.size(), rows + " rows");
  }
}
