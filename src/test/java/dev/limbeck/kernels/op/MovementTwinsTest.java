package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.op.Resample.Axis;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Kernels that move numbers give the CPU's bits on every device, at ragged sizes too. */
class MovementTwinsTest {
  private static final int[] SIZES = {0, 1, 3, 4, 5, 127, 1030, 9001};

  @Test
  void divisorsGiveTheQuotient() {
    int most = Integer.MAX_VALUE;
    int[] values = {1, 2, 3, 4, 5, 7, 9, 10, 641, 6_700_417, 65_535, 1 << 30, most - 1, most};
    Random random = new Random(3);
    for (int value : values) {
      Divisor d = Divisor.of(value);
      for (int i = 0; i < 2000; i++) {
        int n = i == 0 ? most : i < 1000 ? random.nextInt(most) : random.nextInt(1 << 12);
        assertEquals(n / value, quotient(n, d), n + " / " + value);
        int below = n - n % value;
        assertEquals(below / value, quotient(below, d), below + " / " + value);
        if (below > 0) {
          assertEquals((below - 1) / value, quotient(below - 1, d), below - 1 + " / " + value);
        }
      }
    }
    assertThrows(IllegalArgumentException.class, () -> Divisor.of(0));
  }

  /** As in device.cuh. */
  private static int quotient(int n, Divisor d) {
    long high = n * (d.multiplier() & 0xFFFFFFFFL) >>> 32;
    return (int) (high + n) >>> d.shift();
  }

  @DeviceTest
  void fillsAndCopies(Device device) {
    for (int n : SIZES) {
      for (float value : new float[] {0f, -0f, 2.5f, -7.5f, Float.NaN}) {
        Twins.same(device, m -> new Fill(value, m.floats(n)));
      }
      Twins.same(device, m -> new Fill(-7.5f, m.ints(n, 0, 9)));
      Twins.same(device, m -> new Fill(0.5f, m.ints(n, 0, 9)));
      Twins.same(device, m -> new Copy(m.specials(n), m.floats(n)));
      Twins.same(device, m -> new Copy(m.ints(n, -5, 5), m.ints(n, -5, 5)));
      Twins.same(device, m -> new IntToFloat(m.ints(n, -1 << 30, (1 << 30) - 1), m.floats(n)));
    }
  }

  @DeviceTest
  void copiesBlocks(Device device) {
    // From, pitch, to, pitch of the target, rows, width.
    List<int[]> blocks =
        List.of(
            new int[] {0, 8, 0, 12, 5, 8},
            new int[] {4, 16, 8, 20, 7, 12},
            new int[] {4, 16, 8, 20, 7, 11},
            new int[] {3, 7, 1, 5, 9, 4},
            new int[] {0, 3, 5, 13, 333, 3},
            new int[] {4, 0, 8, 0, 1, 1000},
            new int[] {0, 9, 0, 9, 0, 9},
            new int[] {0, 9, 0, 9, 4, 0});
    for (int[] b : blocks) {
      int x = b[0] + b[1] * b[4] + b[5];
      int y = b[2] + b[3] * b[4] + b[5];
      Twins.same(
          device, m -> new CopyBlock(m.floats(x), b[0], b[1], m.floats(y), b[2], b[3], b[4], b[5]));
      Twins.same(
          device,
          m -> {
            Buffer from = m.ints(x, 0, 99);
            return new CopyBlock(from, b[0], b[1], m.ints(y, 0, 99), b[2], b[3], b[4], b[5]);
          });
    }
  }

  @DeviceTest
  void gathersScattersAndMarks(Device device) {
    for (int width : new int[] {1, 3, 4, 63, 64, 132, 260}) {
      for (int n : new int[] {0, 1, 33, 100}) {
        Twins.same(
            device,
            m -> new Gather(m.specials(9 * width), m.ints(n, 0, 9), m.floats(n * width), width));
        Twins.same(
            device,
            m -> {
              Buffer index = m.ints(n, 0, 7);
              return new ScatterAdd(m.floats(n * width), index, m.floats(19 * width), width);
            });
        Twins.same(device, m -> new OneHot(m.ints(n, -2, width), m.floats(n * width), width));
      }
    }
    // Many rows with the same number, whose sum depends on the order.
    Twins.same(device, m -> new ScatterAdd(m.floats(5000), m.ints(1000, 0, 2), m.floats(10), 5));
  }

  @DeviceTest
  void numbersOfNoRowDoNotPassInSilence(Device device) {
    Buffer table = floats(device, 1, 2, 3, 4, 5, 6);
    Buffer wrong = device.allocate(DType.I32, 3);
    wrong.upload(new int[] {1, 3, -1}, 0);
    Buffer y = floats(device, 0, 0, 0, 0, 0, 0);
    Gather gather = new Gather(table, wrong, y, 2);
    ScatterAdd scatter = new ScatterAdd(y, wrong, table, 2);
    OneHot mark = new OneHot(wrong, y, 2);
    if (device.id().equals("cpu")) {
      assertThrows(IndexOutOfBoundsException.class, () -> device.execute(gather));
      assertThrows(IndexOutOfBoundsException.class, () -> device.execute(scatter));
      assertThrows(IndexOutOfBoundsException.class, () -> device.execute(mark));
      return;
    }
    float nan = Float.NaN;
    device.execute(mark);
    assertHolds(y, 0, 1, nan, nan, 0, 0);
    device.execute(gather);
    assertHolds(y, 3, 4, nan, nan, nan, nan);
    device.execute(scatter);
    assertHolds(table, nan, nan, 6, 8, 5, 6);
  }

  private static Buffer floats(Device device, float... values) {
    Buffer buffer = device.allocate(DType.F32, values.length);
    buffer.upload(values, 0);
    return buffer;
  }

  private static void assertHolds(Buffer buffer, float... expected) {
    float[] values = new float[expected.length];
    buffer.download(values, 0);
    org.junit.jupiter.api.Assertions.assertArrayEquals(expected, values);
  }

  @DeviceTest
  void transposes(Device device) {
    // Sizes of x, then the order of its axes in y.
    List<int[][]> cases =
        List.of(
            new int[][] {{37, 50}, {1, 0}},
            new int[][] {{3, 50}, {1, 0}},
            new int[][] {{1000, 3}, {1, 0}},
            new int[][] {{64, 96}, {1, 0}},
            new int[][] {{5, 33, 41}, {0, 2, 1}},
            new int[][] {{17, 6, 18}, {2, 1, 0}},
            new int[][] {{5, 6, 8}, {1, 0, 2}},
            new int[][] {{5, 6, 7}, {1, 0, 2}},
            new int[][] {{5, 6, 7}, {0, 1, 2}},
            new int[][] {{20, 16, 3, 3}, {0, 2, 3, 1}},
            new int[][] {{2, 3, 4, 5, 6}, {4, 2, 0, 3, 1}},
            new int[][] {{2, 3, 18, 5, 20}, {4, 0, 3, 1, 2}},
            new int[][] {{7, 1, 4, 1, 8}, {3, 2, 1, 0, 4}},
            new int[][] {{1, 1}, {1, 0}},
            new int[][] {{0, 3}, {1, 0}});
    for (int[][] each : cases) {
      int rank = each[0].length;
      int[] pitch = new int[rank];
      int n = 1;
      for (int i = rank - 1; i >= 0; i--) {
        pitch[i] = n;
        n *= each[0][i];
      }
      int[] sizes = new int[rank];
      int[] strides = new int[rank];
      for (int i = 0; i < rank; i++) {
        sizes[i] = each[0][each[1][i]];
        strides[i] = pitch[each[1][i]];
      }
      int all = n;
      Twins.same(device, m -> new Transpose(m.floats(all), m.floats(all), sizes, strides));
    }
  }

  @DeviceTest
  void resamples(Device device) {
    List<Axis[]> pairs =
        List.of(
            new Axis[] {Axis.average(6, 2), Axis.average(4, 2)},
            new Axis[] {Axis.nearest(6, 9), Axis.nearest(5, 3)},
            new Axis[] {Axis.bilinear(7, 4), Axis.bilinear(4, 11)},
            new Axis[] {Axis.bilinear(1, 3), Axis.nearest(8, 16)});
    for (Axis[] pair : pairs) {
      for (int channels : new int[] {1, 3, 4, 19, 64}) {
        for (boolean transposed : new boolean[] {false, true}) {
          Axis rows = transposed ? pair[0].transposed() : pair[0];
          Axis columns = transposed ? pair[1].transposed() : pair[1];
          int in = 3 * channels * rows.in() * columns.in();
          int out = 3 * channels * rows.out() * columns.out();
          Twins.same(
              device, m -> new Resample(3, channels, rows, columns, m.floats(in), m.floats(out)));
        }
      }
    }
  }

  @DeviceTest
  void sorts(Device device) {
    for (int count : new int[] {0, 1, 2, 7, 255, 256, 257, 1500, 2048, 2049, 4096, 7001, 20_000}) {
      Twins.same(device, m -> new Sort(m.specials(3 * count), m.floats(3 * count), 3, count));
    }
    Twins.same(device, m -> new Sort(m.floats(new float[5000]), m.floats(5000), 1, 5000));
  }
}
