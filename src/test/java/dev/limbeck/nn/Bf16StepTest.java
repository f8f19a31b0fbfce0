package dev.limbeck.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.UNetConfig.AttendIn;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;

/** Networks in BF16 beside networks in F32. */
class Bf16StepTest {
  private static UNet network(Device device, Precision precision) {
    UNetConfig config =
        UNetConfig.ddpmpp(1, 32, 32)
            .withClasses(10)
            .withAttention(
                List.of(AttendIn.NO_BLOCK, AttendIn.EVERY_BLOCK),
                List.of(AttendIn.NO_BLOCK, AttendIn.EVERY_BLOCK));
    UNet net = new UNet(config, device, Rng.of(1));
    for (String name : List.of("conv_out.weight")) {
      Tensor value = net.params().get(name).value();
      value.addInPlace(0.1f, Rng.of(2).normal(device, value.shape()));
    }
    net.params().touch();
    return net.in(precision);
  }

  private static float loss(UNet net) {
    Device device = net.device();
    Shape shape = Shape.of(2, 8, 8, 1);
    net.params().zeroGradients();
    try (Tape tape = Tape.open(net.params().list())) {
      Tensor x = Rng.of(5).normal(device, shape);
      Tensor sigma = Tensor.of(device, Shape.of(2), 0.1f, 0.7f);
      Tensor labels = Tensor.of(device, Shape.of(2), 1, 3);
      Var y = net.forward(tape.input(x), Condition.of(sigma, labels), Dropout.off());
      Var loss = RowOps.meanSquaredError(y, x, Tensor.full(device, Shape.of(2), 1f));
      tape.backward(loss);
      return loss.value().item();
    }
  }

  private static float[] floats(Buffer buffer) {
    float[] host = new float[buffer.length()];
    buffer.download(host, 0);
    return host;
  }

  /** Every number is rounded to 2⁻⁸ of itself, in some thirty layers; most of it averages out. */
  @DeviceTest
  void lossAndGradientsAreNearThoseOfF32(Device device) {
    try (UNet exact = network(device, Precision.F32);
        UNet net = network(device, Precision.BF16)) {
      float expected = loss(exact);
      assertEquals(expected, loss(net), 0x1p-8f * expected);
      float[] g = floats(exact.params().gradients());
      float[] h = floats(net.params().gradients());
      double error = 0;
      double size = 0;
      for (int i = 0; i < g.length; i++) {
        error += (double) (g[i] - h[i]) * (g[i] - h[i]);
        size += (double) g[i] * g[i];
      }
      double relative = Math.sqrt(error / size);
      assertTrue(relative < 4 * 0x1p-8, "relative distance of the gradients: " + relative);
      assertTrue(relative > 1e-4, "so near that nothing can have been rounded: " + relative);
    }
  }

  /** Tangents take the way of the values, at the price of a few more roundings. */
  @DeviceTest
  void tangentsAreNearThoseOfF32(Device device) {
    float[][] tangents = new float[2][];
    for (Precision precision : Precision.values()) {
      try (UNet net = network(device, precision);
          Scope scope = Scope.open()) {
        Shape shape = Shape.of(2, 8, 8, 1);
        Var x = Var.dual(Rng.of(5).normal(device, shape), Rng.of(6).normal(device, shape));
        Tensor sigma = Tensor.of(device, Shape.of(2), 0.1f, 0.7f);
        Var moving = Var.dual(sigma, Tensor.of(device, Shape.of(2), 1f, -1f));
        Tensor labels = Tensor.of(device, Shape.of(2), 1, 3);
        Var y = net.forward(x, new Condition(moving, labels, null), Dropout.off());
        tangents[precision.ordinal()] = y.tangent().toFloats();
      }
    }
    double error = 0;
    double size = 0;
    for (int i = 0; i < tangents[0].length; i++) {
      error += Math.pow(tangents[0][i] - tangents[1][i], 2);
      size += Math.pow(tangents[0][i], 2);
    }
    double relative = Math.sqrt(error / size);
    assertTrue(relative < 4 * 0x1p-8, "relative distance of the tangents: " + relative);
  }

  /** With and without computing blocks again. */
  @DeviceTest
  void recomputingChangesNoBit(Device device) {
    try (UNet net = network(device, Precision.BF16)) {
      float once = loss(net);
      float[] gradients = floats(net.params().gradients());
      net.recomputing(true);
      assertEquals(once, loss(net));
      assertArrayEquals(gradients, floats(net.params().gradients()));
    }
  }

  private static Params one(Device device) {
    return Params.builder().add("w", Shape.of(70), Init.constant(1f)).build(device, Rng.of(1));
  }

  /** Below 1, BF16 has spacings of 2⁻⁸: a step of 1e-4 is nothing to it, forty of them are not. */
  @DeviceTest
  void manySmallStepsAddUp(Device device) {
    Params params = one(device);
    params.setPrecision(Precision.BF16);
    params.get("w").gradient().fill(1f);
    Tensor rounded = new Tensor(params.rounded(), Shape.of(params.rounded().length()));
    try (AdamW optimizer = new AdamW(params, AdamW.Config.of(1e-4f))) {
      for (int i = 1; i <= 40; i++) {
        optimizer.step(1f);
        float value = params.get("w").value().toFloats()[69];
        assertEquals(1 - 1e-4f * i, value, 1e-6f);
        float nearest = Math.round(value * 256) / 256f;
        assertEquals(nearest, rounded.toFloats()[69], "after step " + i);
      }
      assertEquals(1 - 0x1p-8f, rounded.toFloats()[0]);
    }
    params.close();
  }

  /** Whoever writes the values renews what operations in BF16 read. */
  @DeviceTest
  void roundedValuesFollowTheValues(Device device) {
    Params params = one(device);
    Params other = one(device);
    other.get("w").value().fill(3f);
    params.setPrecision(Precision.BF16);
    Tensor rounded = new Tensor(params.rounded(), Shape.of(params.rounded().length()));
    params.copyFrom(other);
    assertEquals(3f, rounded.toFloats()[0]);
    params.get("w").value().fill(5f);
    params.touch();
    assertEquals(5f, rounded.toFloats()[0]);
    assertEquals(0f, rounded.toFloats()[100], "padding");
    params.setPrecision(Precision.F32);
    assertNull(params.rounded());
    assertEquals(Precision.F32, params.precision());
    params.close();
    other.close();
  }

  @DeviceTest
  void withoutRoundedValuesBf16IsRefused(Device device) {
    Params params =
        Params.builder().add("w", Shape.of(3, 8), Init.constant(1f)).build(device, Rng.of(1));
    Var x = Var.constant(Tensor.zeros(device, Shape.of(2, 8)).to(DType.BF16));
    Var w = params.get("w").var();
    IllegalStateException e = assertThrows(IllegalStateException.class, () -> x.linear(w, null));
    assertTrue(e.getMessage().contains("the parameter w has no BF16 values"), e.getMessage());
    params.close();
  }
}
