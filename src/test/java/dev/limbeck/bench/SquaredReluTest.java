package dev.limbeck.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.bench.example.SquaredRelu;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

/** The example of an operation of a user's own gives what the built-in ones give together. */
class SquaredReluTest {
  @DeviceTest
  void agreesWithTheComposition(Device device) {
    float[][] fused = run(device, SquaredRelu::of);
    float[][] composed = run(device, v -> v.leakyRelu(0).square());
    // Doubling is exact, so that both ways round alike; zeros may differ in sign alone.
    assertArrayEquals(composed[0], fused[0], Float.MIN_VALUE);
    assertArrayEquals(composed[1], fused[1], Float.MIN_VALUE);
    assertArrayEquals(composed[2], fused[2], Float.MIN_VALUE);
  }

  /** Loops, gradient and CUDA kernel; package, imports and comments do not count. */
  @Test
  void isWrittenInSixtyLines() throws IOException {
    Path folder =
        Path.of(System.getProperty("limbeck.root"))
            .resolve("bench/src/main/java/dev/limbeck/bench/example");
    long lines = 0;
    for (String file : List.of("SquaredRelu.java", "squared_relu.cu")) {
      for (String line : Files.readAllLines(folder.resolve(file))) {
        lines += line.matches("|\\s*//.*|/\\*\\*.*|  /\\*\\*.*|import .*|package .*") ? 0 : 1;
      }
    }
    assertTrue(lines > 30 && lines <= 60, lines + " lines of code");
  }

  /** The value, the gradient of the input, and the tangent. */
  private static float[][] run(Device device, UnaryOperator<Var> operation) {
    Tensor x = Rng.of(1).normal(device, Shape.of(7, 5003));
    Tensor gradient = Rng.of(2).normal(device, x.shape());
    try (Tape tape = Tape.open(List.of())) {
      Var input = tape.inputWithGradient(x);
      Var y = tape.retain(operation.apply(input.withTangent(gradient)));
      tape.backward(y, gradient);
      return new float[][] {
        y.value().toFloats(), input.gradient().toFloats(), y.tangent().toFloats()
      };
    }
  }
}
