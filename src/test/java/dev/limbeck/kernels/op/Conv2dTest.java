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

class Conv2dTest {
  private static final Conv2dSpec SAME = Conv2dSpec.same(3);

  private static final List<Conv2dDims> CASES =
      List.of(
          new Conv2dDims(1, 4, 4, 1, 1, 1, 1, Conv2dSpec.of(1, 0)),
          new Conv2dDims(2, 5, 7, 19, 33, 1, 1, Conv2dSpec.of(1, 0)),
          new Conv2dDims(3, 8, 8, 16, 32, 3, 3, SAME),
          new Conv2dDims(2, 4, 4, 48, 20, 3, 3, SAME),
          new Conv2dDims(1, 13, 9, 40, 24, 3, 3, SAME),
          new Conv2dDims(2, 6, 5, 17, 35, 3, 3, new Conv2dSpec(1, 1, 0, 2, 1, 0)),
          new Conv2dDims(1, 7, 6, 130, 140, 3, 3, SAME),
          new Conv2dDims(2, 16, 16, 1, 32, 3, 3, SAME),
          new Conv2dDims(2, 9, 9, 3, 8, 3, 3, SAME),
          new Conv2dDims(2, 8, 8, 32, 1, 3, 3, SAME),
          new Conv2dDims(2, 7, 5, 24, 3, 3, 2, new Conv2dSpec(1, 1, 2, 0, 0, 1)),
          new Conv2dDims(3, 5, 9, 2, 40, 3, 3, new Conv2dSpec(1, 1, 0, 2, 1, 1)),
          new Conv2dDims(2, 8, 8, 16, 24, 3, 3, new Conv2dSpec(2, 2, 0, 0, 1, 1)),
          new Conv2dDims(1, 9, 11, 20, 16, 3, 3, Conv2dSpec.of(2, 1)),
          new Conv2dDims(1, 12, 12, 5, 6, 5, 4, new Conv2dSpec(3, 2, 2, 1, 0, 3)),
          new Conv2dDims(1, 8, 8, 12, 16, 4, 4, Conv2dSpec.of(4, 0)),
          new Conv2dDims(1, 6, 6, 7, 9, 1, 1, Conv2dSpec.of(2, 0)));

  /** Sums of some thousand terms at most. */
  private static final double TOLERANCE = 2e-5;

  /**
   * Large tiles forward, of the input gradient, and of the weight gradient; sums in parts: see
   * ProductPlan.
   */
  private static final List<Conv2dDims> CUDA_CASES =
      List.of(
          new Conv2dDims(3, 64, 64, 4, 72, 3, 3, SAME),
          new Conv2dDims(3, 64, 64, 68, 2, 3, 3, SAME),
          new Conv2dDims(1, 2, 2, 1366, 65, 3, 3, SAME),
          new Conv2dDims(2, 9, 9, 68, 12, 3, 3, Conv2dSpec.of(2, 1)),
          new Conv2dDims(1, 40, 40, 3, 5, 3, 3, SAME));

  @CudaTest
  void forwardAndGradientsMatchFloat64OnCuda() {
    for (Arithmetic arithmetic : Arithmetic.values()) {
      try (CudaDevice device = arithmetic.open()) {
        for (Conv2dDims d : CASES) {
          checkTwice(device, d, arithmetic);
        }
      }
    }
  }

  @CudaTest
  void largeTilesAndPartsMatchFloat64OnCuda() {
    for (Arithmetic arithmetic : List.of(Arithmetic.F32_75, Arithmetic.TF32_80)) {
      try (CudaDevice device = arithmetic.open()) {
        for (Conv2dDims d : CUDA_CASES) {
          check(device, d, arithmetic.tolerance(TOLERANCE));
        }
      }
    }
  }

  private static void checkTwice(CudaDevice device, Conv2dDims d, Arithmetic arithmetic) {
    Results first = check(device, d, arithmetic.tolerance(TOLERANCE));
    Results second = check(device, d, arithmetic.tolerance(TOLERANCE));
    assertArrayEquals(first.y, second.y, d + " forward");
    assertArrayEquals(first.dx, second.dx, d + " input gradient");
    assertArrayEquals(first.dw, second.dw, d + " weight gradient");
  }

  @Test
  void forwardAndGradientsMatchFloat64() {
    try (CpuDevice scalar = CpuDevice.open(false, 1);
        CpuDevice simd = CpuDevice.open(true, 2);
        CpuDevice single = CpuDevice.open(true, 1)) {
      for (Conv2dDims d : CASES) {
        Results two = check(simd, d, TOLERANCE);
        Results one = check(single, d, TOLERANCE);
        assertArrayEquals(two.y, one.y, d + " forward");
        assertArrayEquals(two.dx, one.dx, d + " input gradient");
        assertArrayEquals(two.dw, one.dw, d + " weight gradient");
        check(scalar, d, TOLERANCE);
      }
    }
  }

  @Test
  void winogradIsForcedOnEveryShapeThatAllowsIt() {
    Conv2d.force(Conv2d.Algorithm.WINOGRAD);
    try {
      forwardAndGradientsMatchFloat64();
    } finally {
      Conv2d.force(Conv2d.Algorithm.AUTO);
    }
  }

  @Test
  void directIsForced() {
    Conv2d.force(Conv2d.Algorithm.DIRECT);
    try {
      forwardAndGradientsMatchFloat64();
    } finally {
      Conv2d.force(Conv2d.Algorithm.AUTO);
    }
  }

  private record Results(float[] y, float[] dx, float[] dw) {}

  private static Results check(Device device, Conv2dDims d, double tolerance) {
    float[] x = MatrixOracle.random(d.inPixels() * d.c(), 1);
    float[] w = MatrixOracle.random(d.o() * d.taps(), 2);
    float[] g = MatrixOracle.random(d.outPixels() * d.o(), 3);
    float[] bias = MatrixOracle.random(d.o(), 4);
    float[] residual = MatrixOracle.random(g.length, 6);
    float[] start = MatrixOracle.random(w.length, 5);
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
    try (Scope scope = Scope.open()) {
      Buffer xb = Guarded.of(device, x).inner();
      Buffer wb = Guarded.of(device, w).inner();
      Buffer gb = Guarded.of(device, g).inner();
      Buffer bb = Guarded.of(device, bias).inner();
      Guarded yTo = Guarded.of(device, new float[y.length]);
      Guarded xTo = Guarded.of(device, new float[x.length]);
      Guarded wTo = Guarded.of(device, start);
      Buffer rb = Guarded.of(device, residual).inner();
      device.execute(new Conv2d(d, xb, wb, bb, rb, yTo.inner()));
      device.execute(new Conv2dInputGradient(d, gb, wb, xTo.inner()));
      device.execute(new Conv2dWeightGradient(d, xb, gb, wTo.inner(), true));
      Results results = new Results(yTo.read(), xTo.read(), wTo.read());
      device.execute(new Conv2d(d, xb, wb, null, yTo.inner()));
      device.execute(new Conv2dWeightGradient(d, xb, gb, wTo.inner(), false));
      assertPlain(d, results, yTo.read(), wTo.read(), bias, residual, start);
      MatrixOracle.assertClose(y, results.y, tolerance, d + " forward");
      MatrixOracle.assertClose(dx, results.dx, tolerance, d + " input gradient");
      MatrixOracle.assertClose(dw, results.dw, tolerance, d + " weight gradient");
      return results;
    }
  }

  /** Without bias, residual and accumulation the results differ by exactly these. */
  private static void assertPlain(
      Conv2dDims d,
      Results full,
      float[] y,
      float[] dw,
      float[] bias,
      float[] residual,
      float[] start) {
    double[] expectedY = new double[y.length];
    for (int i = 0; i < y.length; i++) {
      expectedY[i] = (double) full.y[i] - bias[i % d.o()] - residual[i];
    }
    double[] expectedW = new double[dw.length];
    for (int i = 0; i < dw.length; i++) {
      expectedW[i] = (double) full.dw[i] - start[i];
    }
    MatrixOracle.assertClose(expectedY, y, TOLERANCE, d + " without bias");
    MatrixOracle.assertClose(expectedW, dw, TOLERANCE, d + " not accumulated");
  }
}
