package dev.limbeck.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import java.util.Arrays;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;

/** Broadcasting, reductions and moves of data against naive loops, on shapes drawn at random. */
class ShapePropertiesTest {
  private static final Device DEVICE = Device.cpu();

  @Provide
  Arbitrary<int[]> shapes() {
    return Arbitraries.integers().between(1, 7).array(int[].class).ofMinSize(1).ofMaxSize(4);
  }

  private static float[] numbers(int count, long seed) {
    float[] x = new float[count];
    Rng.of(seed).normal(x);
    return x;
  }

  private static Tensor tensor(int[] shape, long seed) {
    Shape s = Shape.of(shape);
    return Tensor.of(DEVICE, s, numbers(s.size(), seed));
  }

  /** The index in x, whose axes of length 1 are repeated, of element i of a larger shape. */
  private static int source(int i, int[] large, int[] x) {
    int at = 0;
    int stride = 1;
    for (int axis = large.length - 1, left = i; axis >= 0; axis--) {
      int index = left % large[axis];
      left /= large[axis];
      at += (x[axis] == 1 ? 0 : index) * stride;
      stride *= x[axis];
    }
    return at;
  }

  /** Any axes of either operand may have length 1, and leading ones be left out. */
  @Property(tries = 200)
  void operandsAreRepeatedAlongAxesOfLengthOne(
      @ForAll("shapes") int[] shape, @ForAll @IntRange(max = 15) int ones, @ForAll boolean swap) {
    int[] small = shape.clone();
    for (int axis = 0; axis < small.length; axis++) {
      small[axis] = (ones >> axis & 1) == 1 ? 1 : small[axis];
    }
    try (Scope scope = Scope.open()) {
      Tensor a = tensor(shape, 1);
      Tensor b = tensor(small, 2);
      float[] sum = (swap ? b.sub(a) : a.sub(b)).toFloats();
      float[] as = a.toFloats();
      float[] bs = b.toFloats();
      for (int i = 0; i < sum.length; i++) {
        float difference = as[i] - bs[source(i, shape, small)];
        assertEquals(swap ? -difference : difference, sum[i]);
      }
      // The way back: what an element received is summed over its copies.
      float[] back = a.sumTo(b.shape()).toFloats();
      double[] expected = new double[bs.length];
      for (int i = 0; i < as.length; i++) {
        expected[source(i, shape, small)] += as[i];
      }
      for (int i = 0; i < back.length; i++) {
        assertEquals(expected[i], back[i], 1e-4);
      }
    }
  }

  @Property(tries = 200)
  void reductionsOverAnyAxis(@ForAll("shapes") int[] shape, @ForAll @IntRange(max = 3) int number) {
    int axis = number % shape.length;
    try (Scope scope = Scope.open()) {
      Tensor x = tensor(shape, 3);
      float[] xs = x.toFloats();
      int[] kept = shape.clone();
      kept[axis] = 1;
      int outs = xs.length / shape[axis];
      double[] sum = new double[outs];
      double[] max = new double[outs];
      double[] exp = new double[outs];
      Arrays.fill(max, Double.NEGATIVE_INFINITY);
      for (int i = 0; i < xs.length; i++) {
        int to = source(i, shape, kept);
        sum[to] += xs[i];
        max[to] = Math.max(max[to], xs[i]);
        exp[to] += Math.exp(xs[i]);
      }
      float[] sums = x.sum(axis, false).toFloats();
      float[] means = x.mean(axis, false).toFloats();
      float[] maxima = x.max(axis, false).toFloats();
      float[] logs = x.logSumExp(axis, false).toFloats();
      for (int i = 0; i < outs; i++) {
        assertEquals(sum[i], sums[i], 1e-5 * shape[axis]);
        assertEquals(sum[i] / shape[axis], means[i], 1e-5);
        assertEquals(max[i], maxima[i]);
        assertEquals(Math.log(exp[i]), logs[i], 1e-5);
      }
    }
  }

  /** Cutting a tensor anywhere and putting the pieces together changes nothing. */
  @Property(tries = 200)
  void slicesPutTogether(
      @ForAll("shapes") int[] shape,
      @ForAll @IntRange(max = 3) int number,
      @ForAll @IntRange(max = 100) int cut) {
    int axis = number % shape.length;
    int at = cut % (shape[axis] + 1);
    try (Scope scope = Scope.open()) {
      Tensor x = tensor(shape, 4);
      if (at == 0 || at == shape[axis]) {
        assertArrayEquals(x.toFloats(), x.slice(axis, 0, shape[axis]).toFloats());
        return;
      }
      Tensor whole = Tensor.concat(axis, x.slice(axis, 0, at), x.slice(axis, at, shape[axis]));
      assertEquals(x.shape(), whole.shape());
      assertArrayEquals(x.toFloats(), whole.toFloats());
      assertThrows(RuntimeException.class, () -> x.slice(axis, 0, shape[axis] + 1));
    }
  }
}
