package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import dev.limbeck.kernels.op.MatrixOracle.Guarded;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;

/** Attention and its gradient against plain double loops. */
class AttentionTest {
  /** Samples, queries, keys, heads, features: whole tiles, ragged ones, rows not of 16 bytes. */
  private static final int[][] SHAPES = {
    {1, 64, 64, 1, 64}, {2, 21, 21, 3, 4}, {1, 150, 150, 1, 19}, {2, 5, 70, 3, 5},
    {1, 67, 131, 2, 24}, {1, 130, 77, 2, 40}, {2, 66, 65, 2, 16}, {1, 100, 64, 1, 32},
    {1, 65, 129, 1, 128}, {1, 33, 70, 1, 256}, {1, 70, 67, 1, 133}, {3, 1, 2, 2, 7}
  };

  /** A score is a sum of up to 256 products, which the exponential turns into a relative error. */
  private static final double EXACT = 4e-6;

  /** Operands of both products are rounded to 11 bits: two errors of 2⁻¹¹ each. */
  private static final double TF32 = 2e-3;

  /** The weights' rounding, that of o in Σ do∘o, and the result's. */
  private static final double BF16 = 3 * Halves.ROUNDING;

  private static final String CHECKERS = "racecheck=on,initcheck=on,noise=3,schedule=5";

  /** One for each width of tiles, more features than the widest, and rows not of 16 bytes. */
  private static final int[] BF16_SHAPES = {0, 2, 4, 7, 8, 9};

  private static final String[] NAMES = {"o", "logSum", "dQ", "dK", "dV"};

  private record Case(Attention.Layout layout, float scale, float[][] in) {
    static Case of(int[] s, float scale) {
      int queries = s[0] * s[1] * s[3] * s[4];
      int keys = s[0] * s[2] * s[3] * s[4];
      return new Case(
          new Attention.Layout(s[0], s[1], s[2], s[3], s[4]),
          scale,
          new float[][] {
            MatrixOracle.random(queries, 1),
            MatrixOracle.random(keys, 2),
            MatrixOracle.random(keys, 3),
            MatrixOracle.random(queries, 4)
          });
    }

    static Case of(int... shape) {
      return of(shape, (float) (2 / Math.sqrt(shape[4])));
    }

    /** With operands that BF16 has. */
    Case rounded() {
      for (float[] each : in) {
        for (int i = 0; i < each.length; i++) {
          each[i] = Halves.rounded(each[i]);
        }
      }
      return this;
    }

    int logSums() {
      return layout.samples() * layout.heads() * layout.queries();
    }
  }

  /** o, logSum, dQ, dK, dV of each sample, head and query, from the definition. */
  private static double[][] expected(Case c) {
    Attention.Layout at = c.layout;
    double[][] out = new double[NAMES.length][];
    int[] lengths = {c.in[0].length, c.logSums(), c.in[0].length, c.in[1].length, c.in[2].length};
    for (int i = 0; i < out.length; i++) {
      out[i] = new double[lengths[i]];
    }
    for (int head = 0; head < at.samples() * at.heads(); head++) {
      for (int i = 0; i < at.queries(); i++) {
        query(c, head, i, out);
      }
    }
    return out;
  }

  private static void query(Case c, int head, int i, double[][] out) {
    Attention.Layout at = c.layout;
    int d = at.features();
    int query = at.at(head, at.queries(), i);
    double[] p = new double[at.keys()];
    double sum = 0;
    for (int j = 0; j < p.length; j++) {
      p[j] = Math.exp(c.scale * dot(c.in[0], query, c.in[1], at.at(head, at.keys(), j), d));
      sum += p[j];
    }
    double dots = 0;
    for (int j = 0; j < p.length; j++) {
      p[j] /= sum;
      int key = at.at(head, at.keys(), j);
      for (int f = 0; f < d; f++) {
        out[0][query + f] += p[j] * c.in[2][key + f];
        out[4][key + f] += p[j] * c.in[3][query + f];
      }
      dots += p[j] * dot(c.in[3], query, c.in[2], key, d);
    }
    out[1][head * at.queries() + i] = Math.log(sum);
    for (int j = 0; j < p.length; j++) {
      int key = at.at(head, at.keys(), j);
      double ds = c.scale * p[j] * (dot(c.in[3], query, c.in[2], key, d) - dots);
      for (int f = 0; f < d; f++) {
        out[2][query + f] += ds * c.in[1][key + f];
        out[3][key + f] += ds * c.in[0][query + f];
      }
    }
  }

  private static double dot(float[] a, int ao, float[] b, int bo, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
      sum += (double) a[ao + i] * b[bo + i];
    }
    return sum;
  }

  /** The same by the kernels; what they write is NaN before. */
  private static List<float[]> actual(Device device, Case c) {
    try (Scope scope = Scope.open()) {
      Buffer[] in = new Buffer[c.in.length];
      for (int i = 0; i < in.length; i++) {
        in[i] = Guarded.of(device, c.in[i]).inner();
      }
      Guarded[] out = new Guarded[NAMES.length];
      int[] lengths = {c.in[0].length, c.logSums(), c.in[0].length, c.in[1].length, c.in[2].length};
      for (int i = 0; i < out.length; i++) {
        float[] nan = new float[lengths[i]];
        Arrays.fill(nan, Float.NaN);
        out[i] = Guarded.of(device, nan);
      }
      Attention forward =
          new Attention(c.layout, c.scale, in[0], in[1], in[2], out[0].inner(), out[1].inner());
      device.execute(forward);
      device.execute(
          new AttentionGrad(forward, in[3], out[2].inner(), out[3].inner(), out[4].inner()));
      List<float[]> values = new ArrayList<>();
      for (Guarded each : out) {
        values.add(each.read());
      }
      return values;
    }
  }

  /** The same on operands in BF16. */
  private static List<float[]> actualInBf16(Device device, Case c) {
    try (Scope scope = Scope.open()) {
      Buffer[] in = new Buffer[c.in.length];
      for (int i = 0; i < in.length; i++) {
        in[i] = Halves.of(device, c.in[i]).buffer();
      }
      Halves o = Halves.unset(device, c.in[0].length);
      Guarded logSum = Guarded.of(device, new float[c.logSums()]);
      Halves dQ = Halves.unset(device, c.in[0].length);
      Halves dK = Halves.unset(device, c.in[1].length);
      Halves dV = Halves.unset(device, c.in[2].length);
      Attention forward =
          new Attention(c.layout, c.scale, in[0], in[1], in[2], o.buffer(), logSum.inner());
      device.execute(forward);
      device.execute(new AttentionGrad(forward, in[3], dQ.buffer(), dK.buffer(), dV.buffer()));
      return List.of(o.read(), logSum.read(), dQ.read(), dK.read(), dV.read());
    }
  }

  private static List<float[]> checkInBf16(Device device, Case c) {
    double[][] expected = expected(c.rounded());
    List<float[]> actual = actualInBf16(device, c);
    for (int i = 0; i < NAMES.length; i++) {
      String what = NAMES[i] + " in BF16 of " + c.layout + " on " + device.description();
      MatrixOracle.assertClose(expected[i], actual.get(i), i == 1 ? EXACT : BF16, what);
    }
    return actual;
  }

  @DeviceTest
  void followsItsDefinitionInBf16(Device device) {
    for (int[] shape : SHAPES) {
      checkInBf16(device, Case.of(shape));
    }
  }

  @CudaTest
  void bf16RepeatsItsBitsOnEveryPtx() {
    for (int ptx : new int[] {75, 80, 90}) {
      if (SoftwareCuda.isLoaded()) {
        SoftwareCuda.option(CHECKERS);
      }
      try (CudaDevice device = open(ptx, false)) {
        for (int shape : BF16_SHAPES) {
          Case c = Case.of(SHAPES[shape]);
          List<float[]> once = checkInBf16(device, c);
          List<float[]> again = actualInBf16(device, c);
          for (int i = 0; i < NAMES.length; i++) {
            assertArrayEquals(once.get(i), again.get(i), NAMES[i] + " differs in a second run");
          }
        }
      }
    }
  }

  private static List<float[]> check(Device device, Case c, double tolerance) {
    double[][] expected = expected(c);
    List<float[]> actual = actual(device, c);
    for (int i = 0; i < NAMES.length; i++) {
      String what = NAMES[i] + " of " + c.layout + " on " + device.description();
      MatrixOracle.assertClose(expected[i], actual.get(i), tolerance, what);
    }
    return actual;
  }

  @DeviceTest
  void followsItsDefinition(Device device) {
    for (int[] shape : SHAPES) {
      check(device, Case.of(shape), EXACT);
    }
  }

  /** Scores up to ±100: without the maximum the exponential would overflow. */
  @DeviceTest
  void standsLargeScoresOfEitherSign(Device device) {
    // Rounding a score of 100 is an error of 4e-6 in the exponent, twice that after the sum.
    check(device, Case.of(new int[] {1, 70, 90, 2, 24}, 30f), 3e-5);
    check(device, Case.of(new int[] {1, 70, 90, 2, 24}, -30f), 3e-5);
  }

  private static CudaDevice open(int ptx, boolean tf32) {
    return SoftwareCuda.openWithPtx(ptx, CudaDevice.Options.ofProperties().withTf32(tf32));
  }

  @AfterEach
  void usualDevice() {
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("reset=all");
    }
  }

  private static void checkPtx(int ptx, boolean tf32, int... shapes) {
    try (CudaDevice device = open(ptx, tf32)) {
      for (int s : shapes) {
        Case c = Case.of(SHAPES[s]);
        List<float[]> once = check(device, c, tf32 ? TF32 : EXACT);
        List<float[]> again = actual(device, c);
        for (int i = 0; i < NAMES.length; i++) {
          assertArrayEquals(once.get(i), again.get(i), NAMES[i] + " differs in a second run");
        }
      }
    }
  }

  private static final int[] ALL = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

  @CudaTest
  void oldPtxComputesTheSame() {
    checkPtx(75, false, ALL);
  }

  @CudaTest
  void newPtxComputesTheSame() {
    checkPtx(90, false, ALL);
  }

  @CudaTest
  void tensorCoresRoundTheirOperandsOnly() {
    checkPtx(80, true, ALL);
    checkPtx(90, true, 2, 8);
  }

  /** A number that is none shows in the results of its own head and of no other. */
  @CudaTest
  void notANumberDoesNotVanish() {
    for (boolean tf32 : new boolean[] {false, true}) {
      try (CudaDevice device = open(80, tf32)) {
        Case c = Case.of(1, 70, 70, 2, 16);
        c.in[1][3] = Float.NaN; // a feature of the first key in head 0
        List<float[]> out = actual(device, c);
        for (int i = 0; i < 70 * 32; i++) {
          boolean first = i % 32 < 16;
          assertEquals(first, Float.isNaN(out.get(0)[i]), "o " + i);
          assertEquals(first, Float.isNaN(out.get(2)[i]), "dQ " + i);
        }
        for (int i = 0; i < 140; i++) {
          assertEquals(i < 70, Float.isNaN(out.get(1)[i]), "logSum " + i);
        }
      }
    }
  }

  /** One shape for each function, with every checker and in another order of warps. */
  @CudaTest
  void noRaceAndNothingReadBeforeItIsWritten() {
    if (!SoftwareCuda.isLoaded()) {
      return; // a GPU has no such checkers
    }
    SoftwareCuda.option(CHECKERS);
    checkPtx(75, false, 1, 4, 5, 9);
    checkPtx(80, false, 1, 2, 4, 5, 9);
    checkPtx(80, true, 1, 2, 4, 5, 9);
  }
}
