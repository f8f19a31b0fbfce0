package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A path is a Brownian motion on the clock σ^{−2r}, and one path whatever it is asked. */
class BrownianPathTest {
  private static final int N = 40_000;

  /** A moment of N numbers has a deviation of at most √2/√N = 0.7 %; four of these. */
  private static final double FOUR_DEVIATIONS = .028;

  private interface Draw {
    Tensor of(BrownianPath path, Tensor like);
  }

  private static float[] draw(double rate, int rows, int first, Draw draw) {
    try (Scope scope = Scope.open()) {
      Tensor like = Tensor.zeros(Device.cpu(), Shape.of(rows, 4));
      return draw.of(new BrownianPath(Rng.of(11), first, rate), like).toFloats();
    }
  }

  private static float[] increment(double rate, double from, double to) {
    return draw(rate, N / 4, 0, (path, like) -> path.increment(like, from, to));
  }

  private static double clock(double rate, double sigma) {
    return Math.pow(sigma, -2 * rate);
  }

  private static double moment(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum / a.length;
  }

  @ParameterizedTest
  @CsvSource({"1, 80, 20", "1, 2, 1.9", "1, .003, .002", "0.5, 10, .1", "1.5, 80, .002"})
  void incrementsAreNormal(double rate, double from, double to) {
    float[] unit = draw(rate, N / 4, 0, (path, like) -> path.unit(like, from, to));
    float[] ones = new float[N];
    Arrays.fill(ones, 1);
    assertEquals(0, moment(unit, ones), FOUR_DEVIATIONS);
    assertEquals(1, moment(unit, unit), FOUR_DEVIATIONS);
    float[] plain = increment(rate, from, to);
    double variance = clock(rate, to) - clock(rate, from);
    assertEquals(1, moment(plain, plain) / variance, FOUR_DEVIATIONS);
    // Fourth moment of a normal number: 3, with a deviation of √96/√N.
    float[] squares = new float[N];
    for (int i = 0; i < N; i++) {
      squares[i] = unit[i] * unit[i];
    }
    assertEquals(3, moment(squares, squares), .2);
  }

  @ParameterizedTest
  @ValueSource(doubles = {.25, 1})
  void disjointIncrementsAreIndependent(double rate) {
    double[] levels = {80, 30, 8, 7.9, 1, .5, .499, .01};
    float[][] units = new float[levels.length - 1][];
    for (int i = 0; i < units.length; i++) {
      int at = i;
      units[i] = draw(rate, N / 4, 0, (path, like) -> path.unit(like, levels[at], levels[at + 1]));
    }
    for (int i = 0; i < units.length; i++) {
      for (int j = 0; j < i; j++) {
        assertEquals(0, moment(units[i], units[j]), FOUR_DEVIATIONS, i + " and " + j);
      }
    }
  }

  /** Steps of a thousand-step grid are independent, too: one level in each leaf of the tree. */
  @Test
  void shortStepsAreIndependent() {
    double[] levels = NoiseLevels.exponential(1000, .002, 80);
    for (int i : new int[] {10, 333, 700, 990}) {
      float[] a = draw(1, N / 4, 0, (path, like) -> path.unit(like, levels[i], levels[i + 1]));
      float[] b = draw(1, N / 4, 0, (path, like) -> path.unit(like, levels[i + 1], levels[i + 2]));
      assertEquals(1, moment(a, a), FOUR_DEVIATIONS);
      assertEquals(0, moment(a, b), FOUR_DEVIATIONS);
    }
  }

  /** Given its ends, a path is in the middle at their mean with (m−a)(b−m)/(b−a) of variance. */
  @Test
  void betweenItsEndsItIsABridge() {
    double rate = .5;
    double from = 3;
    double middle = 1.4;
    double to = .9;
    float[] whole = increment(rate, from, to);
    float[] part = increment(rate, from, middle);
    double left = clock(rate, middle) - clock(rate, from);
    double right = clock(rate, to) - clock(rate, middle);
    float[] off = new float[N];
    for (int i = 0; i < N; i++) {
      off[i] = (float) (part[i] - left / (left + right) * whole[i]);
    }
    double variance = left * right / (left + right);
    assertEquals(1, moment(off, off) / variance, FOUR_DEVIATIONS);
    double scale = Math.sqrt(variance * (left + right));
    assertEquals(0, moment(off, whole) / scale, FOUR_DEVIATIONS);
  }

  @ParameterizedTest
  @ValueSource(doubles = {.3, 1})
  void incrementsAddUp(double rate) {
    for (int steps : new int[] {2, 7, 64}) {
      double[] levels = NoiseLevels.karras(steps + 1, .05, 40, 7);
      float[] whole = increment(rate, 40, .05);
      double[] sum = new double[N];
      for (int i = 0; i < steps; i++) {
        float[] part = increment(rate, levels[i], levels[i + 1]);
        for (int j = 0; j < N; j++) {
          sum[j] += part[j];
        }
      }
      double deviation = Math.sqrt(clock(rate, .05));
      for (int j = 0; j < N; j++) {
        // Sums of some twenty floats in each of the increments.
        assertEquals(whole[j] / deviation, sum[j] / deviation, 2e-5);
      }
    }
  }

  @Test
  void aRowBelongsToASample() {
    float[] ten = draw(1, 10, 0, (path, like) -> path.unit(like, 5, 1));
    float[] two = draw(1, 2, 6, (path, like) -> path.unit(like, 5, 1));
    assertArrayEquals(Arrays.copyOfRange(ten, 24, 32), two);
    float[] again = draw(1, 10, 0, (path, like) -> path.unit(like, 5, 1));
    assertArrayEquals(ten, again);
  }

  @Test
  void levelsOutOfRangeAreRefused() {
    Exception tooLarge = assertThrows(IllegalArgumentException.class, () -> increment(1, 1e6, 1));
    assertTrue(tooLarge.getMessage().contains("1000000"), tooLarge.getMessage());
    assertThrows(IllegalArgumentException.class, () -> increment(1, 1, 1e-6));
    assertThrows(IllegalArgumentException.class, () -> increment(1, 1, 2));
    assertThrows(IllegalArgumentException.class, () -> increment(0, 2, 1));
  }
}
