package dev.limbeck.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.function.DoubleBinaryOperator;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/** Tensor operations against naive loops in double precision, at sizes that fill no vector. */
class ExactOpsTest {
  /** One element, less than a vector, odd, more than a tile, more than a chunk. */
  private static final int[] SIZES = {1, 6, 13, 207, 702, 1031, 16_389};

  private static final int GUARD = 64;

  /** A few units in the last place of a binary32. */
  private static final double ROUNDING = 5e-7;

  private static float[] random(int n) {
    Random random = new Random(n);
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static Tensor tensor(Device device, int... sizes) {
    Shape shape = Shape.of(sizes);
    return Tensor.of(device, shape, random(shape.size()));
  }

  private static void assertClose(double[] exact, Tensor actual, double tolerance, String what) {
    float[] values = actual.toFloats();
    assertEquals(exact.length, values.length, what);
    for (int i = 0; i < values.length; i++) {
      double limit = tolerance * Math.max(1, Math.abs(exact[i]));
      assertEquals(exact[i], values[i], limit, what + " at " + i);
    }
  }

  // ---- nothing outside the arguments is read or written ----

  /** A tensor in the middle of NaNs, which would spread if they were read. */
  private record Guarded(Buffer arena, Tensor inner) {
    static Guarded of(Device device, float[] values) {
      int padded = (values.length + GUARD - 1) / GUARD * GUARD;
      Buffer arena = device.allocate(DType.F32, padded + 2 * GUARD);
      float[] host = new float[arena.length()];
      Arrays.fill(host, Float.NaN);
      System.arraycopy(values, 0, host, GUARD, values.length);
      arena.upload(host, 0);
      return new Guarded(arena, new Tensor(arena.slice(GUARD, values.length), shape(values)));
    }

    private static Shape shape(float[] values) {
      return Shape.of(values.length);
    }

    void check(String what) {
      float[] host = new float[arena.length()];
      arena.download(host, 0);
      for (int i = 0; i < host.length; i++) {
        boolean inside = i >= GUARD && i < GUARD + inner.size();
        assertEquals(!inside, Float.isNaN(host[i]), what + " touched element " + (i - GUARD));
      }
    }
  }

  @DeviceTest
  void guardsAroundOperandsStayUntouched(Device device) {
    Map<String, Function<Tensor, Tensor>> operations =
        Map.ofEntries(
            Map.entry("silu", Tensor::silu),
            Map.entry("tanh", Tensor::tanh),
            Map.entry("mul", x -> x.mul(x)),
            Map.entry("affine", x -> x.mul(3f)),
            Map.entry("sum", Tensor::sum),
            Map.entry("max", x -> x.max(0, true)),
            Map.entry("softmax", x -> x.softmax(0)),
            Map.entry("sort", Tensor::sort),
            Map.entry("slice", x -> x.slice(0, x.size() / 2, x.size())),
            Map.entry("concat", x -> Tensor.concat(0, x, x)),
            Map.entry("bias", x -> tensor(x.device(), 3, x.size()).add(x)),
            Map.entry("column sums", x -> x.add(tensor(x.device(), 5, 1)).sum(0, false)),
            Map.entry("transpose", x -> x.reshape(1, x.size()).transpose(1, 0)),
            Map.entry("where", x -> Tensor.where(x, x, x)));
    for (int n : SIZES) {
      Guarded x = Guarded.of(device, random(n));
      operations.forEach(
          (name, operation) -> {
            Tensor y = operation.apply(x.inner);
            assertTrue(y.isFinite(), name + " of " + n + " elements read beyond its operand");
            x.check(name);
          });
      Guarded target = Guarded.of(device, new float[n]);
      target.inner.fill(1f).addInPlace(0.5f, x.inner).copyFrom(x.inner);
      target.check("in place");
      assertArrayEquals(x.inner.toFloats(), target.inner.toFloats());
    }
  }

  // ---- broadcasting ----

  private static int[] index(int flat, Shape shape) {
    int[] index = new int[shape.rank()];
    for (int axis = shape.rank() - 1; axis >= 0; axis--) {
      index[axis] = flat % shape.dim(axis);
      flat /= shape.dim(axis);
    }
    return index;
  }

  private static double at(float[] values, Shape shape, int[] index) {
    int flat = 0;
    int skipped = index.length - shape.rank();
    for (int axis = 0; axis < shape.rank(); axis++) {
      int i = shape.dim(axis) == 1 ? 0 : index[axis + skipped];
      flat = flat * shape.dim(axis) + i;
    }
    return values[flat];
  }

  private static double[] exact(Tensor a, Tensor b, Shape shape, DoubleBinaryOperator f) {
    float[] x = a.toFloats();
    float[] y = b.toFloats();
    double[] result = new double[shape.size()];
    for (int i = 0; i < result.length; i++) {
      int[] index = index(i, shape);
      result[i] = f.applyAsDouble(at(x, a.shape(), index), at(y, b.shape(), index));
    }
    return result;
  }

  @DeviceTest
  void broadcastingFollowsTheShapes(Device device) {
    int[][][] pairs = {
      {{13}, {13}, {13}},
      {{6, 13}, {13}, {6, 13}},
      {{13}, {6, 1}, {6, 13}},
      {{2, 3, 5, 7}, {2, 1, 1, 7}, {2, 3, 5, 7}},
      {{2, 3, 5, 7}, {3, 1, 7}, {2, 3, 5, 7}},
      {{2, 1, 5, 1}, {1, 3, 1, 7}, {2, 3, 5, 7}},
      {{5, 1031}, {1031}, {5, 1031}},
      {{5, 1031}, {5, 1}, {5, 1031}},
      {{207, 100}, {}, {207, 100}},
      {{2, 1, 3, 1, 5}, {3, 4, 5}, {2, 1, 3, 4, 5}},
      {{1, 1}, {1}, {1, 1}}
    };
    for (int[][] pair : pairs) {
      Tensor a = tensor(device, pair[0]);
      Tensor b = tensor(device, pair[1]);
      Shape shape = Shape.of(pair[2]);
      String what = a.shape() + " with " + b.shape();
      assertEquals(shape, a.add(b).shape(), what);
      assertClose(exact(a, b, shape, Double::sum), a.add(b), ROUNDING, what);
      assertClose(exact(b, a, shape, (x, y) -> x - y), b.sub(a), ROUNDING, what);
      assertClose(exact(a, b, shape, (x, y) -> x * y), a.mul(b), ROUNDING, what);
      assertClose(exact(a, b, shape, Math::max), a.maximum(b), 0, what);
      assertClose(exact(a, b, shape, Math::min), b.minimum(a), 0, what);
      assertClose(exact(a, b, shape, (x, y) -> x != 0 ? x : y), Tensor.where(a, a, b), 0, what);
    }
  }

  @DeviceTest
  void shapesThatCannotMeetAreNamed(Device device) {
    Tensor a = tensor(device, 2, 3);
    Tensor b = tensor(device, 4);
    String message = assertThrows(ShapeException.class, () -> a.add(b)).getMessage();
    assertTrue(message.contains("add") && message.contains("[2,3]") && message.contains("[4]"));
  }

  // ---- reductions ----

  private static double[] reduce(Tensor x, int axis, ToDoubleFunction<double[]> f) {
    float[] values = x.toFloats();
    int outer = x.shape().product(0, axis);
    int count = x.dim(axis);
    int inner = x.shape().product(axis + 1, x.shape().rank());
    double[] result = new double[outer * inner];
    double[] run = new double[count];
    for (int i = 0; i < result.length; i++) {
      for (int k = 0; k < count; k++) {
        run[k] = values[(i / inner * count + k) * inner + i % inner];
      }
      result[i] = f.applyAsDouble(run);
    }
    return result;
  }

  private static double mean(double[] x) {
    return Arrays.stream(x).sum() / x.length;
  }

  private static double variance(double[] x) {
    double mean = mean(x);
    return Arrays.stream(x).map(v -> (v - mean) * (v - mean)).sum() / x.length;
  }

  private static double logSumExp(double[] x) {
    return Math.log(Arrays.stream(x).map(Math::exp).sum());
  }

  private static double argmax(double[] x) {
    int best = 0;
    for (int i = 1; i < x.length; i++) {
      best = x[i] > x[best] ? i : best;
    }
    return best;
  }

  @DeviceTest
  void reductionsOverAnyAxis(Device device) {
    int[][] shapes = {{1}, {702}, {6, 13}, {3, 207, 5}, {2, 3, 40, 35}, {17, 1, 9}, {16_389}};
    for (int[] sizes : shapes) {
      Tensor x = tensor(device, sizes);
      for (int axis = 0; axis < sizes.length; axis++) {
        String what = x.shape() + " over axis " + axis;
        // The sum's rounding grows with the root of its length.
        double sums = ROUNDING * Math.sqrt(sizes[axis]);
        double[] total = reduce(x, axis, run -> Arrays.stream(run).sum());
        assertClose(total, x.sum(axis, true), sums, what);
        assertClose(reduce(x, axis, ExactOpsTest::mean), x.mean(axis, false), ROUNDING, what);
        double[] largest = reduce(x, axis, run -> Arrays.stream(run).max().orElseThrow());
        assertClose(largest, x.max(axis, false), 0, what);
        Tensor where = x.argmax(axis).toFloat();
        assertClose(reduce(x, axis, ExactOpsTest::argmax), where, 0, what);
        double[] variance = reduce(x, axis, ExactOpsTest::variance);
        assertClose(variance, x.variance(axis, true), 2 * ROUNDING, what);
        double[] logSumExp = reduce(x, axis, ExactOpsTest::logSumExp);
        assertClose(logSumExp, x.logSumExp(axis, false), ROUNDING, what);
        double[] one = reduce(x, axis, run -> 1);
        assertClose(one, x.softmax(axis).sum(axis, false), 2 * ROUNDING, what);
        assertClose(one, x.logSoftmax(axis).exp().sum(axis, false), 2 * ROUNDING, what);
      }
    }
  }

  @DeviceTest
  void logSumExpAndSoftmaxDoNotOverflow(Device device) {
    Tensor x = Tensor.of(device, Shape.of(3), 1000f, 999f, -1000f);
    assertEquals(1000.3133f, x.logSumExp(0, false).item(), 1e-4f);
    float[] p = x.softmax(0).toFloats();
    assertArrayEquals(new float[] {0.73105858f, 0.26894142f, 0f}, p, 1e-6f);
  }

  // ---- moving data ----

  @DeviceTest
  void sortedRowsAndTheirQuantiles(Device device) {
    Tensor x = Tensor.of(device, Shape.of(2, 5), 5f, 1f, 4f, 2f, 3f, -1f, 0f, 9f, 7f, 8f);
    float[] sorted = {1f, 2f, 3f, 4f, 5f, -1f, 0f, 7f, 8f, 9f};
    assertArrayEquals(sorted, x.sort().toFloats());
    assertArrayEquals(new float[] {3f, 7f}, x.quantile(0.5f).toFloats());
    assertArrayEquals(new float[] {1f, -1f}, x.quantile(0f).toFloats());
    assertArrayEquals(new float[] {5f, 9f}, x.quantile(1f).toFloats());
    assertArrayEquals(new float[] {1.5f, -0.5f}, x.quantile(0.125f).toFloats(), 1e-6f);
  }

  @DeviceTest
  void transposedElementsHaveTheirIndicesExchanged(Device device) {
    Tensor x = tensor(device, 3, 5, 7);
    Tensor y = x.transpose(2, 0, 1);
    assertEquals(Shape.of(7, 3, 5), y.shape());
    float[] from = x.toFloats();
    float[] to = y.toFloats();
    for (int i = 0; i < to.length; i++) {
      int[] at = index(i, y.shape());
      assertEquals(from[(at[1] * 5 + at[2]) * 7 + at[0]], to[i]);
    }
    assertThrows(ShapeException.class, () -> x.transpose(0, 0, 1));
  }

  @DeviceTest
  void labelsAndIndices(Device device) {
    Tensor labels = Tensor.of(device, Shape.of(3), new int[] {2, 0, -1});
    float[] rows = {0, 0, 1, 1, 0, 0, 0, 0, 0};
    assertArrayEquals(rows, Tensor.oneHot(labels, 3, device).toFloats());
    Tensor table = tensor(device, 2, 4);
    if (device.id().equals("cpu")) {
      assertThrows(IndexOutOfBoundsException.class, () -> table.gather(labels));
    } else {
      // A kernel that runs later cannot throw: the rows of wrong numbers are NaN.
      assertTrue(Float.isNaN(table.gather(labels).toFloats()[0]));
    }
    Tensor logits = Tensor.of(device, Shape.of(1, 2), 0f, (float) Math.log(3));
    Tensor second = Tensor.of(device, Shape.of(1), new int[] {1});
    assertEquals((float) Math.log(4 / 3.0), logits.crossEntropy(second).item(), 1e-6f);
    Tensor masked = Tensor.of(device, Shape.of(1, 2), Float.NEGATIVE_INFINITY, 5f);
    assertEquals(0f, masked.crossEntropy(second).item(), 1e-9f);
  }

  @DeviceTest
  void anythingNotFiniteIsFound(Device device) {
    for (int n : SIZES) {
      float[] values = random(n);
      assertTrue(Tensor.of(device, Shape.of(n), values).isFinite());
      for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
        values[n - 1] = bad;
        assertFalse(Tensor.of(device, Shape.of(n), values).isFinite(), n + " with " + bad);
      }
    }
  }
}
