package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Forward-mode derivatives: every row of {@link OpCases} against differences and against its own
 * gradient. Agreement of devices and of numbers of threads is {@link OpCasesTest}'s.
 */
class TangentsTest {
  /** Half the distance of the two points of a difference quotient; BF16 has 1 ± it. */
  private static final float STEP = 0x1p-7f;

  /** Of the largest tangent: the curvature's share of a quotient, about the step squared. */
  private static final float CURVATURE = 1e-3f;

  /**
   * Of the largest value: results are rounded by some units of 6e-8, sums of a thousand terms by
   * ten times as many, and the quotient divides by the step.
   */
  private static final float ROUNDING = 4e-5f;

  /** Of the sum of absolute terms: two sums of up to a thousand products in single precision. */
  private static final double ADJOINT = 4e-6;

  /** The most that a gradient on its way back through a conversion to BF16 is rounded by. */
  private static final double ROUNDING_BF16 = 0x1p-9;

  /** A bit for each input: each of them alone, then all together. */
  private static int[] choices(OpCase row) {
    int inputs = row.inputs().size();
    IntStream each = IntStream.range(0, inputs).map(i -> 1 << i);
    IntStream all = IntStream.of((1 << inputs) - 1);
    return IntStream.concat(each, all).distinct().toArray();
  }

  private static Var run(Device device, OpCase row, int with, float distance) {
    Var[] inputs = new Var[row.inputs().size()];
    for (int i = 0; i < inputs.length; i++) {
      float[] x = row.values(i);
      boolean chosen = (with >> i & 1) == 1;
      float[] direction = row.direction(i);
      for (int k = 0; k < x.length && chosen; k++) {
        x[k] += distance * direction[k];
      }
      Tensor value = Tensor.of(device, row.inputs().get(i), x);
      boolean dual = chosen && distance == 0;
      inputs[i] = dual ? Var.dual(value, row.tangent(device, i)) : Var.constant(value);
    }
    return row.apply().on(inputs);
  }

  private static float largest(float[] values) {
    float largest = 0;
    for (float v : values) {
      largest = Math.max(largest, Math.abs(v));
    }
    return largest;
  }

  @DeviceTest
  void tangentsAreThoseOfDifferences(Device device) {
    for (OpCase row : OpCases.all()) {
      float[] plain = value(device, row, 0, 0);
      for (int with : choices(row)) {
        String what = row + ", tangents of inputs " + Integer.toBinaryString(with);
        try (Scope scope = Scope.open()) {
          Var y = run(device, row, with, 0);
          assertNotNull(y.tangent(), what);
          assertEquals(y.shape(), y.tangent().shape(), what);
          assertArrayEquals(plain, y.value().toFloats(), what + ": the value");
          float[] tangent = y.tangent().toFloats();
          float[] right = value(device, row, with, STEP);
          float[] left = value(device, row, with, -STEP);
          float tolerance = CURVATURE * largest(tangent) + ROUNDING * largest(plain);
          for (int i = 0; i < tangent.length; i++) {
            float quotient = (right[i] - left[i]) / (2 * STEP);
            assertEquals(quotient, tangent[i], tolerance, what + ", element " + i);
          }
        }
      }
    }
  }

  private static float[] value(Device device, OpCase row, int with, float distance) {
    try (Scope scope = Scope.open()) {
      // Without a distance no input has a tangent either.
      return run(device, row, distance == 0 ? 0 : with, distance).value().toFloats();
    }
  }

  /** ⟨u, J v⟩ = ⟨Jᵀ u, v⟩, both of one run. */
  @DeviceTest
  void tangentsAreAdjointToGradients(Device device) {
    for (OpCase row : OpCases.all()) {
      try (Scope scope = Scope.open()) {
        OpCasesTest.Result result = OpCasesTest.run(device, row);
        double[] forward = product(OpCasesTest.weights(result.value().length), result.tangent());
        double reverse = 0;
        double size = forward[1];
        // Each product is rounded by itself, or all alike: errors add up like a random walk, or as
        // a share of the sum.
        double rounded = 2 * Math.sqrt(forward[2]) + Math.abs(forward[0]);
        for (int i = 0; i < row.inputs().size(); i++) {
          double[] share = product(result.gradients().get(i), row.direction(i));
          reverse += share[0];
          size += share[1];
        }
        double tolerance = row.op().equals("to") ? ROUNDING_BF16 * rounded : ADJOINT * size;
        assertEquals(forward[0], reverse, tolerance, row.toString());
      }
    }
  }

  /** ⟨a, b⟩, Σ |aᵢ bᵢ| and Σ (aᵢ bᵢ)². */
  private static double[] product(float[] a, float[] b) {
    double[] sums = new double[3];
    for (int i = 0; i < a.length; i++) {
      double each = (double) a[i] * b[i];
      sums[0] += each;
      sums[1] += Math.abs(each);
      sums[2] += each * each;
    }
    return sums;
  }

  /** No result keeps an operand's memory: what a scope frees early must not be read again. */
  @DeviceTest
  void aResultOwnsItsTangent(Device device) {
    for (OpCase row : OpCases.all()) {
      // The one operation whose value, too, is the operand's memory.
      if (row.op().equals("reshape")) {
        continue;
      }
      for (int with : choices(row)) {
        try (Scope scope = Scope.open()) {
          Var[] inputs = new Var[row.inputs().size()];
          for (int i = 0; i < inputs.length; i++) {
            boolean dual = (with >> i & 1) == 1;
            inputs[i] = Var.dual(row.input(device, i), dual ? row.tangent(device, i) : null);
          }
          Tensor tangent = row.apply().on(inputs).tangent();
          for (Var input : inputs) {
            boolean shared =
                input.tangent() != null
                    && input.tangent().buffer().owner() == tangent.buffer().owner();
            assertEquals(false, shared, row + ", tangents of inputs " + with);
          }
        }
      }
    }
  }

  /** Values and tangents survive together what modules do: keep one result, end the rest. */
  @DeviceTest
  void aScopeKeepsTheTangentWithTheValue(Device device) {
    int before = (int) device.memory().liveBuffers();
    try (Scope outer = Scope.open()) {
      Tensor x = Tensor.of(device, Shape.of(3), 1f, 2f, 3f);
      Tensor v = Tensor.of(device, Shape.of(3), 1f, 0f, -1f);
      Var y;
      try (Scope inner = Scope.open()) {
        Var middle = Var.dual(x, v).square();
        Var early = middle.mul(2f);
        y = inner.keep(middle.add(early.add(1f)));
        inner.free(early);
      }
      assertEquals(before + 4, device.memory().liveBuffers());
      assertArrayEquals(new float[] {4f, 13f, 28f}, y.value().toFloats());
      assertArrayEquals(new float[] {6f, 0f, -18f}, y.tangent().toFloats());
    }
    assertEquals(before, device.memory().liveBuffers());
  }

  /** A tangent that is lost in silence would be the worst of all errors. */
  @DeviceTest
  void anOperationWithoutARuleRefuses(Device device) {
    try (Scope scope = Scope.open()) {
      Tensor x = Tensor.of(device, Shape.of(2), 1f, 2f);
      Var constant = Var.constant(x);
      assertNull(Var.record(x.exp(), new Var[] {constant}, new Tensor[0], g -> {}).tangent());
      Var dual = Var.dual(x, x);
      UnsupportedOperationException refused =
          assertThrows(
              UnsupportedOperationException.class,
              () -> Var.record(x.exp(), new Var[] {null, dual}, new Tensor[0], g -> {}));
      assertTrue(refused.getMessage().contains("without a rule for tangents"));
      assertThrows(
          ShapeException.class,
          () -> Var.record(x.exp(), new Var[] {dual}, new Tensor[0], g -> {}, x::sum));
      assertThrows(ShapeException.class, () -> Var.dual(x, x.sum()));
    }
  }

  /** A parameter has no tangent unless one is given; its gradient does not mind. */
  @DeviceTest
  void parametersMayHaveTangents(Device device) {
    try (Scope scope = Scope.open()) {
      Tensor w = Tensor.of(device, Shape.of(2), 3f, -1f);
      Parameter parameter = new Parameter("w", w, Tensor.zeros(device, w.shape()));
      try (Tape tape = Tape.open(List.of(parameter))) {
        Var x = tape.input(Tensor.of(device, Shape.of(2), 5f, 7f));
        assertNull(parameter.var().mul(x).tangent());
        Var y = parameter.var().withTangent(Tensor.of(device, Shape.of(2), 1f, 2f)).mul(x);
        assertArrayEquals(new float[] {5f, 14f}, y.tangent().toFloats());
        tape.backward(y.sum());
      }
      assertArrayEquals(new float[] {5f, 7f}, parameter.gradient().toFloats());
    }
  }

  /** What is computed again for its gradient has a tangent at once, and none the second time. */
  @DeviceTest
  void aCheckpointPassesTangentsOn(Device device) {
    try (Tape tape = Tape.open(List.of())) {
      Tensor x = Tensor.of(device, Shape.of(2), 0.5f, -1f);
      Var input = tape.inputWithGradient(x);
      Var dual = input.withTangent(Tensor.of(device, Shape.of(2), 2f, 3f));
      Var y = Checkpoint.run(v -> v[0].square().mul(v[0]), dual);
      assertArrayEquals(new float[] {1.5f, 9f}, y.tangent().toFloats());
      tape.backward(y.sum());
      assertArrayEquals(new float[] {0.75f, 3f}, input.gradient().toFloats());
    }
  }
}
