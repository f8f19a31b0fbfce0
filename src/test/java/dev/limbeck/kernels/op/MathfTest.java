package dev.limbeck.kernels.op;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;

class MathfTest {
  private static final int POINTS = 40_000;

  /** A function of floats. */
  @FunctionalInterface
  private interface FloatFunction {
    float apply(float x);
  }

  private static void check(
      String name,
      FloatFunction ours,
      DoubleUnaryOperator exact,
      double low,
      double high,
      double limit) {
    double worst = 0;
    float where = 0;
    for (int i = 0; i <= POINTS; i++) {
      float x = (float) (low + (high - low) * i / POINTS);
      double e = exact.applyAsDouble(x);
      double error = Math.abs(ours.apply(x) - e) / Math.max(Math.abs(e), Float.MIN_NORMAL);
      if (!(error <= worst)) {
        worst = error;
        where = x;
      }
    }
    assertTrue(worst < limit, name + " at " + where + ": relative error " + worst);
  }

  // The limits are 2e-7, a float's resolution (6e-8) times the few roundings of each formula.

  @Test
  void exponentialAndLogarithm() {
    check("exp", Mathf::exp, Math::exp, -87, 88.7, 2e-7);
    check("exp", Mathf::exp, Math::exp, -0.4, 0.4, 2e-7);
    check("log", Mathf::log, Math::log, 1e-3, 3, 2e-7);
    check("log", Mathf::log, Math::log, 0.99, 1.01, 2e-7);
    check("log", Mathf::log, Math::log, 1e-40, 1e-37, 2e-7);
    check("log", Mathf::log, Math::log, 1e30, 3e38, 2e-7);
    check("log1p", Mathf::log1p, Math::log1p, 0, 1, 2e-7);
    check("log1p", Mathf::log1p, Math::log1p, 0, 1e-6, 2e-7);
  }

  @Test
  void saturatingFunctions() {
    check("tanh", Mathf::tanh, Math::tanh, -12, 12, 4e-7);
    check("tanh", Mathf::tanh, Math::tanh, -1e-3, 1e-3, 4e-7);
    check("sigmoid", Mathf::sigmoid, x -> 1 / (1 + Math.exp(-x)), -30, 30, 3e-7);
    check("sigmoid", Mathf::sigmoid, x -> 1 / (1 + Math.exp(-x)), -86, -30, 6e-7);
    check("decay", Mathf::decay, x -> Math.exp(-Math.abs(x)), -20, 20, 3e-7);
    check("decay", Mathf::decay, x -> Math.exp(-Math.abs(x)), 20, 86, 5e-7);
    check("softplus", Mathf::softplus, x -> Math.log1p(Math.exp(x)), -80, 30, 3e-7);
    check("erf", Mathf::erf, MathfTest::erf, -3.9, 3.9, 2e-7);
  }

  /** The alternating series, summed to double precision's limit. */
  static double erf(double x) {
    double term = x;
    double sum = x;
    for (int n = 1; n < 120; n++) {
      term *= -x * x / n;
      sum += term / (2 * n + 1);
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  }

  @Test
  void edges() {
    float infinity = Float.POSITIVE_INFINITY;
    assertEquals(0f, Mathf.exp(-infinity));
    assertEquals(infinity, Mathf.exp(infinity));
    assertEquals(infinity, Mathf.exp(89f));
    assertEquals(1f, Mathf.exp(0f));
    assertEquals(Float.NaN, Mathf.exp(Float.NaN));
    assertEquals(-infinity, Mathf.log(0f));
    assertEquals(infinity, Mathf.log(infinity));
    assertEquals(Float.NaN, Mathf.log(-1f));
    assertEquals(Float.NaN, Mathf.log(Float.NaN));
    assertEquals(0f, Mathf.log(1f));
    assertEquals(1f, Mathf.sigmoid(infinity));
    assertEquals(0f, Mathf.sigmoid(-infinity), 2e-38f);
    assertEquals(Float.NaN, Mathf.sigmoid(Float.NaN));
    assertEquals(1f, Mathf.decay(-0f));
    assertEquals(0f, Mathf.decay(infinity), 2e-38f);
    assertEquals(1f, Mathf.tanh(infinity));
    assertEquals(-1f, Mathf.tanh(-50f));
    assertEquals(Float.NaN, Mathf.tanh(Float.NaN));
    assertEquals(1f, Mathf.erf(infinity));
    assertEquals(-1f, Mathf.erf(-5f));
  }

  @Test
  void vectorsGiveTheSameBits() {
    float[] special = {
      0f,
      -0f,
      1f,
      -1f,
      1e-40f,
      -1e-40f,
      88.9f,
      -104f,
      1e30f,
      -1e30f,
      Float.MAX_VALUE,
      Float.NaN,
      Float.POSITIVE_INFINITY,
      Float.NEGATIVE_INFINITY,
      Float.MIN_VALUE,
      0.7071068f
    };
    float[] x = new float[4096];
    for (int i = 0; i < x.length; i++) {
      x[i] = i < special.length ? special[i] : (i - 2048) * 0.0171f;
    }
    try (CpuDevice simd = CpuDevice.open(true, 1);
        CpuDevice scalar = CpuDevice.open(false, 1)) {
      for (Unary.Op op : Unary.Op.values()) {
        float[] expected = run(scalar, op, x);
        float[] actual = run(simd, op, x);
        for (int i = 0; i < x.length; i++) {
          int bits = Float.floatToIntBits(expected[i]);
          assertEquals(bits, Float.floatToIntBits(actual[i]), op + " at " + x[i]);
        }
      }
    }
  }

  private static float[] run(CpuDevice device, Unary.Op op, float[] x) {
    try (Tensor t = Tensor.of(device, Shape.of(x.length), x);
        Tensor y = t.unary(op, 0.3f, 2f)) {
      return y.toFloats();
    }
  }
}
