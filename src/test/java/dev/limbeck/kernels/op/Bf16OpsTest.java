package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import dev.limbeck.kernels.op.MatrixOracle.Guarded;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;

/** Kernels on BF16 operands against double precision, and conversions. */
class Bf16OpsTest {
  /** Sums of up to 20,000 terms in F32. */
  private static final double SUMS = 1e-4;

  private static final float EPSILON = 1e-5f;

  /** Whole words of 16 bytes, and a tail of every length. */
  private static final int[] LENGTHS = {1, 7, 8, 9, 1023, 4096};

  /**
   * Samples, pixels, channels, groups: tiles of whole groups, blocks of pixels, and channels that
   * no function for BF16 takes.
   */
  private static final int[][] GROUPS = {
    {2, 16, 8, 2}, {3, 64, 32, 8}, {2, 49, 12, 4}, {1, 2100, 8, 2}, {2, 3000, 12, 3}, {2, 9, 10, 5}
  };

  @AfterEach
  void usualDevice() {
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("reset=all");
    }
  }

  @DeviceTest
  void aCastRoundsToTheNearest(Device device) {
    for (int n : LENGTHS) {
      float[] x = MatrixOracle.random(n, n);
      for (int i = 0; i < n; i++) {
        // Halfway between two neighbours, with an even and an odd one below; and just beside.
        int bits = Float.floatToRawIntBits(x[i] * 1e3f);
        x[i] = Float.intBitsToFloat(i % 2 == 0 ? bits & 0xFFFF0000 | 0x8000 : bits);
        x[i] = i % 8 == 4 ? Math.nextUp(x[i]) : i % 8 == 6 ? Math.nextDown(x[i]) : x[i];
      }
      float[] odd = {Float.NaN, Float.POSITIVE_INFINITY, Float.MAX_VALUE, 1e-45f, -0f, -3e-39f};
      System.arraycopy(odd, 0, x, 0, Math.min(n, odd.length));
      Buffer wide = Guarded.of(device, x).inner();
      Halves halves = Halves.unset(device, n);
      device.execute(new Cast(wide, halves.buffer()));
      float[] y = halves.read();
      for (int i = 0; i < n; i++) {
        // The bits: −0 is not 0.
        int wanted = Float.floatToIntBits(Halves.rounded(x[i]));
        assertEquals(wanted, Float.floatToIntBits(y[i]), "element " + i + ", " + x[i]);
      }
    }
  }

  @DeviceTest
  void everyBf16NumberComesBack(Device device) {
    float[] x = new float[1 << 16];
    for (int i = 0; i < x.length; i++) {
      x[i] = Float.intBitsToFloat(i << 16);
    }
    float[] y = Halves.of(device, x.clone()).read();
    for (int i = 0; i < x.length; i++) {
      assertEquals(Float.floatToIntBits(x[i]), Float.floatToIntBits(y[i]), "number " + i);
    }
  }

  /** Checks that y is f of the elements of a and b, on operands of every length. */
  private static void elementwise(Device device, String what, Maker maker, Formula formula) {
    for (int n : LENGTHS) {
      Halves a = Halves.of(device, MatrixOracle.random(n, 1));
      Halves b = Halves.of(device, MatrixOracle.random(n, 2));
      float[] u = a.read();
      float[] v = b.read();
      double[] expected = new double[n];
      for (int i = 0; i < n; i++) {
        expected[i] = formula.of(u[i], v[i]);
      }
      Halves y = Halves.of(device, v.clone());
      device.execute(maker.of(a.buffer(), b.buffer(), y.buffer()));
      MatrixOracle.assertClose(expected, y.read(), Halves.ROUNDING + 1e-6, what + ", " + n);
    }
  }

  /** y holds what b holds. */
  private interface Maker {
    Kernel of(Buffer a, Buffer b, Buffer y);
  }

  private interface Formula {
    double of(double a, double b);
  }

  private static Binary binary(Binary.Op op, Buffer a, Buffer b, Buffer y) {
    int[] sizes = {1, 1, 1, y.length()};
    Broadcast full = new Broadcast(sizes, new int[] {0, 0, 0, 1});
    return new Binary(op, a, full, b, full, y);
  }

  @DeviceTest
  void elementwiseOperationsRoundOnce(Device device) {
    elementwise(device, "axpy", (a, b, y) -> new Axpy(0.7f, a, y), (a, b) -> 0.7f * a + b);
    elementwise(device, "add", (a, b, y) -> binary(Binary.Op.ADD, a, b, y), (a, b) -> a + b);
    elementwise(device, "mul", (a, b, y) -> binary(Binary.Op.MUL, a, b, y), (a, b) -> a * b);
    elementwise(
        device,
        "affine",
        (a, b, y) -> new Unary(Unary.Op.AFFINE, 0.7f, 0.1f, a, y),
        (a, b) -> 0.7f * a + 0.1f);
    elementwise(
        device,
        "silu",
        (a, b, y) -> new Unary(Unary.Op.SILU, 0f, 0f, a, y),
        (a, b) -> a / (1 + Math.exp(-a)));
  }

  @DeviceTest
  void filledWithTheNearest(Device device) {
    for (int n : LENGTHS) {
      Halves y = Halves.unset(device, n);
      device.execute(new Fill(1.006f, y.buffer()));
      for (float v : y.read()) {
        assertEquals(Halves.rounded(1.006f), v);
      }
    }
    assertTrue(Halves.rounded(1.006f) > 1.006f, "this one is rounded up");
  }

  @DeviceTest
  void biasGradients(Device device) {
    for (int[] s : new int[][] {{1, 4}, {70, 36}, {5000, 8}, {33, 260}, {9, 7}}) {
      Halves g = Halves.of(device, MatrixOracle.random(s[0] * s[1], 1));
      float[] start = MatrixOracle.random(s[1], 2);
      Guarded to = Guarded.of(device, start);
      double[] expected = new double[s[1]];
      float[] gs = g.read();
      for (int i = 0; i < gs.length; i++) {
        expected[i % s[1]] += gs[i];
      }
      for (int c = 0; c < s[1]; c++) {
        expected[c] += start[c];
      }
      device.execute(new BiasGradient(s[0], s[1], g.buffer(), to.inner(), true));
      MatrixOracle.assertClose(expected, to.read(), SUMS, "bias gradient " + Arrays.toString(s));
    }
  }

  @DeviceTest
  void imagesAreResized(Device device) {
    for (int channels : new int[] {8, 5}) {
      Resample.Axis rows = Resample.Axis.average(6, 2);
      Resample.Axis columns = Resample.Axis.bilinear(4, 7);
      Halves x = Halves.of(device, MatrixOracle.random(2 * 6 * 4 * channels, 1));
      Halves y = Halves.unset(device, 2 * 3 * 7 * channels);
      device.execute(new Resample(2, channels, rows, columns, x.buffer(), y.buffer()));
      float[] xs = x.read();
      double[] expected = new double[y.buffer().length()];
      for (int i = 0; i < expected.length; i++) {
        int c = i % channels;
        int column = i / channels % 7;
        int row = i / channels / 7 % 3;
        int image = i / channels / 21;
        for (int a = rows.start()[row]; a < rows.start()[row + 1]; a++) {
          for (int b = columns.start()[column]; b < columns.start()[column + 1]; b++) {
            int pixel = (image * 6 + rows.source()[a]) * 4 + columns.source()[b];
            expected[i] +=
                (double) rows.weight()[a] * columns.weight()[b] * xs[pixel * channels + c];
          }
        }
      }
      MatrixOracle.assertClose(expected, y.read(), Halves.ROUNDING + 1e-6, "resize " + channels);
    }
  }

  /** One group normalisation, and its gradients, by their definition. */
  private record Norm(int[] s, boolean silu, float[][] in) {
    static final int X = 0;
    static final int GAMMA = 1;
    static final int BETA = 2;
    static final int SCALE = 3;
    static final int SHIFT = 4;
    static final int DY = 5;

    static Norm of(int[] s, boolean silu) {
      int n = s[0] * s[1] * s[2];
      int[] lengths = {n, s[2], s[2], s[0] * s[2], s[0] * s[2], n};
      float[][] in = new float[lengths.length][];
      for (int i = 0; i < in.length; i++) {
        in[i] = MatrixOracle.random(lengths[i], i + 1);
      }
      for (int i : new int[] {X, DY}) {
        for (int k = 0; k < n; k++) {
          in[i][k] = Halves.rounded(in[i][k] + (i == X ? 0.5f : 0));
        }
      }
      return new Norm(s, silu, in);
    }

    /** y, mean, inverse, dx, dγ, dβ, dscale, dshift. */
    double[][] expected() {
      int samples = s[0];
      int pixels = s[1];
      int c = s[2];
      int groups = s[3];
      int per = c / groups;
      int[] lengths = {
        in[X].length,
        samples * groups,
        samples * groups,
        in[X].length,
        c,
        c,
        samples * c,
        samples * c
      };
      double[][] out = Arrays.stream(lengths).mapToObj(double[]::new).toArray(double[][]::new);
      for (int group = 0; group < samples * groups; group++) {
        int n = group / groups;
        int first = group % groups * per;
        double count = (double) pixels * per;
        double mean = 0;
        double square = 0;
        for (int k = 0; k < count; k++) {
          mean += in[X][at(n, k, first)] / count;
        }
        for (int k = 0; k < count; k++) {
          square += Math.pow(in[X][at(n, k, first)] - mean, 2) / count;
        }
        double inverse = 1 / Math.sqrt(square + EPSILON);
        out[1][group] = mean;
        out[2][group] = inverse;
        double meanW = 0;
        double meanWx = 0;
        for (int pass = 0; pass < 2; pass++) {
          for (int k = 0; k < count; k++) {
            int i = at(n, k, first);
            int j = i % c;
            double x = (in[X][i] - mean) * inverse;
            double factor = 1 + in[SCALE][n * c + j];
            double u = (x * in[GAMMA][j] + in[BETA][j]) * factor + in[SHIFT][n * c + j];
            double sigmoid = 1 / (1 + Math.exp(-u));
            double du = in[DY][i] * (silu ? sigmoid * (1 + u * (1 - sigmoid)) : 1);
            double w = du * in[GAMMA][j] * factor;
            if (pass == 0) {
              out[0][i] = silu ? u * sigmoid : u;
              meanW += w / count;
              meanWx += w * x / count;
              out[4][j] += du * factor * x;
              out[5][j] += du * factor;
              out[6][n * c + j] += du * (x * in[GAMMA][j] + in[BETA][j]);
              out[7][n * c + j] += du;
            } else {
              out[3][i] = (w - meanW - x * meanWx) * inverse;
            }
          }
        }
      }
      return out;
    }

    /** The k-th element of the group of a sample that begins at a channel. */
    private int at(int n, int k, int first) {
      int per = s[2] / s[3];
      return (n * s[1] + k / per) * s[2] + first + k % per;
    }

    void check(Device device) {
      double[][] expected = expected();
      Buffer x = Halves.of(device, in[X]).buffer();
      Buffer dy = Halves.of(device, in[DY]).buffer();
      Halves y = Halves.unset(device, in[X].length);
      Halves dx = Halves.unset(device, in[X].length);
      Guarded[] floats = new Guarded[expected.length];
      for (int i = 0; i < floats.length; i++) {
        floats[i] = Guarded.of(device, new float[expected[i].length]);
      }
      GroupNorm forward =
          new GroupNorm(
              new GroupNorm.Layout(s[0], s[1], s[2], s[3]),
              EPSILON,
              silu,
              x,
              Guarded.of(device, in[GAMMA]).inner(),
              Guarded.of(device, in[BETA]).inner(),
              Guarded.of(device, in[SCALE]).inner(),
              Guarded.of(device, in[SHIFT]).inner(),
              y.buffer(),
              floats[1].inner(),
              floats[2].inner());
      device.execute(forward);
      device.execute(
          new GroupNormGrad(
              forward,
              dy,
              dx.buffer(),
              floats[4].inner(),
              floats[5].inner(),
              floats[6].inner(),
              floats[7].inner()));
      for (int i = 0; i < expected.length; i++) {
        boolean narrow = i == 0 || i == 3;
        float[] actual = i == 0 ? y.read() : i == 3 ? dx.read() : floats[i].read();
        double tolerance = narrow ? Halves.ROUNDING + SUMS : SUMS;
        MatrixOracle.assertClose(
            expected[i], actual, tolerance, "result " + i + " of " + Arrays.toString(s) + silu);
      }
    }
  }

  @DeviceTest
  void groupNormalisation(Device device) {
    for (int[] s : GROUPS) {
      Norm.of(s, true).check(device);
      Norm.of(s, false).check(device);
    }
  }

  @CudaTest
  void groupNormalisationOnEveryPtxWithEveryChecker() {
    for (int ptx : new int[] {75, 80, 90}) {
      if (SoftwareCuda.isLoaded()) {
        SoftwareCuda.option("racecheck=on,initcheck=on,noise=3,schedule=5");
      }
      try (CudaDevice device = SoftwareCuda.openWithPtx(ptx, CudaDevice.Options.ofProperties())) {
        for (int[] s : new int[][] {GROUPS[1], GROUPS[4]}) {
          Norm.of(s, true).check(device);
        }
      }
    }
  }

  private static void assertOneLaunch(CudaDevice device, Kernel kernel) {
    long before = device.counters().launches();
    device.execute(kernel);
    assertEquals(before + 1, device.counters().launches(), kernel.name());
  }

  /** What a network spends its time with is not converted on a device that has tensor cores. */
  @CudaTest
  void operandsAreTakenAsTheyAre() {
    try (CudaDevice device = SoftwareCuda.openWithPtx(80, CudaDevice.Options.ofProperties());
        Scope scope = Scope.open()) {
      Buffer x = Halves.of(device, new float[2 * 16 * 8]).buffer();
      Buffer y = Halves.of(device, new float[2 * 16 * 8]).buffer();
      Buffer w = Halves.of(device, new float[64]).buffer();
      Buffer row = Guarded.of(device, new float[16]).inner();
      Buffer dw = Guarded.of(device, new float[64]).inner();
      Conv2dDims dims = new Conv2dDims(2, 4, 4, 8, 8, 1, 1, Conv2dSpec.same(1));
      GroupNorm.Layout groups = new GroupNorm.Layout(2, 16, 8, 2);
      Buffer gamma = row.slice(0, 8);
      Buffer mean = Guarded.of(device, new float[4]).inner();
      Attention.Layout heads = new Attention.Layout(2, 16, 16, 1, 8);
      Buffer logSum = Guarded.of(device, new float[32]).inner();
      for (Kernel kernel :
          new Kernel[] {
            new Conv2d(dims, x, w, null, y),
            new Conv2dInputGradient(dims, y, w, x),
            new Conv2dWeightGradient(dims, x, y, dw, true),
            new MatMul(1, 32, 8, 8, x, false, w, true, null, y, false),
            new GroupNorm(groups, EPSILON, true, x, gamma, gamma, null, null, y, mean, mean),
            new Attention(heads, 1f, x, x, x, y, logSum),
            new Axpy(1f, x, y),
            binary(Binary.Op.ADD, x, x, y)
          }) {
        assertOneLaunch(device, kernel);
      }
    }
  }

  @DeviceTest
  void anOperationWithoutBf16SaysSo(Device device) {
    Buffer x = device.allocate(DType.BF16, 8);
    Softmax softmax = new Softmax(false, x, x, 2, 4);
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> device.execute(softmax));
    assertTrue(e.getMessage().contains("softmax takes no BF16 operands"), e.getMessage());
  }
}
