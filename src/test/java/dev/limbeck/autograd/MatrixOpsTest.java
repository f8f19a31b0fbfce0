package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Each operation is linear in each operand, so that ⟨A·x, y⟩ = ⟨x, Aᵀ·y⟩ checks its gradients. */
class MatrixOpsTest {
  private final SplittableRandom random = new SplittableRandom(7);

  private Tensor random(CpuDevice device, int... shape) {
    Shape s = Shape.of(shape);
    float[] values = new float[s.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (random.nextDouble() * 2 - 1);
    }
    return Tensor.of(device, s, values);
  }

  private static double dot(Tensor a, Tensor b) {
    float[] x = a.toFloats();
    float[] y = b.toFloats();
    double sum = 0;
    for (int i = 0; i < x.length; i++) {
      sum += (double) x[i] * y[i];
    }
    return sum;
  }

  @Test
  void matmulGradientsAreAdjoint() {
    try (CpuDevice device = CpuDevice.open(true, 2);
        Scope scope = Scope.open()) {
      for (int variant = 0; variant < 4; variant++) {
        boolean tx = (variant & 1) != 0;
        boolean ty = (variant & 2) != 0;
        Tensor x = tx ? random(device, 3, 7, 5) : random(device, 3, 5, 7);
        Tensor y = ty ? random(device, 3, 9, 7) : random(device, 3, 7, 9);
        Tensor g = random(device, 3, 5, 9);
        try (Tape tape = Tape.open(List.of())) {
          Var xv = tape.inputWithGradient(x);
          Var yv = tape.inputWithGradient(y);
          Var z = xv.matmul(yv, tx, ty);
          tape.backward(z, g);
          double expected = dot(z.value(), g);
          assertEquals(expected, dot(xv.gradient(), x), 1e-4);
          assertEquals(expected, dot(yv.gradient(), y), 1e-4);
        }
      }
    }
  }

  @Test
  void linearAndConvAccumulateIntoParameters() {
    try (CpuDevice device = CpuDevice.open(true, 2);
        Scope scope = Scope.open()) {
      Parameter weight = parameter(device, random(device, 6, 3, 3, 4));
      Parameter bias = parameter(device, random(device, 6));
      Parameter matrix = parameter(device, random(device, 5, 6));
      Tensor x = random(device, 2, 6, 6, 4);
      Tensor g = random(device, 2, 3, 3, 5);
      double base;
      try (Tape tape = Tape.open(List.of(weight, bias, matrix))) {
        Var xv = tape.inputWithGradient(x);
        Var h = xv.conv2d(weight.var(), bias.var(), Conv2dSpec.of(2, 1));
        Var z = h.linear(matrix.var(), null);
        tape.retain(h);
        tape.backward(z, g);
        base = dot(z.value(), g);
        assertEquals(base, dot(matrix.value(), matrix.gradient()), 1e-3);
        assertEquals(
            base,
            dot(weight.value(), weight.gradient()) + dot(bias.value(), bias.gradient()),
            1e-3);
        assertEquals(base, dot(x, xv.gradient()) + dot(bias.value(), bias.gradient()), 1e-3);
      }
      try (Tape tape = Tape.open(List.of(matrix))) {
        Var h = tape.input(x).conv2d(weight.var(), bias.var(), Conv2dSpec.of(2, 1));
        tape.backward(h.linear(matrix.var(), null), g);
      }
      assertEquals(2 * base, dot(matrix.value(), matrix.gradient()), 1e-3);
      assertEquals(
          base, dot(weight.value(), weight.gradient()) + dot(bias.value(), bias.gradient()), 1e-3);
    }
  }

  private static Parameter parameter(CpuDevice device, Tensor value) {
    Tensor zero = Tensor.of(device, value.shape(), new float[value.size()]);
    return new Parameter("p", value, zero);
  }
}
