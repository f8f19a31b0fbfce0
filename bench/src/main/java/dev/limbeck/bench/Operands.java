package dev.limbeck.bench;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** The buffers of one kernel: the same numbers in each run, on each device. */
final class Operands {
  private final Device device;
  private final SplittableRandom random = new SplittableRandom(1);
  private final List<Buffer> results = new ArrayList<>();

  Operands(Device device) {
    this.device = device;
  }

  /** Numbers in [-1, 1): no denormals, no infinities. */
  Buffer input(int length) {
    return filled(length, -1);
  }

  /** Numbers in [0, 1). */
  Buffer positive(int length) {
    return filled(length, 0);
  }

  /** What the kernel writes or changes: numbers in [0, 1). */
  Buffer result(int length) {
    Buffer buffer = filled(length, 0);
    results.add(buffer);
    return buffer;
  }

  /** Whole numbers in [0, bound). */
  Buffer indices(int length, int bound) {
    Buffer buffer = device.allocate(DType.I32, length);
    if (!(device instanceof ShapesOnly)) {
      buffer.upload(random.ints(length, 0, bound).toArray(), 0);
    }
    return buffer;
  }

  private Buffer filled(int length, double least) {
    Buffer buffer = device.allocate(DType.F32, length);
    if (device instanceof ShapesOnly) {
      return buffer;
    }
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      values[i] = (float) random.nextDouble(least, 1);
    }
    buffer.upload(values, 0);
    return buffer;
  }

  /** The largest difference of any result, relative to that result's largest value. */
  double difference(Operands other) {
    double worst = 0;
    for (int i = 0; i < results.size(); i++) {
      worst = Math.max(worst, difference(values(results.get(i)), values(other.results.get(i))));
    }
    return worst;
  }

  private static double difference(float[] a, float[] b) {
    double largest = 0;
    double difference = 0;
    for (int i = 0; i < a.length; i++) {
      largest = Math.max(largest, Math.abs(b[i]));
      difference = Math.max(difference, Math.abs(a[i] - b[i]));
    }
    return difference == 0 ? 0 : difference / largest;
  }

  private static float[] values(Buffer buffer) {
    float[] values = new float[buffer.length()];
    buffer.download(values, 0);
    return values;
  }
}
