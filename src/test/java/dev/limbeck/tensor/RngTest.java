package dev.limbeck.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.cpu.CpuDevice;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Draws: their distribution, and what they depend on. */
class RngTest {
  private final Device device = Device.cpu();

  @Test
  void normalNumbersHaveTheirMoments() {
    int n = 200_000;
    float[] x = Rng.of(7).normal(device, Shape.of(n)).toFloats();
    double[] moments = new double[5];
    for (float v : x) {
      for (int k = 1; k <= 4; k++) {
        moments[k] += Math.pow(v, k) / n;
      }
    }
    // Four standard errors of each moment.
    assertEquals(0, moments[1], 4 / Math.sqrt(n));
    assertEquals(1, moments[2], 4 * Math.sqrt(2.0 / n));
    assertEquals(0, moments[3], 4 * Math.sqrt(15.0 / n));
    assertEquals(3, moments[4], 4 * Math.sqrt(96.0 / n));
  }

  @Test
  void uniformNumbersAndIntegersFillTheirRange() {
    Rng rng = Rng.of(3);
    int[] counts = new int[10];
    for (float v : rng.uniform(device, Shape.of(100_000)).toFloats()) {
      assertTrue(v >= 0 && v < 1);
      counts[(int) (v * 10)]++;
    }
    for (int v : rng.integers(device, Shape.of(100_000), 10).toInts()) {
      counts[v]++;
    }
    for (int count : counts) {
      assertEquals(20_000, count, 5 * Math.sqrt(20_000));
    }
  }

  @Test
  void drawsDoNotDependOnThreadsOrVectors() {
    float[] expected = Rng.of(5).normal(device, Shape.of(3, 5000)).toFloats();
    try (CpuDevice scalar = CpuDevice.open(false, 1);
        CpuDevice two = CpuDevice.open(true, 2)) {
      assertArrayEquals(expected, Rng.of(5).normal(scalar, Shape.of(3, 5000)).toFloats());
      assertArrayEquals(expected, Rng.of(5).normal(two, Shape.of(3, 5000)).toFloats());
    }
    float[] host = new float[15_000];
    Rng.of(5).normal(host);
    assertArrayEquals(expected, host);
  }

  @Test
  void aRowIsTheSameWhateverTheBatch() {
    float[] all = Rng.of(9).normalRows(device, Shape.of(6, 3, 5), 0).toFloats();
    float[] part = Rng.of(9).normalRows(device, Shape.of(2, 3, 5), 3).toFloats();
    assertArrayEquals(Arrays.copyOfRange(all, 45, 75), part);
  }

  @Test
  void aStateContinuesBitForBit() {
    Rng rng = Rng.of(11).split(4);
    rng.normal(device, Shape.of(10)).close();
    Rng.State state = rng.state();
    float[] next = rng.normal(device, Shape.of(10)).toFloats();
    int[] order = rng.permutation(50);
    Rng again = Rng.of(state);
    assertArrayEquals(next, again.normal(device, Shape.of(10)).toFloats());
    assertArrayEquals(order, again.permutation(50));
    again.restore(state);
    assertArrayEquals(next, again.normal(device, Shape.of(10)).toFloats());
    assertThrows(IllegalArgumentException.class, () -> Rng.of(1).restore(state));
  }

  @Test
  void streamsAndDrawsDiffer() {
    Rng rng = Rng.of(1);
    float[] a = rng.normal(device, Shape.of(8)).toFloats();
    float[] b = rng.normal(device, Shape.of(8)).toFloats();
    float[] c = rng.split(0).normal(device, Shape.of(8)).toFloats();
    float[] d = rng.split(1).normal(device, Shape.of(8)).toFloats();
    assertFalse(Arrays.equals(a, b));
    assertFalse(Arrays.equals(a, c));
    assertFalse(Arrays.equals(c, d));
    assertArrayEquals(d, rng.split(1).normal(device, Shape.of(8)).toFloats());
  }

  @Test
  void permutationsAreUniform() {
    Rng rng = Rng.of(2);
    int[] counts = new int[24];
    for (int i = 0; i < 24_000; i++) {
      int[] p = rng.permutation(4);
      int code = 0;
      for (int j = 0; j < 4; j++) {
        int smaller = 0;
        for (int k = j + 1; k < 4; k++) {
          smaller += p[k] < p[j] ? 1 : 0;
        }
        code = code * (4 - j) + smaller;
      }
      counts[code]++;
    }
    for (int count : counts) {
      assertEquals(1000, count, 5 * Math.sqrt(1000));
    }
  }

  @Test
  void dropoutReplaysItsMaskAndKeepsTheMean() {
    Tensor x = Tensor.full(device, Shape.of(100_003), 1f);
    Dropout dropout = new Dropout(0.25f, 99);
    float[] y = x.dropout(dropout).toFloats();
    assertArrayEquals(y, x.dropout(dropout).toFloats());
    assertFalse(Arrays.equals(y, x.dropout(dropout.layer(1)).toFloats()));
    double sum = 0;
    for (float v : y) {
      assertTrue(v == 0f || v == 1f / 0.75f);
      sum += v;
    }
    // Five standard errors: each element has variance rate/(1 − rate).
    assertEquals(1, sum / y.length, 5 * Math.sqrt(1.0 / 3 / y.length));
    assertTrue(x.dropout(Dropout.off()) == x);
    x.close();
  }
}
