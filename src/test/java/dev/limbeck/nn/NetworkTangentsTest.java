package dev.limbeck.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.UNetConfig.TimeFeatures;
import dev.limbeck.nn.UNetConfig.TimeKind;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Jacobian-vector products of whole networks, along the input, the noise condition, the weight of
 * guidance where there is an input for it, and every choice of them.
 */
class NetworkTangentsTest {
  private static final float STEP = 5e-3f;

  /** Of the tangent's length: the step squared times third derivatives of some tens. */
  private static final double CURVATURE = 2e-3;

  /** Of the value's length: results of thirty layers are good to 1e-6, over the step. */
  private static final double ROUNDING = 2e-4;

  /** Of the sum of absolute terms: 1e-6 for each of some ten layers. */
  private static final double ADJOINT = 1e-5;

  private static final Dropout DROPOUT = new Dropout(0.5f, 77);

  private static final int X = 1;
  private static final int T = 2;
  private static final int GUIDANCE = 4;

  /** A network with fixed arguments: what it answers when they move along a direction. */
  private record Case(Network network, Tensor x, Tensor labels, boolean guided) {
    /** Bits of everything that can move. */
    int all() {
      return guided ? X | T | GUIDANCE : X | T;
    }

    Tensor t() {
      return Tensor.of(x.device(), Shape.of(2), 0.3f, 1.7f);
    }

    Tensor alongX() {
      return Rng.of(5).normal(x.device(), x.shape());
    }

    Tensor alongT() {
      return Tensor.of(x.device(), Shape.of(2), 0.8f, -0.6f);
    }

    /** Within one wavelength, and moving no faster than t does. */
    Tensor guidance() {
      float unit = (float) network.guidanceWavelength();
      return Tensor.of(x.device(), Shape.of(2), 0.3f * unit, 0.6f * unit);
    }

    Tensor alongGuidance() {
      float unit = (float) network.guidanceWavelength();
      return Tensor.of(x.device(), Shape.of(2), 0.1f * unit, -0.2f * unit);
    }

    Var run(Var input, Var noise, Var guidance) {
      return network.forward(input, new Condition(noise, labels, guidance), DROPOUT);
    }

    /** With tangents of the arguments that move. */
    Var dual(int moving) {
      return run(
          Var.dual(x, (moving & X) > 0 ? alongX() : null),
          Var.dual(t(), (moving & T) > 0 ? alongT() : null),
          guided ? Var.dual(guidance(), (moving & GUIDANCE) > 0 ? alongGuidance() : null) : null);
    }

    float[] moved(int moving, float distance) {
      try (Scope scope = Scope.open()) {
        Tensor movedX = (moving & X) > 0 ? x.add(alongX().mul(distance)) : x;
        Tensor movedT = (moving & T) > 0 ? t().add(alongT().mul(distance)) : t();
        Tensor movedGuidance =
            (moving & GUIDANCE) > 0 ? guidance().add(alongGuidance().mul(distance)) : guidance();
        return run(
                Var.constant(movedX),
                Var.constant(movedT),
                guided ? Var.constant(movedGuidance) : null)
            .value()
            .toFloats();
      }
    }
  }

  private static void check(Case c, String what) {
    for (int moving = 1; moving <= c.all(); moving++) {
      String which =
          what
              + ((moving & X) > 0 ? ", x" : "")
              + ((moving & T) > 0 ? ", t" : "")
              + ((moving & GUIDANCE) > 0 ? ", guidance" : "");
      try (Scope scope = Scope.open()) {
        Var y = c.dual(moving);
        assertArrayEquals(c.moved(0, 0), y.value().toFloats(), which + ": the value");
        float[] tangent = y.tangent().toFloats();
        float[] right = c.moved(moving, STEP);
        float[] left = c.moved(moving, -STEP);
        double error = 0;
        for (int i = 0; i < tangent.length; i++) {
          error += Math.pow((right[i] - left[i]) / (2.0 * STEP) - tangent[i], 2);
        }
        double limit = CURVATURE * length(tangent) + ROUNDING * length(y.value().toFloats());
        assertTrue(Math.sqrt(error) < limit, which + ": " + Math.sqrt(error) + " of " + limit);
        assertTrue(length(tangent) > 1e-3, which + ": no tangent");
      }
    }
    checkAdjoint(c, what);
  }

  /** ⟨u, J v⟩ = ⟨Jᵀ u, v⟩, recorded and with tangents at once. */
  private static void checkAdjoint(Case c, String what) {
    try (Tape tape = Tape.open(List.of())) {
      List<Tensor> along = new ArrayList<>(List.of(c.alongX(), c.alongT()));
      List<Var> inputs =
          new ArrayList<>(List.of(tape.inputWithGradient(c.x()), tape.inputWithGradient(c.t())));
      if (c.guided()) {
        along.add(c.alongGuidance());
        inputs.add(tape.inputWithGradient(c.guidance()));
      }
      List<Var> duals = new ArrayList<>();
      for (int i = 0; i < inputs.size(); i++) {
        duals.add(inputs.get(i).withTangent(along.get(i)));
      }
      Var y = c.run(duals.get(0), duals.get(1), c.guided() ? duals.get(2) : null);
      Tensor u = Rng.of(6).normal(c.x().device(), y.shape());
      double[] forward = product(u, y.tangent());
      tape.backward(y, u);
      double sum = 0;
      double size = forward[1];
      for (int i = 0; i < inputs.size(); i++) {
        double[] through = product(inputs.get(i).gradient(), along.get(i));
        sum += through[0];
        size += through[1];
      }
      assertEquals(forward[0], sum, ADJOINT * size, what + ": adjoint");
    }
  }

  private static double length(float[] v) {
    double sum = 0;
    for (float each : v) {
      sum += (double) each * each;
    }
    return Math.sqrt(sum);
  }

  /** ⟨a, b⟩ and Σ |aᵢ bᵢ|. */
  private static double[] product(Tensor a, Tensor b) {
    float[] as = a.toFloats();
    float[] bs = b.toFloats();
    double[] sums = new double[2];
    for (int i = 0; i < as.length; i++) {
      sums[0] += (double) as[i] * bs[i];
      sums[1] += Math.abs((double) as[i] * bs[i]);
    }
    return sums;
  }

  private static Case of(UNet net) {
    UNetConfig config = net.config();
    Device device = net.device();
    UNetTest.perturb(net.params());
    int side = 4 * config.sideMultiple();
    Tensor x = Rng.of(2).normal(device, Shape.of(2, side, side / 2, config.inChannels()));
    return new Case(net, x, UNetTest.labels(config, device), config.guidanceInput());
  }

  /**
   * Frequencies as low as differences can follow: with a bandwidth of 16 per unit of ln t the step
   * is a whole period, and smaller ones drown in rounding.
   */
  private static UNetConfig slow(UNetConfig config) {
    TimeFeatures time = config.time();
    float bandwidth = Math.min(0.1f, time.bandwidth());
    return config.withTime(
        new TimeFeatures(
            time.kind(), time.cosineFirst(), time.frequencyShift(), bandwidth, time.scale()));
  }

  @ParameterizedTest
  @MethodSource("dev.limbeck.nn.UNetTest#configurations")
  void ofEveryKindOfUNet(UNetConfig any) {
    UNetConfig config = slow(any);
    try (CpuDevice device = CpuDevice.open(true, 2)) {
      try (Scope scope = Scope.open();
          UNet net = new UNet(config, device, Rng.of(1))) {
        check(of(net), config.toString());
      }
      assertEquals(0, device.memory().liveBuffers());
    }
  }

  /** Attention and class labels, on every device. */
  @DeviceTest
  void ofAUNet(Device device) {
    UNetConfig config = UNetConfig.toy(1).withClasses(10);
    try (Scope scope = Scope.open();
        UNet net = new UNet(config, device, Rng.of(1))) {
      check(of(net), "UNet");
    }
  }

  /** Activations and tangents in BF16: near those of F32, as far as eight bits go. */
  @DeviceTest
  void inBf16(Device device) {
    UNetConfig config = UNetConfig.toy(1).withClasses(10);
    float[][] tangents = new float[2][];
    for (int i = 0; i < 2; i++) {
      try (Scope scope = Scope.open();
          UNet net = new UNet(config, device, Rng.of(1))) {
        Case c = of(net);
        net.in(i == 0 ? Precision.F32 : Precision.BF16);
        Var y = c.dual(X | T);
        tangents[i] = y.tangent().toFloats();
      }
    }
    double error = 0;
    for (int i = 0; i < tangents[0].length; i++) {
      error += Math.pow(tangents[0][i] - tangents[1][i], 2);
    }
    // Some twenty roundings of 2^-9 each, on the way to every element.
    assertEquals(0, Math.sqrt(error) / length(tangents[0]), 0.03);
    assertTrue(error > 0, "not computed in BF16");
  }

  @DeviceTest
  void ofAnMlp(Device device) {
    List<TimeFeatures> kinds =
        List.of(
            TimeFeatures.fourier(0.2f),
            new TimeFeatures(TimeKind.POSITIONAL, true, 1f, 0f, 2f),
            new TimeFeatures(TimeKind.FOURIER_OF_LOG, false, 0f, 0.2f, 3f));
    for (TimeFeatures time : kinds) {
      // An odd number of features: the last one stays zero.
      Mlp.Config config = new Mlp.Config(3, 2, 24, 2, 4, time, 9, true);
      try (Scope scope = Scope.open();
          Mlp net = new Mlp(config, device, Rng.of(1))) {
        UNetTest.perturb(net.params());
        Tensor x = Rng.of(2).normal(device, Shape.of(2, 3));
        Tensor labels = Tensor.of(device, Shape.of(2), 1, 3);
        check(new Case(net, x, labels, true), time.toString());
      }
    }
  }

  /** Computing again for the gradient changes neither value nor tangent, and no bit of either. */
  @Test
  void recomputingKeepsTheTangent() {
    try (CpuDevice device = CpuDevice.open(true, 2);
        Scope scope = Scope.open();
        UNet net = new UNet(UNetConfig.toy(2), device, Rng.of(1))) {
      Case c = of(net);
      float[][] tangents = new float[2][];
      float[][] gradients = new float[2][];
      for (int i = 0; i < 2; i++) {
        net.recomputing(i == 1);
        net.params().zeroGradients();
        try (Tape tape = Tape.open(net.params().list())) {
          Var x = tape.inputWithGradient(c.x());
          Var y = c.run(x.withTangent(c.alongX()), Var.dual(c.t(), c.alongT()), null);
          tangents[i] = y.tangent().toFloats();
          tape.backward(y.square().mean());
          gradients[i] = x.gradient().toFloats();
        }
      }
      assertArrayEquals(tangents[0], tangents[1]);
      assertArrayEquals(gradients[0], gradients[1]);
    }
  }

  /** Tangents double the memory of inference; they do not keep every layer's alive. */
  @Test
  void whatIsNotNeededAnyMoreIsFreed() {
    try (CpuDevice device = CpuDevice.open(true, 2);
        Scope scope = Scope.open();
        UNet net = new UNet(UNetConfig.toy(2).withBlocksPerLevel(3), device, Rng.of(1))) {
      Case c = of(net);
      net.params().freeze();
      long[] peak = new long[2];
      for (int i = 0; i < 2; i++) {
        try (Scope step = Scope.open()) {
          Tensor along = c.alongX();
          long before = device.memory().liveBytes();
          device.resetPeak();
          Var y = c.run(Var.dual(c.x(), i == 1 ? along : null), Var.constant(c.t()), null);
          assertTrue((i == 1) == (y.tangent() != null));
          peak[i] = device.memory().peakBytes() - before;
        }
      }
      // Twice the activations, and the intermediate results of one rule.
      assertTrue(peak[1] < 4 * peak[0], peak[1] + " bytes, " + peak[0] + " without tangents");
    }
  }

  @Test
  void withoutTangentsThereAreNone() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open();
        UNet net = new UNet(UNetConfig.toy(2), device, Rng.of(1))) {
      Case c = of(net);
      assertNull(c.dual(0).tangent());
    }
  }
}
