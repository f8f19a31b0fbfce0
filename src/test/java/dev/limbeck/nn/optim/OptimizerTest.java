package dev.limbeck.nn.optim;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Init;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;

/** Optimizers, averages, schedules and clipping against the formulas in double. */
class OptimizerTest {
  private static final AdamW.Config CONFIG = new AdamW.Config(0.01f, 0.9f, 0.99f, 1e-6f, 0.1f);

  private static Params params(Device device) {
    return Params.builder()
        .add("a", Shape.of(7, 13), Init.normal(1f))
        .add("b", Shape.of(70), Init.uniform(2f))
        .build(device, Rng.of(4));
  }

  /** Gradients that differ from step to step. */
  private static void setGradients(Params params, int step) {
    for (int i = 0; i < params.list().size(); i++) {
      Tensor g = params.list().get(i).gradient();
      float[] host = new float[g.size()];
      Rng.of(step).split(i).normal(host);
      g.buffer().upload(host, 0);
    }
  }

  private static float[] values(Params params) {
    float[] a = params.get("a").value().toFloats();
    float[] b = params.get("b").value().toFloats();
    float[] all = new float[a.length + b.length];
    System.arraycopy(a, 0, all, 0, a.length);
    System.arraycopy(b, 0, all, a.length, b.length);
    return all;
  }

  private static float[] gradients(Params params) {
    float[] a = params.get("a").gradient().toFloats();
    float[] b = params.get("b").gradient().toFloats();
    float[] all = new float[a.length + b.length];
    System.arraycopy(a, 0, all, 0, a.length);
    System.arraycopy(b, 0, all, a.length, b.length);
    return all;
  }

  /** PyTorch's AdamW or RAdam (decoupled decay), step t, in double. */
  private static void reference(
      double[] p, double[] m, double[] v, float[] g, int t, boolean rectified) {
    double lr = CONFIG.learningRate();
    double b1 = CONFIG.beta1();
    double b2 = CONFIG.beta2();
    double rhoInf = 2 / (1 - b2) - 1;
    double rho = rhoInf - 2 * t * Math.pow(b2, t) / (1 - Math.pow(b2, t));
    double r = Math.sqrt((rho - 4) * (rho - 2) * rhoInf / ((rhoInf - 4) * (rhoInf - 2) * rho));
    for (int i = 0; i < p.length; i++) {
      p[i] *= 1 - lr * CONFIG.weightDecay();
      m[i] = b1 * m[i] + (1 - b1) * g[i];
      v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
      double mHat = m[i] / (1 - Math.pow(b1, t));
      double root = Math.sqrt(1 - Math.pow(b2, t));
      if (!rectified) {
        p[i] -= lr * mHat / (Math.sqrt(v[i]) / root + CONFIG.epsilon());
      } else if (rho > 5) {
        p[i] -= lr * mHat * r * root / (Math.sqrt(v[i]) + CONFIG.epsilon());
      } else {
        p[i] -= lr * mHat;
      }
    }
  }

  private static void agrees(BiFunction<Params, AdamW.Config, Optimizer> make, boolean rectified) {
    for (boolean simd : new boolean[] {false, true}) {
      try (CpuDevice device = CpuDevice.open(simd, 2)) {
        Params params = params(device);
        Optimizer optimizer = make.apply(params, CONFIG);
        float[] start = values(params);
        double[] p = new double[start.length];
        for (int i = 0; i < p.length; i++) {
          p[i] = start[i];
        }
        double[] m = new double[p.length];
        double[] v = new double[p.length];
        for (int t = 1; t <= 12; t++) {
          setGradients(params, t);
          optimizer.step(1f);
          reference(p, m, v, gradients(params), t, rectified);
        }
        float[] moved = values(params);
        for (int i = 0; i < p.length; i++) {
          // Twelve steps, each rounded to single precision a few times.
          assertEquals(p[i], moved[i], 1e-6 * (1 + Math.abs(p[i])));
        }
        assertEquals(12, optimizer.steps());
        optimizer.close();
        params.close();
        assertEquals(0, device.memory().liveBuffers());
      }
    }
  }

  @Test
  void adamWFollowsItsFormula() {
    agrees(AdamW::new, false);
  }

  @Test
  void rAdamFollowsItsFormulaFromPlainMomentumToRectifiedSteps() {
    agrees(RAdam::new, true);
  }

  @Test
  void vectorAndScalarPathAndAnyThreadsGiveTheSameBits() {
    float[] expected = null;
    for (boolean simd : new boolean[] {false, true}) {
      for (int threads = 1; threads <= 2; threads++) {
        try (CpuDevice device = CpuDevice.open(simd, threads)) {
          Params params =
              Params.builder().add("w", Shape.of(50_003), Init.normal(1f)).build(device, Rng.of(1));
          AdamW adam = new AdamW(params, CONFIG);
          Ema ema = new Ema(params, Ema.Kind.rate(0.9));
          for (int t = 0; t < 3; t++) {
            params.get("w").gradient().copyFrom(params.get("w").value());
            adam.step(1f, new GradClip(1f).scale(params), ema);
          }
          float[] result = ema.params().get("w").value().toFloats();
          if (expected == null) {
            expected = result;
          }
          assertArrayEquals(expected, result);
        }
      }
    }
  }

  @Test
  void aSavedStateContinuesBitForBit() {
    Device device = Device.cpu();
    Params params = params(device);
    RAdam adam = new RAdam(params, CONFIG);
    Ema ema = new Ema(params, Ema.Kind.power(6.94));
    Map<String, Tensor> saved = new LinkedHashMap<>();
    Params savedParams = null;
    for (int t = 1; t <= 8; t++) {
      setGradients(params, t);
      adam.step(0.5f, 1f, ema);
      if (t == 4) {
        adam.state().forEach((name, x) -> saved.put("adam." + name, x.copy()));
        ema.state().forEach((name, x) -> saved.put("ema." + name, x.copy()));
        savedParams = params.copy();
      }
    }
    Params again = params(device);
    again.copyFrom(savedParams);
    RAdam adam2 = new RAdam(again, CONFIG);
    Ema ema2 = new Ema(again, Ema.Kind.power(6.94));
    adam2.restore(part(saved, "adam."));
    ema2.restore(part(saved, "ema."));
    assertEquals(4, adam2.steps());
    for (int t = 5; t <= 8; t++) {
      setGradients(again, t);
      adam2.step(0.5f, 1f, ema2);
    }
    assertArrayEquals(values(params), values(again));
    assertArrayEquals(values(ema.params()), values(ema2.params()));
    assertThrows(IllegalArgumentException.class, () -> adam2.restore(Map.of()));
  }

  private static Map<String, Tensor> part(Map<String, Tensor> all, String prefix) {
    Map<String, Tensor> part = new LinkedHashMap<>();
    all.forEach(
        (name, x) -> {
          if (name.startsWith(prefix)) {
            part.put(name.substring(prefix.length()), x);
          }
        });
    return part;
  }

  @Test
  void theFusedAverageIsTheSeparateOne() {
    Params params = params(Device.cpu());
    AdamW adam = new AdamW(params, CONFIG);
    Ema fused = new Ema(params, Ema.Kind.halfLife(100, 0.05), 8);
    Ema separate = new Ema(params, Ema.Kind.halfLife(100, 0.05), 8);
    for (int t = 1; t <= 5; t++) {
      setGradients(params, t);
      adam.step(1f, 1f, fused);
      separate.update();
    }
    assertArrayEquals(values(fused.params()), values(separate.params()));
    float[] average = values(fused.params());
    float[] live = values(params);
    fused.swap();
    assertArrayEquals(average, values(params));
    assertArrayEquals(live, values(fused.params()));
  }

  @Test
  void averagesForgetAtTheirRate() {
    assertEquals(0.5, Ema.Kind.halfLife(64, Double.POSITIVE_INFINITY).beta(3, 1e9, 64), 1e-12);
    assertEquals(0.5, Ema.Kind.halfLife(1e9, 0.05).beta(1, 1280, 64), 1e-12);
    assertEquals(0, Ema.Kind.power(16.97).beta(1, 1, 1), 0);
    assertEquals(Math.pow(0.99, 17.97), Ema.Kind.power(16.97).beta(100, 1, 1), 1e-12);
    // Karras et al. 2024, table 6: relative widths 0.05 and 0.10.
    assertEquals(16.97, Ema.Kind.gammaOf(0.05), 0.01);
    assertEquals(6.94, Ema.Kind.gammaOf(0.10), 0.01);
    // A power average of the values 1, 2, …, T has the mean T·(γ+1)/(γ+2), up to 1/T.
    double average = 0;
    double gamma = 3;
    for (int t = 1; t <= 10_000; t++) {
      double beta = Ema.Kind.power(gamma).beta(t, t, 1);
      average = beta * average + (1 - beta) * t;
    }
    assertEquals(10_000 * (gamma + 1) / (gamma + 2), average, 1);
  }

  @Test
  void schedulesAndClipping() {
    assertEquals(0.25f, LrSchedule.warmUp(4).scale(0));
    assertEquals(1f, LrSchedule.warmUp(4).scale(9));
    assertEquals(0.75f, LrSchedule.linearToZero(8).scale(2));
    assertEquals(0f, LrSchedule.linearToZero(8).scale(80));
    assertEquals(0.5f, LrSchedule.inverseSqrt(100).scale(400));
    assertEquals(0.5f, LrSchedule.cosineToZero(10).scale(5), 1e-7f);
    assertEquals(0.375f, LrSchedule.warmUp(4).times(LrSchedule.linearToZero(4)).scale(1));
    assertEquals(0.5f, new GradClip(2f).scale(4f));
    assertEquals(1f, new GradClip(2f).scale(1f));
    assertTrue(Float.isNaN(new GradClip(2f).scale(Float.POSITIVE_INFINITY)));
    Params params = params(Device.cpu());
    setGradients(params, 1);
    double sum = 0;
    for (float g : gradients(params)) {
      sum += (double) g * g;
    }
    assertEquals(Math.sqrt(sum), params.globalNorm(), 1e-6 * Math.sqrt(sum));
    params.zeroGradients();
    assertEquals(0f, params.globalNorm());
  }

  @Test
  void partsOfABatchAddUpToItsGradient() {
    Device device = Device.cpu();
    Params whole = params(device);
    Params parts = params(device);
    try (Scope scope = Scope.open()) {
      Tensor x = Rng.of(6).normal(device, Shape.of(6, 13));
      addGradient(whole, x, 0, 6);
      addGradient(parts, x, 0, 1);
      addGradient(parts, x, 1, 4);
      addGradient(parts, x, 4, 6);
    }
    float[] expected = gradients(whole);
    float[] sums = gradients(parts);
    for (int i = 0; i < expected.length; i++) {
      // The same terms, added in another order.
      assertEquals(expected[i], sums[i], 1e-6f * (1 + Math.abs(expected[i])));
    }
    assertThrows(IllegalArgumentException.class, () -> Accumulation.share(null, 3, 2));
  }

  private static void addGradient(Params params, Tensor x, int from, int to) {
    try (Tape tape = Tape.open(params.list())) {
      Var y = tape.input(x.slice(0, from, to)).linear(params.get("a").var(), null);
      tape.backward(Accumulation.share(y.square().mean(), to - from, x.dim(0)));
    }
  }

  @Test
  void initialValuesDependOnTheNameAlone() {
    Device device = Device.cpu();
    Params two = params(device);
    Params one = Params.builder().add("b", Shape.of(70), Init.uniform(2f)).build(device, Rng.of(4));
    assertArrayEquals(two.get("b").value().toFloats(), one.get("b").value().toFloats());
    assertThrows(IllegalArgumentException.class, () -> one.copyFrom(two));
    assertThrows(IllegalArgumentException.class, () -> one.get("a"));
  }

  @Test
  void initialValuesHaveTheirVariance() {
    Device device = Device.cpu();
    Shape shape = Shape.of(100, 3, 3, 40);
    Map<Init, Double> variances =
        Map.of(
            Init.kaimingUniform(), 1.0 / 360,
            Init.kaimingNormal(), 1.0 / 360,
            Init.xavierUniform(), 2.0 / 1260,
            Init.xavierNormal(), 2.0 / 1260,
            Init.pytorch(), 1.0 / 1080,
            Init.kaimingNormal().scaled(0.5f), 0.25 / 360);
    variances.forEach(
        (init, variance) -> {
          Params p = Params.builder().add("w", shape, init).build(device, Rng.of(2));
          double square = 0;
          for (float w : p.get("w").value().toFloats()) {
            square += (double) w * w / shape.size();
          }
          // Five standard errors of a normal distribution's variance.
          assertEquals(variance, square, variance * 5 * Math.sqrt(2.0 / shape.size()));
        });
  }

  @Test
  void parametersOutliveTheScopeTheyWereMadeIn() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Params params;
      AdamW adam;
      try (Scope outer = Scope.open();
          Scope inner = Scope.open()) {
        params = params(device);
        adam = new AdamW(params, CONFIG);
      }
      setGradients(params, 1);
      adam.step(1f);
      adam.close();
      params.close();
      assertEquals(0, device.memory().liveBuffers());
    }
  }
}
