package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.op.KernelAgreement.Operands;

/** Normalisations and softmax on every device against the scalar loop. */
class NormalizationKernelsTest {
  private static final float EPSILON = 1e-5f;

  /** Means of up to 80,000 numbers of size 1, in other orders. */
  private static final double MEANS = 1e-5;

  /** Lengths that a lane, a warp, a block holds in registers, and longer; ragged and whole. */
  private static final int[][] ROWS = {
    {5, 1},
    {9, 3},
    {40, 10},
    {7, 16},
    {3, 33},
    {70, 37},
    {20, 100},
    {3, 512},
    {3, 513},
    {40, 600},
    {2, 1001},
    {18, 2052},
    {17, 2050},
    {2, 8193},
    {2, 8200}
  };

  @DeviceTest
  void softmaxAndItsGradient(Device device) {
    for (int[] s : ROWS) {
      int n = s[0] * s[1];
      for (boolean log : new boolean[] {false, true}) {
        String what = (log ? "log " : "") + "softmax " + s[0] + " x " + s[1];
        KernelAgreement.check(
            device, what, MEANS, o -> new Softmax(log, o.input(n, 3f), o.result(n), s[0], s[1]));
        KernelAgreement.check(
            device,
            what + " gradient",
            MEANS,
            o -> new SoftmaxGrad(log, o.input(n), o.input(n), o.result(n), s[0], s[1]));
      }
    }
  }

  @DeviceTest
  void softmaxInPlace(Device device) {
    for (int n : new int[] {10, 600, 8200}) {
      KernelAgreement.check(
          device,
          "softmax in place, " + n,
          MEANS,
          o -> {
            Buffer x = o.result(MatrixOracle.random(2 * n, 3));
            return new Softmax(false, x, x, 2, n);
          });
    }
  }

  @DeviceTest
  void softmaxOfOddNumbers(Device device) {
    float infinity = Float.POSITIVE_INFINITY;
    float[] x = {
      1, -infinity, 2, -infinity, -infinity, -infinity, infinity, 0, 1, Float.NaN, 3, 2, 200, 0,
      -200
    };
    for (boolean log : new boolean[] {false, true}) {
      KernelAgreement.check(
          device, "odd", MEANS, o -> new Softmax(log, o.input(x), o.result(x.length), 5, 3));
    }
  }

  private static RowNorm rowNorm(Operands o, int[] s, boolean centred, boolean affine) {
    int n = s[0] * s[1];
    return new RowNorm(
        s[1],
        centred,
        EPSILON,
        o.input(n, 2f),
        affine ? o.input(s[1], 1f) : null,
        affine ? o.input(s[1]) : null,
        o.result(n),
        o.result(s[0]),
        o.result(s[0]));
  }

  @DeviceTest
  void rowNorm(Device device) {
    for (int[] s : ROWS) {
      for (boolean centred : new boolean[] {false, true}) {
        for (boolean affine : new boolean[] {false, true}) {
          String what = "row norm " + s[0] + " x " + s[1] + centred + affine;
          // A single element's centred value is 0, and so is its norm.
          double tolerance = s[1] < 4 ? 1e-4 : MEANS;
          KernelAgreement.check(device, what, tolerance, o -> rowNorm(o, s, centred, affine));
        }
      }
    }
  }

  @DeviceTest
  void rowNormGradient(Device device) {
    for (int[] s : ROWS) {
      for (boolean affine : new boolean[] {false, true}) {
        for (boolean centred : new boolean[] {false, true}) {
          int n = s[0] * s[1];
          String what = "row norm gradient " + s[0] + " x " + s[1] + affine + centred;
          KernelAgreement.check(
              device,
              what,
              2 * MEANS,
              o -> {
                RowNorm f =
                    new RowNorm(
                        s[1],
                        centred,
                        EPSILON,
                        o.input(n),
                        affine ? o.input(s[1], 1f) : null,
                        null,
                        o.input(n),
                        o.input(s[0]),
                        o.input(s[0], 2f));
                Buffer dGamma = affine ? o.result(s[1]) : null;
                Buffer dBeta = centred ? o.result(s[1]) : null;
                return new RowNormGrad(f, o.input(n), o.result(n), dGamma, dBeta);
              });
        }
      }
    }
  }

  /**
   * Samples, pixels, channels, groups: tiles that fit into registers, with units of four channels
   * or one, a power of two of them or not, and the last tile narrower; then more pixels than fit.
   */
  private static final int[][] GROUPS = {
    {2, 1, 8, 2}, {2, 16, 8, 2}, {3, 64, 32, 8}, {2, 100, 10, 5}, {1, 1024, 8, 2}, {2, 49, 12, 4},
    {2, 30, 20, 2}, {2, 64, 96, 32}, {1, 9, 44, 11}, {1, 6, 128, 1}, {2, 7, 7, 7}, {9, 16, 16, 16},
    {1, 5000, 8, 2}, {2, 3000, 10, 5}, {1, 2100, 132, 11}, {1, 20, 4096, 2}, {3, 2200, 16, 16}
  };

  /** The launch, or with results of an earlier one that its gradient needs. */
  private static GroupNorm groupNorm(
      Operands o, int[] s, boolean silu, boolean modulated, boolean before) {
    int n = s[0] * s[1] * s[2];
    int c = s[2];
    Buffer x = o.input(n, before ? 0f : 20f);
    return new GroupNorm(
        new GroupNorm.Layout(s[0], s[1], c, s[3]),
        EPSILON,
        silu,
        x,
        o.input(c, 1f),
        o.input(c),
        modulated ? o.input(s[0] * c) : null,
        modulated ? o.input(s[0] * c) : null,
        before ? x : o.result(n),
        before ? o.input(s[0] * s[3]) : o.result(s[0] * s[3]),
        before ? o.input(s[0] * s[3], 2f) : o.result(s[0] * s[3]));
  }

  @DeviceTest
  void groupNorm(Device device) {
    for (int[] s : GROUPS) {
      for (int flags = 0; flags < 4; flags++) {
        boolean silu = (flags & 1) != 0;
        boolean modulated = (flags & 2) != 0;
        // An offset of 20 takes a factor 20 of the digits of u = a·x + b.
        KernelAgreement.check(
            device,
            "group norm " + java.util.Arrays.toString(s) + silu + modulated,
            20 * MEANS,
            o -> groupNorm(o, s, silu, modulated, false));
      }
    }
  }

  @DeviceTest
  void groupNormGradient(Device device) {
    for (int[] s : GROUPS) {
      for (int flags = 0; flags < 4; flags++) {
        boolean silu = (flags & 1) != 0;
        boolean modulated = (flags & 2) != 0;
        int n = s[0] * s[1] * s[2];
        int c = s[2];
        KernelAgreement.check(
            device,
            "group norm gradient " + java.util.Arrays.toString(s) + silu + modulated,
            2 * MEANS,
            o -> {
              GroupNorm f = groupNorm(o, s, silu, modulated, true);
              Buffer dScale = modulated ? o.result(s[0] * c) : null;
              Buffer dShift = modulated ? o.result(s[0] * c) : null;
              return new GroupNormGrad(
                  f, o.input(n), o.result(n), o.result(c), o.result(c), dScale, dShift);
            });
      }
    }
  }
}
