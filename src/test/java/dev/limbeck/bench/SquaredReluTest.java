package dev.limbeck.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.bench.example.SquaredRelu;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The example of an operation of a user's own gives what the built-in ones give together. */
class SquaredReluTest {
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void agreesWithTheComposition(boolean simd) {
    try (CpuDevice device = CpuDevice.open(simd, 2)) {
      float[][] fused = run(device, SquaredRelu::of);
      float[][] composed = run(device, v -> v.leakyRelu(0).square());
      // Doubling is exact, so that both ways round alike; zeros may differ in sign alone.
      assertArrayEquals(composed[0], fused[0], Float.MIN_VALUE);
      assertArrayEquals(composed[1], fused[1], Float.MIN_VALUE);
    }
  }

  /** The value and the gradient of the input. */
  private static float[][] run(CpuDevice device, UnaryOperator<Var> operation) {
    Tensor x = Rng.of(1).normal(device, Shape.of(7, 5003));
    Tensor gradient = Rng.of(2).normal(device, x.shape());
    try (Tape tape = Tape.open(List.of())) {
      Var input = tape.inputWithGradient(x);
      Var y = tape.retain(operation.apply(input));
      tape.backward(y, gradient);
      return new float[][] {y.value().toFloats(), input.gradient().toFloats()};
    }
  }
}
