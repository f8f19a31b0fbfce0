package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.op.KernelAgreement.Operands;
import dev.limbeck.kernels.op.MatrixOracle.Guarded;

/** Reductions and row arithmetic on every device against the scalar loop. */
class ReductionKernelsTest {
  /** Sums of up to 70,000 numbers in other orders, relative to a largest sum of some hundred. */
  private static final double SUM = 2e-5;

  /** Short and long rows, ragged and whole, few and many; columns side by side, alone and wide. */
  private static final int[][] SHAPES = {
    {1, 1, 1},
    {1, 5, 1},
    {7, 3, 1},
    {40, 33, 1},
    {3, 100, 1},
    {2, 513, 1},
    {2, 1001, 1},
    {2, 40001, 1},
    {1, 70003, 1},
    {1100, 21, 1},
    {3, 0, 1},
    {5, 9, 6},
    {5, 9, 8},
    {2, 70, 3},
    {3, 100, 64},
    {1, 3001, 37},
    {1, 5000, 4},
    {2, 170, 132},
    {1, 300, 260},
    {2, 17, 129}
  };

  @DeviceTest
  void sumsAlongTheMiddleAxis(Device device) {
    for (int[] s : SHAPES) {
      KernelAgreement.check(device, "sum " + text(s), SUM, o -> reduce(o, Reduce.Op.SUM, s));
    }
  }

  @DeviceTest
  void maximaAlongTheMiddleAxisAreExact(Device device) {
    for (int[] s : SHAPES) {
      if (s[1] > 0) {
        KernelAgreement.check(device, "max " + text(s), 0, o -> reduce(o, Reduce.Op.MAX, s));
      }
    }
  }

  private static Reduce reduce(Operands o, Reduce.Op op, int[] s) {
    Buffer x = o.input(s[0] * s[1] * s[2]);
    return new Reduce(op, 0.5f, x, o.result(s[0] * s[2]), s[0], s[1], s[2]);
  }

  @DeviceTest
  void maximumOfNaNIsNaN(Device device) {
    for (int[] s : new int[][] {{2, 70, 1}, {1, 600, 1}, {1, 70, 5}}) {
      KernelAgreement.check(
          device,
          "max of NaN " + text(s),
          0,
          o -> {
            float[] x = MatrixOracle.random(s[0] * s[1] * s[2], 3);
            x[s[1] * s[2] - 2] = Float.NaN;
            Buffer y = o.result(s[0] * s[2]);
            return new Reduce(Reduce.Op.MAX, 1f, o.input(x), y, s[0], s[1], s[2]);
          });
    }
  }

  @DeviceTest
  void biasGradientsAreWrittenOrAdded(Device device) {
    for (int[] s : new int[][] {{3001, 37}, {2000, 64}, {5, 8}, {100, 1}, {0, 6}, {40, 1030}}) {
      for (boolean accumulate : new boolean[] {false, true}) {
        KernelAgreement.check(
            device,
            "bias gradient " + text(s) + accumulate,
            SUM,
            o -> {
              Buffer db = accumulate ? o.result(MatrixOracle.random(s[1], 9)) : o.result(s[1]);
              return new BiasGradient(s[0], s[1], o.input(s[0] * s[1]), db, accumulate);
            });
      }
    }
  }

  @DeviceTest
  void normAndSquaredErrorsOfAnyLength(Device device) {
    for (int n : new int[] {0, 1, 1000, 40001}) {
      KernelAgreement.check(device, "norm " + n, SUM, o -> new GlobalNorm(o.input(n), o.result(1)));
    }
    for (int[] s : new int[][] {{3, 20001}, {40, 10}, {5, 768}, {1, 40000}, {2, 0}}) {
      KernelAgreement.check(
          device,
          "squared error " + text(s),
          SUM,
          o -> new RowSquaredError(o.input(s[0] * s[1]), o.input(s[0] * s[1]), o.result(s[0])));
    }
  }

  @DeviceTest
  void oneNumberThatIsNotFiniteIsFoundAnywhere(Device device) {
    for (int n : new int[] {0, 1, 7, 5000}) {
      for (float v : new float[] {1f, Float.NaN, Float.NEGATIVE_INFINITY, Float.MAX_VALUE}) {
        for (int at : n == 0 ? new int[] {-1} : new int[] {0, n / 2, n - 1}) {
          KernelAgreement.check(
              device,
              "finite " + n + ", " + v + " at " + at,
              0,
              o -> {
                float[] x = MatrixOracle.random(n, 4);
                if (at >= 0) {
                  x[at] = v;
                }
                return new AllFinite(o.input(x), o.result(1));
              });
        }
      }
    }
  }

  @DeviceTest
  void argmaxIsTheFirst(Device device) {
    float[] x = MatrixOracle.random(6 * 700, 5);
    x[3] = 2f;
    x[500] = 2f;
    x[1400] = Float.NaN;
    x[2103] = Float.NaN;
    java.util.Arrays.fill(x, 2800, 3500, Float.NEGATIVE_INFINITY);
    for (int[] s :
        new int[][] {{6, 700, 1}, {1, 6, 700}, {60, 10, 7}, {4200, 1, 1}, {1, 4200, 1}}) {
      int[] expected = new int[s[0] * s[2]];
      for (int i = 0; i < expected.length; i++) {
        int first = i / s[2] * s[1] * s[2] + i % s[2];
        for (int k = 1; k < s[1]; k++) {
          if (x[first + k * s[2]] > x[first + expected[i] * s[2]]) {
            expected[i] = k;
          }
        }
      }
      try (Scope scope = Scope.open()) {
        Buffer y = device.allocate(DType.I32, expected.length);
        device.execute(new ArgMax(Guarded.of(device, x).inner(), y, s[0], s[1], s[2]));
        int[] actual = new int[expected.length];
        y.download(actual, 0);
        assertArrayEquals(expected, actual, text(s));
      }
    }
  }

  @DeviceTest
  void rowsAreCombinedExactly(Device device) {
    for (int[] s : new int[][] {{3, 7}, {5, 1}, {4, 64}, {1, 1}, {9, 2}, {2, 4099}}) {
      int n = s[0] * s[1];
      KernelAgreement.check(
          device,
          "combine " + text(s),
          0,
          o -> new RowCombine(o.input(s[0]), o.input(n), o.input(s[0]), o.input(n), o.result(n)));
      KernelAgreement.check(
          device,
          "scale " + text(s),
          0,
          o -> new RowCombine(o.input(s[0]), o.input(n), null, null, o.result(n)));
    }
  }

  private static String text(int[] shape) {
    return java.util.Arrays.toString(shape);
  }
}
