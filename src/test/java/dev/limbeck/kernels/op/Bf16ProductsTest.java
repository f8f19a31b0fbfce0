package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import java.util.List;

/** Matrix products and convolutions of BF16 operands. */
class Bf16ProductsTest {
  /** Products of BF16 are exact, sums are F32. */
  private static final double TOLERANCE = 5e-6;

  /** A BF16 result is rounded once more. */
  private static final double NARROW_TOLERANCE = Halves.ROUNDING + TOLERANCE;

  /** The CPU may convolve by Winograd's algorithm. */
  private static final double CPU_TOLERANCE = 5e-5;

  /** With tensor cores and without. */
  private static final int[] PTX = {75, 80, 90};

  /** Large tiles where a batch of 96 stands; a sum in parts where k is long. */
  private static final int[][] SHAPES = {
    {1, 1, 1, 1},
    {1, 64, 64, 64},
    {2, 65, 67, 33},
    {1, 40, 72, 136},
    {1, 33, 66, 0},
    {1, 70, 80, 1100},
    {96, 65, 72, 40}
  };

  private static final List<Conv2dDims> CASES =
      List.of(
          new Conv2dDims(2, 7, 5, 3, 5, 3, 3, Conv2dSpec.same(3)),
          new Conv2dDims(2, 6, 5, 16, 24, 3, 3, Conv2dSpec.same(3)),
          new Conv2dDims(1, 9, 9, 24, 16, 3, 3, Conv2dSpec.of(2, 1)),
          new Conv2dDims(2, 8, 8, 64, 72, 3, 3, new Conv2dSpec(2, 2, 0, 0, 1, 1)));

  @DeviceTest
  void everyDeviceMultipliesAndConvolves(Device device) {
    for (int[] s : SHAPES) {
      if (s[0] < 96) {
        matMul(device, s, true, false, false);
        matMul(device, s, false, true, true);
      }
    }
    for (Conv2dDims d : CASES) {
      convolve(device, d, CPU_TOLERANCE);
    }
  }

  @CudaTest
  void matMulMatchesFloat64() {
    for (int ptx : PTX) {
      try (CudaDevice device = SoftwareCuda.openWithPtx(ptx, CudaDevice.Options.ofProperties())) {
        for (int[] s : SHAPES) {
          for (int variant = 0; variant < 8; variant++) {
            matMul(device, s, (variant & 1) != 0, (variant & 2) != 0, variant >= 4);
          }
        }
      }
    }
  }

  private static void matMul(Device device, int[] s, boolean ta, boolean tb, boolean narrow) {
    int batch = s[0];
    int m = s[1];
    int n = s[2];
    int k = s[3];
    float[] a = MatrixOracle.random(batch * m * k, 1);
    float[] b = MatrixOracle.random(batch * k * n, 2);
    float[] start = MatrixOracle.random(batch * m * n, 3);
    float[] bias = MatrixOracle.random(n, 4);
    try (Scope scope = Scope.open()) {
      Buffer as = Halves.of(device, a).buffer();
      Buffer bs = Halves.of(device, b).buffer();
      Buffer biases = narrow ? MatrixOracle.Guarded.of(device, bias).inner() : null;
      MatrixOracle.Guarded wide = MatrixOracle.Guarded.of(device, start);
      Halves halves = Halves.of(device, start.clone());
      Buffer c = narrow ? halves.buffer() : wide.inner();
      device.execute(new MatMul(batch, m, n, k, as, ta, bs, tb, biases, c, !narrow));
      double[] expected = MatrixOracle.matmul(batch, m, n, k, a, ta, b, tb);
      for (int i = 0; i < expected.length; i++) {
        expected[i] += narrow ? bias[i % n] : start[i];
      }
      MatrixOracle.assertClose(
          expected,
          narrow ? halves.read() : wide.read(),
          narrow ? NARROW_TOLERANCE : TOLERANCE,
          "matmul " + java.util.Arrays.toString(s) + ta + tb + narrow);
    }
  }

  @CudaTest
  void convolutionsMatchFloat64() {
    for (int ptx : PTX) {
      try (CudaDevice device = SoftwareCuda.openWithPtx(ptx, CudaDevice.Options.ofProperties())) {
        for (Conv2dDims d : CASES) {
          convolve(device, d, TOLERANCE);
        }
      }
    }
  }

  private static void convolve(Device device, Conv2dDims d, double exact) {
    float[] x = MatrixOracle.random(d.inPixels() * d.c(), 1);
    float[] w = MatrixOracle.random(d.o() * d.taps(), 2);
    float[] g = MatrixOracle.random(d.outPixels() * d.o(), 3);
    float[] bias = MatrixOracle.random(d.o(), 4);
    float[] start = MatrixOracle.random(w.length, 5);
    float[] residual = MatrixOracle.random(g.length, 6);
    try (Scope scope = Scope.open()) {
      Buffer xs = Halves.of(device, x).buffer();
      Buffer ws = Halves.of(device, w).buffer();
      Buffer gs = Halves.of(device, g).buffer();
      Buffer rs = Halves.of(device, residual).buffer();
      Buffer bs = MatrixOracle.Guarded.of(device, bias).inner();
      double[] y = new double[g.length];
      double[] dx = new double[x.length];
      double[] dw = new double[w.length];
      for (int i = 0; i < y.length; i++) {
        y[i] = bias[i % d.o()] + residual[i];
      }
      for (int i = 0; i < dw.length; i++) {
        dw[i] = start[i];
      }
      MatrixOracle.links(
          d,
          (xi, wi, yi) -> {
            y[yi] += (double) x[xi] * w[wi];
            dx[xi] += (double) g[yi] * w[wi];
            dw[wi] += (double) g[yi] * x[xi];
          });
      Halves yTo = Halves.of(device, new float[y.length]);
      Halves xTo = Halves.of(device, new float[x.length]);
      MatrixOracle.Guarded wTo = MatrixOracle.Guarded.of(device, start);
      device.execute(new Conv2d(d, xs, ws, bs, rs, yTo.buffer()));
      device.execute(new Conv2dInputGradient(d, gs, ws, xTo.buffer()));
      device.execute(new Conv2dWeightGradient(d, xs, gs, wTo.inner(), true));
      double tolerance = Halves.ROUNDING + exact;
      MatrixOracle.assertClose(y, yTo.read(), tolerance, d + " forward");
      MatrixOracle.assertClose(dx, xTo.read(), tolerance, d + " input gradient");
      MatrixOracle.assertClose(dw, wTo.read(), exact, d + " weight gradient");
    }
  }

  @DeviceTest
  void mixedOperandsAreRefused(Device device) {
    try (Scope scope = Scope.open()) {
      Buffer halves = device.allocate(DType.BF16, 16);
      Buffer floats = device.allocate(DType.F32, 16);
      MatMul mixed = new MatMul(1, 4, 4, 4, halves, false, floats, false, null, floats, false);
      MatMul narrow = new MatMul(1, 4, 4, 4, floats, false, floats, false, null, halves, false);
      assertThrows(IllegalArgumentException.class, () -> device.execute(mixed));
      assertThrows(IllegalArgumentException.class, () -> device.execute(narrow));
    }
  }
}
