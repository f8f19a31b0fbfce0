package dev.limbeck.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import java.util.List;

/** What is derived from frozen values is kept, and forgotten as soon as they change. */
class FrozenParamsTest {
  /** Wide enough for convolutions through transformed weights. */
  private static UNet network(Device device) {
    UNet net = new UNet(UNetConfig.mnist16().withWidths(16, 32), device, Rng.of(1));
    for (String name : List.of("conv_out.weight", "conv_out.bias")) {
      Tensor value = net.params().get(name).value();
      value.addInPlace(0.1f, Rng.of(2).normal(device, value.shape()));
    }
    net.params().touch();
    return net;
  }

  private static Var answer(UNet net, Var x) {
    Tensor noise = Tensor.of(net.device(), Shape.of(2), 0.3f, -0.2f);
    return net.forward(
        x, Condition.of(noise, Tensor.of(net.device(), Shape.of(2), 1, 3)), Dropout.off());
  }

  private static void step(UNet net, Tensor x) {
    net.params().zeroGradients();
    try (Tape tape = Tape.open(net.params().list())) {
      tape.backward(answer(net, tape.input(x)).square().mean());
    }
    update(net);
  }

  private static void update(UNet net) {
    try (AdamW optimizer = new AdamW(net.params(), AdamW.Config.of(1e-2f))) {
      optimizer.step(1f, 1f, null);
    }
  }

  @DeviceTest
  void aFrozenNetworkAnswersTheSameAndLearnsTheSame(Device device) {
    try (UNet plain = network(device);
        UNet frozen = network(device)) {
      Tensor x = Rng.of(3).normal(device, Shape.of(2, 16, 16, 1));
      frozen.params().freeze();
      float[] first = answer(frozen, Var.constant(x)).value().toFloats();
      assertArrayEquals(first, answer(plain, Var.constant(x)).value().toFloats());
      assertArrayEquals(first, answer(frozen, Var.constant(x)).value().toFloats());
      // The first step starts from kept transforms; its update must end them.
      step(plain, x);
      step(frozen, x);
      float[] after = answer(frozen, Var.constant(x)).value().toFloats();
      assertArrayEquals(after, answer(plain, Var.constant(x)).value().toFloats());
      assertFalse(Arrays.equals(first, after));
    }
  }

  @DeviceTest
  void everyWayToWriteValuesEndsWhatWasDerived(Device device) {
    try (UNet net = network(device);
        UNet other = network(device)) {
      Buffer weight = net.params().get("conv_in.weight").value().buffer();
      List<Runnable> writes =
          List.of(
              () -> net.params().touch(),
              () -> net.params().copyFrom(other.params()),
              () -> update(net),
              () -> net.params().freeze());
      for (Runnable write : writes) {
        net.params().freeze();
        Object derived = weight.derive("key", Object::new);
        assertSame(derived, weight.derive("key", Object::new));
        assertNotSame(derived, weight.derive("another key", Object::new));
        write.run();
        assertNotSame(derived, weight.derive("key", Object::new));
      }
    }
  }
}
