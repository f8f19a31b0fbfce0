package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.MatrixOracle.Guarded;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Compares a kernel on some device with the scalar loop, which is its specification, for sizes that
 * take each way through the device's code. Results lie between margins that nobody may write, and a
 * second launch has to give the same bits.
 */
final class KernelAgreement {
  private KernelAgreement() {}

  /** Binds a kernel to operands. */
  interface Maker {
    Kernel on(Operands operands);
  }

  /** Buffers of one run; the same calls give the same contents on every device. */
  static final class Operands {
    private final Device device;
    private final List<Guarded> results = new ArrayList<>();
    private int seed;

    Operands(Device device) {
      this.device = device;
    }

    /** Numbers between −1 and 1. */
    Buffer input(int length) {
      return input(length, 0f);
    }

    /** Numbers that differ from an offset by at most 1. */
    Buffer input(int length, float offset) {
      float[] values = MatrixOracle.random(length, seed++);
      for (int i = 0; i < length; i++) {
        values[i] += offset;
      }
      return input(values);
    }

    Buffer input(float[] values) {
      return Guarded.of(device, values).inner();
    }

    /** NaN, which a kernel has to overwrite. */
    Buffer result(int length) {
      float[] values = new float[length];
      Arrays.fill(values, Float.NaN);
      return result(values);
    }

    /** What a kernel adds to. */
    Buffer result(float[] values) {
      Guarded made = Guarded.of(device, values);
      results.add(made);
      return made.inner();
    }
  }

  /** The results of a kernel, in the order in which they were asked for. */
  static List<float[]> run(Device device, Maker maker) {
    try (Scope scope = Scope.open()) {
      Operands operands = new Operands(device);
      device.execute(maker.on(operands));
      return operands.results.stream().map(Guarded::read).toList();
    }
  }

  /**
   * Fails if a result differs from the scalar loop's.
   *
   * @param tolerance relative to the largest element of a result
   */
  static void check(Device device, String what, double tolerance, Maker maker) {
    List<float[]> expected;
    try (CpuDevice scalar = CpuDevice.open(false, 1)) {
      expected = run(scalar, maker);
    }
    List<float[]> actual = run(device, maker);
    List<float[]> again = run(device, maker);
    for (int i = 0; i < expected.size(); i++) {
      String name = what + ", result " + i;
      compare(expected.get(i), actual.get(i), tolerance, name);
      assertArrayEquals(actual.get(i), again.get(i), name + ": other bits the second time");
    }
  }

  private static void compare(float[] expected, float[] actual, double tolerance, String name) {
    double largest = 0;
    for (float v : expected) {
      if (Float.isFinite(v)) {
        largest = Math.max(largest, Math.abs(v));
      }
    }
    for (int j = 0; j < expected.length; j++) {
      String at = name + "[" + j + "]";
      if (Float.isFinite(expected[j])) {
        assertEquals(expected[j], actual[j], tolerance * largest, at);
      } else {
        assertEquals(expected[j], actual[j], at);
      }
    }
  }
}
