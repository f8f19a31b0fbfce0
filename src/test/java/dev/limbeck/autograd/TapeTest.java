package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;

class TapeTest {
  @Test
  void gradientReachesInputAndMemoryIsGivenBack() {
    try (CpuDevice device = CpuDevice.open(true, 2)) {
      try (Tape tape = Tape.open(List.of())) {
        Var x = tape.inputWithGradient(Tensor.of(device, Shape.of(2), 3f, 4f));
        Var y = x.reshape(1, 2);
        tape.backward(y, Tensor.of(device, Shape.of(1, 2), 5f, 6f));
        assertArrayEquals(new float[] {5f, 6f}, x.gradient().toFloats());
      }
      assertEquals(0, device.memory().liveBuffers());
    }
  }
}
