package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;

/** The tape's rules about gradients and memory; a device test fails if a buffer is left over. */
class TapeTest {
  private static final int N = 1024;
  private static final long BYTES = 4L * N;

  private static Parameter parameter(Device device, float value) {
    Shape shape = Shape.of(N);
    return new Parameter("p", Tensor.full(device, shape, value), Tensor.zeros(device, shape));
  }

  @DeviceTest
  void gradientReachesInputThroughReshape(Device device) {
    try (Tape tape = Tape.open(List.of())) {
      Var x = tape.inputWithGradient(Tensor.of(device, Shape.of(2), 3f, 4f));
      Var y = x.reshape(1, 2);
      tape.backward(y, Tensor.of(device, Shape.of(1, 2), 5f, 6f));
      assertArrayEquals(new float[] {5f, 6f}, x.gradient().toFloats());
    }
  }

  @DeviceTest
  void sharesOfSeveralUsesAreAdded(Device device) {
    try (Tape tape = Tape.open(List.of())) {
      Var x = tape.inputWithGradient(Tensor.of(device, Shape.of(2), 3f, 4f));
      // x + x hands one gradient to the same variable twice.
      tape.backward(x.add(x).add(x.mul(x)).sum());
      assertArrayEquals(new float[] {8f, 10f}, x.gradient().toFloats());
    }
  }

  @DeviceTest
  void gradientPassesThroughFrozenParametersOnly(Device device) {
    Parameter frozen = parameter(device, 2f);
    Parameter trained = parameter(device, 3f);
    try (Tape tape = Tape.open(List.of(trained))) {
      Var x = tape.input(Tensor.full(device, Shape.of(N), 1f));
      tape.backward(x.mul(trained.var()).mul(frozen.var()).tanh().mul(frozen.var()).sum());
    }
    assertArrayEquals(new float[N], frozen.gradient().toFloats());
    float slope = trained.gradient().toFloats()[0];
    double exact = 2 * 2 / Math.pow(Math.cosh(6), 2);
    // 1 - tanh² loses digits where tanh is close to 1.
    assertEquals(exact, slope, 1e-6);
    assertTrue(slope > 0);
  }

  @DeviceTest
  void parametersAccumulateAndUnusedInputsHaveNoGradient(Device device) {
    Parameter p = parameter(device, 2f);
    for (int step = 1; step <= 3; step++) {
      try (Tape tape = Tape.open(List.of(p))) {
        Var x = tape.input(Tensor.full(device, Shape.of(N), 1f));
        Var unused = tape.inputWithGradient(Tensor.full(device, Shape.of(N), 1f));
        tape.backward(x.mul(p.var()).sum());
        assertNull(unused.gradient());
      }
      assertEquals(step, p.gradient().toFloats()[N - 1]);
    }
  }

  @DeviceTest
  void backwardFreesWhatItNoLongerNeeds(Device device) {
    int depth = 20;
    try (Tape tape = Tape.open(List.of())) {
      Var x = tape.inputWithGradient(Tensor.full(device, Shape.of(N), 0.5f));
      Var y = x;
      for (int i = 0; i < depth; i++) {
        y = y.tanh();
      }
      Var loss = y.sum();
      long recorded = device.memory().liveBytes();
      assertEquals((depth + 1) * BYTES + 4, recorded);
      device.resetPeak();
      tape.backward(loss);
      // One gradient, its successor, and the filled tensor that spreads the loss's.
      long peak = device.memory().peakBytes();
      assertTrue(peak <= recorded + 3 * BYTES, peak + " bytes after " + recorded);
      // The input, its gradient and the loss are left.
      assertEquals(2 * BYTES + 4, device.memory().liveBytes());
      assertEquals(4, loss.value().toFloats().length * 4);
    }
  }

  @DeviceTest
  void resultsAreFreedUnlessRetained(Device device) {
    try (Tape tape = Tape.open(List.of())) {
      Var x = tape.input(Tensor.full(device, Shape.of(N), 0.5f));
      Var y = tape.inputWithGradient(Tensor.full(device, Shape.of(N), 0.5f));
      Var kept = tape.retain(y.mul(x).tanh());
      Var lost = kept.exp();
      tape.backward(lost.sum());
      assertEquals((float) Math.tanh(0.25), kept.value().toFloats()[0], 1e-6f);
      assertThrows(IllegalStateException.class, () -> lost.value().toFloats());
    }
  }

  @DeviceTest
  void aTapeThatIsNotRunBackwardLeavesNothing(Device device) {
    long before = device.memory().liveBuffers();
    try (Tape tape = Tape.open(List.of())) {
      Var x = tape.inputWithGradient(Tensor.full(device, Shape.of(N), 0.5f));
      try (Scope inner = Scope.open()) {
        inner.keep(x.silu().softmax(0).exp());
      }
    }
    assertEquals(before, device.memory().liveBuffers());
  }

  @DeviceTest
  void onlyANumberOfThisTapeCanBeDifferentiated(Device device) {
    try (Tape tape = Tape.open(List.of())) {
      Var x = tape.inputWithGradient(Tensor.full(device, Shape.of(2), 0.5f));
      assertThrows(IllegalArgumentException.class, () -> tape.backward(x.exp()));
      Var constant = Var.constant(Tensor.full(device, Shape.of(), 0.5f));
      assertThrows(IllegalArgumentException.class, () -> tape.backward(constant));
    }
  }
}
