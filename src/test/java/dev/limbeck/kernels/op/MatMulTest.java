package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.op.MatrixOracle.Guarded;
import java.util.List;
import org.junit.jupiter.api.Test;

class MatMulTest {
  private static final int[][] SHAPES = {
    {1, 1, 1, 1}, {1, 5, 3, 7}, {1, 12, 32, 128}, {1, 13, 33, 129}, {1, 100, 31, 17},
    {1, 97, 130, 260}, {1, 3, 200, 40}, {2, 25, 17, 40}, {7, 12, 9, 33}, {1, 250, 70, 1},
    {1, 130, 1, 150}
  };

  /** Each element is one chain of k roundings; see the class comment of MatMul. */
  private static final double TOLERANCE = 3e-6;

  @Test
  void matchesFloat64OnEveryDevice() {
    try (CpuDevice scalar = CpuDevice.open(false, 1);
        CpuDevice simd = CpuDevice.open(true, 2);
        CpuDevice single = CpuDevice.open(true, 1)) {
      for (int[] s : SHAPES) {
        for (int variant = 0; variant < 8; variant++) {
          float[] first =
              check(simd, s, (variant & 1) != 0, (variant & 2) != 0, variant >> 2, TOLERANCE);
          assertArrayEquals(
              first,
              check(single, s, (variant & 1) != 0, (variant & 2) != 0, variant >> 2, TOLERANCE));
          // One order of additions everywhere, so not only close but equal.
          assertArrayEquals(
              first,
              check(scalar, s, (variant & 1) != 0, (variant & 2) != 0, variant >> 2, TOLERANCE));
        }
      }
    }
  }

  /** Large tiles; a sum in parts. See ProductPlan. */
  private static final int[][] CUDA_SHAPES = {{96, 65, 66, 5}, {1, 70, 80, 1100}};

  /** Large tiles and a sum in parts. */
  private static final int[] LARGE_IN_PARTS = {12, 65, 66, 4100};

  @CudaTest
  void matchesFloat64OnCuda() {
    for (Arithmetic arithmetic : Arithmetic.values()) {
      try (CudaDevice device = arithmetic.open()) {
        for (int[] s : SHAPES) {
          for (int variant = 0; variant < 8; variant++) {
            checkTwice(device, s, variant, arithmetic.tolerance(TOLERANCE));
          }
        }
        for (int[] s : CUDA_SHAPES) {
          for (int variant = 0; variant < 8; variant++) {
            check(
                device,
                s,
                (variant & 1) != 0,
                (variant & 2) != 0,
                variant >> 2,
                arithmetic.tolerance(TOLERANCE));
          }
        }
      }
    }
  }

  @CudaTest
  void largeTilesInPartsMatchFloat64OnCuda() {
    for (Arithmetic arithmetic : List.of(Arithmetic.F32_75, Arithmetic.TF32_80)) {
      try (CudaDevice device = arithmetic.open()) {
        check(device, LARGE_IN_PARTS, false, true, 0, arithmetic.tolerance(TOLERANCE));
      }
    }
  }

  private static void checkTwice(Device device, int[] s, int variant, double tolerance) {
    boolean ta = (variant & 1) != 0;
    boolean tb = (variant & 2) != 0;
    float[] first = check(device, s, ta, tb, variant >> 2, tolerance);
    assertArrayEquals(first, check(device, s, ta, tb, variant >> 2, tolerance));
  }

  private static float[] check(
      Device device, int[] s, boolean ta, boolean tb, int mode, double tolerance) {
    int batch = s[0];
    int m = s[1];
    int n = s[2];
    int k = s[3];
    float[] a = MatrixOracle.random(batch * m * k, 1);
    float[] b = MatrixOracle.random(batch * k * n, 2);
    float[] c = MatrixOracle.random(batch * m * n, 3);
    float[] bias = MatrixOracle.random(n, 4);
    double[] expected = MatrixOracle.matmul(batch, m, n, k, a, ta, b, tb);
    for (int i = 0; i < expected.length; i++) {
      expected[i] += mode == 0 ? bias[i % n] : c[i];
    }
    try (Scope scope = Scope.open()) {
      Guarded to = Guarded.of(device, c);
      Buffer biasBuffer = mode == 0 ? Guarded.of(device, bias).inner() : null;
      device.execute(
          new MatMul(
              batch,
              m,
              n,
              k,
              Guarded.of(device, a).inner(),
              ta,
              Guarded.of(device, b).inner(),
              tb,
              biasBuffer,
              to.inner(),
              mode != 0));
      float[] actual = to.read();
      MatrixOracle.assertClose(
          expected, actual, tolerance, "matmul " + java.util.Arrays.toString(s) + ta + tb);
      return actual;
    }
  }

  @Test
  void biasGradientSumsRows() {
    try (CpuDevice device = CpuDevice.open(true, 2);
        Scope scope = Scope.open()) {
      int rows = 3001;
      int columns = 37;
      float[] g = MatrixOracle.random(rows * columns, 5);
      float[] start = MatrixOracle.random(columns, 6);
      double[] expected = new double[columns];
      for (int i = 0; i < g.length; i++) {
        expected[i % columns] += g[i];
      }
      for (int j = 0; j < columns; j++) {
        expected[j] += start[j];
      }
      Guarded to = Guarded.of(device, start);
      device.execute(
          new BiasGradient(rows, columns, Guarded.of(device, g).inner(), to.inner(), true));
      MatrixOracle.assertClose(expected, to.read(), 1e-5, "bias gradient");
    }
  }
}
