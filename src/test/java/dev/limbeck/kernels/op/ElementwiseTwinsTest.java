package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Elementwise, random and optimiser kernels give the CPU's bits on every device. */
class ElementwiseTwinsTest {
  private static final int[] SIZES = {0, 1, 3, 4, 7, 8, 9, 127, 1030, 9001};

  private static Broadcast full(int n) {
    return new Broadcast(new int[] {1, 1, 1, n}, new int[] {0, 0, 0, 1});
  }

  @DeviceTest
  void combinesArraysOfOneSize(Device device) {
    for (int n : SIZES) {
      Broadcast all = full(n);
      for (Binary.Op op : Binary.Op.values()) {
        Twins.same(
            device, m -> new Binary(op, m.specials(n), all, m.specials(n), all, m.floats(n)));
        Twins.same(
            device,
            m -> {
              Buffer a = m.specials(n);
              return new Binary(op, a, all, m.specials(n), all, a);
            });
      }
      Twins.same(
          device,
          m -> {
            Buffer c = m.specials(n);
            return new Where(c, all, m.floats(n), all, m.floats(n), all, m.floats(n));
          });
    }
  }

  /** Layouts of two or three operands under one result; each axis is repeated by some of them. */
  private static List<Broadcast[]> layouts(int operands) {
    List<Broadcast[]> all = new ArrayList<>();
    Random random = new Random(5);
    int[] some = {1, 2, 3, 5};
    int[] rows = {1, 3, 4, 7, 8, 64};
    for (int i = 0; i < 60; i++) {
      int[] sizes = new int[Broadcast.AXES];
      for (int axis = 0; axis < Broadcast.AXES; axis++) {
        sizes[axis] = some[random.nextInt(some.length)];
      }
      sizes[Broadcast.AXES - 1] = rows[random.nextInt(rows.length)];
      Broadcast[] each = new Broadcast[operands];
      for (int k = 0; k < operands; k++) {
        int[] strides = new int[Broadcast.AXES];
        int pitch = 1;
        for (int axis = Broadcast.AXES - 1; axis >= 0; axis--) {
          if (sizes[axis] > 1 && random.nextInt(3) > 0) {
            strides[axis] = pitch;
            pitch *= sizes[axis];
          }
        }
        each[k] = new Broadcast(sizes, strides);
      }
      all.add(each);
    }
    return all;
  }

  @DeviceTest
  void broadcasts(Device device) {
    int number = 0;
    for (Broadcast[] each : layouts(2)) {
      Broadcast a = each[0];
      Broadcast b = each[1];
      Binary.Op op = Binary.Op.values()[number++ % Binary.Op.values().length];
      Twins.same(
          device,
          m ->
              new Binary(op, m.floats(a.extent()), a, m.floats(b.extent()), b, m.floats(a.size())));
    }
    // One number beside rows that end in the middle of sixteen bytes.
    for (int n : new int[] {1, 5, 8, 1030}) {
      Broadcast one = new Broadcast(new int[] {1, 1, 1, n}, new int[4]);
      Twins.same(
          device,
          m -> {
            Buffer a = m.specials(n);
            return new Binary(Binary.Op.SUB, a, full(n), m.floats(1), one, a);
          });
    }
    for (Broadcast[] each : layouts(3)) {
      Twins.same(
          device,
          m -> {
            Buffer c = m.specials(each[0].extent());
            Buffer a = m.floats(each[1].extent());
            Buffer b = m.floats(each[2].extent());
            return new Where(c, each[0], a, each[1], b, each[2], m.floats(each[0].size()));
          });
    }
  }

  @DeviceTest
  void dropsTheSameElements(Device device) {
    for (int n : SIZES) {
      for (float rate : new float[] {0f, 0.3f, 0.99999f}) {
        Twins.same(
            device, m -> new DropoutApply(rate, 0x9E3779B97F4A7C15L, m.specials(n), m.floats(n)));
        Twins.same(
            device,
            m -> {
              Buffer x = m.floats(n);
              return new DropoutApply(rate, -1, x, x);
            });
      }
    }
  }

  @DeviceTest
  void drawsTheSameNumbers(Device device) {
    long key = 0xD1342543DE82EF95L;
    long draw = 0x1_0000_0005L;
    for (RandomFill.Kind kind : RandomFill.Kind.values()) {
      for (int size : new int[] {1, 2, 3, 4, 5, 6, 7, 64, 1023, 9000}) {
        for (int rows : new int[] {1, 3}) {
          int n = rows * size;
          Twins.same(
              device,
              m -> {
                boolean whole = kind == RandomFill.Kind.INTEGERS;
                Buffer y = whole ? m.ints(n, 0, 9) : m.floats(n);
                return new RandomFill(kind, key, draw, 77, size, 2_000_000_011, y);
              });
        }
      }
    }
  }

  @DeviceTest
  void expandsIntoSinesAndCosines(Device device) {
    for (int k : new int[] {1, 5, 32}) {
      for (int more : new int[] {0, 1, 7}) {
        int width = 2 * k + more;
        for (boolean first : new boolean[] {false, true}) {
          // Libraries' sines in double precision differ in the last place, and so may the floats.
          Twins.close(
              device,
              1,
              m -> {
                Buffer x = m.floats(0f, 0.3f, -1.7f, 999f, -12_345.678f, 1e6f, 3e9f);
                return new Sinusoid(6.25f, first, width, m.floats(k), x, m.floats(7 * width));
              });
        }
      }
    }
  }

  @DeviceTest
  void stepsAndAverages(Device device) {
    for (int n : SIZES) {
      Twins.same(device, m -> new MovingAverage(0.03f, m.floats(n), m.floats(n)));
      for (boolean adaptive : new boolean[] {true, false}) {
        AdamStep.Coefficients at =
            new AdamStep.Coefficients(
                0.7f, 0.9f, 0.999f, 0.9999f, 2e-3f, 1.1f, 1e-8f, adaptive, 0.01f);
        for (boolean average : new boolean[] {true, false}) {
          Twins.same(
              device,
              m -> {
                Buffer second = m.floats(squares(n));
                Buffer averaged = average ? m.floats(n) : null;
                return new AdamStep(at, m.floats(n), m.floats(n), m.floats(n), second, averaged);
              });
        }
      }
    }
  }

  /** Second moments, which are not negative. */
  private static float[] squares(int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = i % 3 == 0 ? 0f : 1f / i;
    }
    return values;
  }
}
