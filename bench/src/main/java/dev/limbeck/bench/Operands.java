package dev.limbeck.bench;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.cpu.CpuDevice;
import java.util.SplittableRandom;

/** The device and the operands that benchmarks share. */
final class Operands {
  private Operands() {}

  /** A device of its own; fails where the vector path is not active. */
  static CpuDevice open(int threads) {
    CpuDevice device = CpuDevice.open(true, threads);
    if (!device.isSimd()) {
      throw new IllegalStateException("no vector path: " + device.description());
    }
    return device;
  }

  /** Numbers in [-1, 1): no denormals, no infinities, the same in each run. */
  static Buffer random(CpuDevice device, int length) {
    SplittableRandom random = new SplittableRandom(1);
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) (random.nextDouble() * 2 - 1);
    }
    Buffer buffer = device.allocate(DType.F32, length);
    buffer.upload(values, 0);
    return buffer;
  }
}
