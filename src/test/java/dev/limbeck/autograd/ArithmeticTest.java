package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;

class ArithmeticTest {
  private static final CpuDevice DEVICE = CpuDevice.open(true, 2);

  @AfterAll
  static void close() {
    assertEquals(0, DEVICE.memory().liveBuffers());
    DEVICE.close();
  }

  private static Tensor ramp(int... sizes) {
    Shape shape = Shape.of(sizes);
    float[] values = new float[shape.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = i + 1;
    }
    return Tensor.of(DEVICE, shape, values);
  }

  @Test
  void biasGradientSumsOverTheAxesThatRepeatIt() {
    try (Tensor value = ramp(3);
        Tensor gradient = Tensor.zeros(DEVICE, Shape.of(3))) {
      Parameter bias = new Parameter("bias", value, gradient);
      try (Tape tape = Tape.open(List.of(bias))) {
        Var x = tape.inputWithGradient(ramp(2, 2, 2, 3));
        Var y = x.add(bias.var());
        assertArrayEquals(new float[] {2, 4, 6, 5, 7, 9}, head(y.value().toFloats(), 6));
        tape.backward(y.mul(2f).sum());
        assertArrayEquals(new float[] {16, 16, 16}, gradient.toFloats());
        assertEquals(2f, x.gradient().toFloats()[23]);
      }
    }
  }

  @Test
  void frozenFactorGetsNoGradientButPassesItOn() {
    try (Tensor value = ramp(2, 1);
        Tensor gradient = Tensor.zeros(DEVICE, Shape.of(2, 1))) {
      Parameter frozen = new Parameter("frozen", value, gradient);
      try (Tape tape = Tape.open(List.of())) {
        Var x = tape.inputWithGradient(ramp(2, 3));
        tape.backward(x.mul(frozen.var()).add(frozen.var()).div(frozen.var()).mean());
        assertEquals(1f / 6, x.gradient().toFloats()[5], 1e-7f);
        assertArrayEquals(new float[2], gradient.toFloats());
      }
    }
  }

  @Test
  void embeddingGradientAddsRowsTakenTwice() {
    try (Tensor value = ramp(3, 2);
        Tensor gradient = Tensor.zeros(DEVICE, Shape.of(3, 2))) {
      Parameter table = new Parameter("table", value, gradient);
      try (Tape tape = Tape.open(List.of(table))) {
        Var x = tape.input(ramp(1));
        Var y = table.var().beside(x).gather(Tensor.of(DEVICE, Shape.of(3), new int[] {2, 0, 2}));
        assertArrayEquals(new float[] {5, 6, 1, 2, 5, 6}, y.value().toFloats());
        tape.backward(Var.concat(0, y, y.slice(0, 0, 1)).sum());
        assertArrayEquals(new float[] {1, 1, 0, 0, 3, 3}, gradient.toFloats());
      }
    }
  }

  private static float[] head(float[] values, int count) {
    return java.util.Arrays.copyOf(values, count);
  }
}
