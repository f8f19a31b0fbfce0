package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Function;

/**
 * One kernel on two devices: the one under test, and the scalar loops of the CPU, which are the
 * specification.
 */
final class Twins {
  /** What elementwise kernels trip over; among random numbers, so that every lane meets them. */
  private static final float[] SPECIALS = {
    Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 0f, -0f, 1e-40f, 3e38f
  };

  /** Elements before and after each operand, which nothing may write to. */
  private static final int MARGIN = Buffer.SLICE_ALIGNMENT;

  private Twins() {}

  /** Buffers of one device with contents that depend only on the order in which they are made. */
  static final class Memory {
    private final Device device;
    private final Random random = new Random(11);
    private final List<Buffer> all = new ArrayList<>();

    private Memory(Device device) {
      this.device = device;
    }

    /** Numbers between −2 and 2. */
    Buffer floats(int n) {
      float[] values = new float[n];
      for (int i = 0; i < n; i++) {
        values[i] = 4 * random.nextFloat() - 2;
      }
      return floats(values);
    }

    /** The same, every fifth one special. */
    Buffer specials(int n) {
      float[] values = new float[n];
      for (int i = 0; i < n; i++) {
        boolean special = random.nextInt(5) == 0;
        values[i] = special ? SPECIALS[random.nextInt(SPECIALS.length)] : random.nextFloat() - 0.5f;
      }
      return floats(values);
    }

    Buffer floats(float... values) {
      float[] guarded = new float[values.length + 2 * MARGIN];
      Arrays.fill(guarded, 7f);
      System.arraycopy(values, 0, guarded, MARGIN, values.length);
      Buffer buffer = device.allocate(DType.F32, guarded.length);
      buffer.upload(guarded, 0);
      all.add(buffer);
      return buffer.slice(MARGIN, values.length);
    }

    /** Numbers between −2 and 2 in BF16. */
    Buffer halves(int n) {
      Buffer wide = floats(n);
      Buffer narrow = device.allocate(DType.BF16, n + 2 * MARGIN);
      device.execute(new Cast(all.get(all.size() - 1), narrow));
      all.add(narrow);
      return narrow.slice(MARGIN, wide.length());
    }

    /** Whole numbers from {@code from} to below {@code to}. */
    Buffer ints(int n, int from, int to) {
      int[] values = new int[n];
      for (int i = 0; i < n; i++) {
        values[i] = from + random.nextInt(to - from);
      }
      return ints(values);
    }

    Buffer ints(int... values) {
      int[] guarded = new int[values.length + 2 * MARGIN];
      Arrays.fill(guarded, 7);
      System.arraycopy(values, 0, guarded, MARGIN, values.length);
      Buffer buffer = device.allocate(DType.I32, guarded.length);
      buffer.upload(guarded, 0);
      all.add(buffer);
      return buffer.slice(MARGIN, values.length);
    }
  }

  /** Checks that every buffer and its margins hold the same bits afterwards; NaN is like NaN. */
  static void same(Device device, Function<Memory, Kernel> kernel) {
    close(device, 0, kernel);
  }

  /** Checks that floats differ by at most {@code ulps} units in the last place. */
  static void close(Device device, int ulps, Function<Memory, Kernel> kernel) {
    try (CpuDevice cpu = CpuDevice.open(false, 1)) {
      List<Object> expected = run(cpu, kernel);
      List<Object> actual = run(device, kernel);
      for (int i = 0; i < expected.size(); i++) {
        compare(expected.get(i), actual.get(i), ulps, i);
      }
    }
  }

  private static List<Object> run(Device device, Function<Memory, Kernel> maker) {
    try (Scope scope = Scope.open()) {
      Memory memory = new Memory(device);
      device.execute(maker.apply(memory));
      List<Object> contents = new ArrayList<>();
      for (Buffer each : memory.all) {
        Buffer buffer = each;
        if (buffer.type() == DType.BF16) {
          Buffer wide = device.allocate(DType.F32, buffer.length());
          device.execute(new Cast(buffer, wide));
          buffer = wide;
        }
        if (buffer.type() == DType.F32) {
          float[] values = new float[buffer.length()];
          buffer.download(values, 0);
          contents.add(values);
        } else {
          int[] values = new int[buffer.length()];
          buffer.download(values, 0);
          contents.add(values);
        }
      }
      return contents;
    }
  }

  private static void compare(Object expected, Object actual, int ulps, int buffer) {
    if (expected instanceof int[] wanted) {
      for (int i = 0; i < wanted.length; i++) {
        assertEquals(
            wanted[i], ((int[]) actual)[i], "buffer " + buffer + ", element " + (i - MARGIN));
      }
      return;
    }
    float[] wanted = (float[]) expected;
    for (int i = 0; i < wanted.length; i++) {
      float got = ((float[]) actual)[i];
      if (Float.floatToIntBits(wanted[i]) != Float.floatToIntBits(got)) {
        String where = "buffer " + buffer + ", element " + (i - MARGIN);
        // Without a tolerance −0 and 0 differ; assertEquals knows that too.
        assertEquals(wanted[i], got, ulps * Math.ulp(wanted[i]) + Float.MIN_VALUE * ulps, where);
      }
    }
  }
}
