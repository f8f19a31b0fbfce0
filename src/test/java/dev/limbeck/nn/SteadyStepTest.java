package dev.limbeck.nn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.UNetConfig.AttendIn;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.lang.management.ManagementFactory;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A training step that has come to rest leaves the garbage collector small objects only. */
class SteadyStepTest {
  private static final List<AttendIn> ATTENTION = List.of(AttendIn.NO_BLOCK, AttendIn.EVERY_BLOCK);

  /**
   * Vectors that the compiler fails to keep in registers are objects of 80 bytes, some hundred
   * megabytes of them in a step; until it has compiled a loop, they always are. So the test asks
   * that the step gets there, not when.
   */
  @Test
  void allocatesNothingInTheEnd() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    UNetConfig config =
        UNetConfig.ddpmpp(1, 32, 32).withClasses(10).withAttention(ATTENTION, ATTENTION);
    try (CpuDevice device = CpuDevice.open(true, 1);
        UNet net = new UNet(config, device, Rng.of(1));
        AdamW optimizer = new AdamW(net.params(), AdamW.Config.of(1e-3f));
        Ema average = new Ema(net.params(), Ema.Kind.rate(0.999))) {
      Tensor x = Rng.of(2).normal(device, Shape.of(4, 16, 16, 1));
      Tensor noise = Tensor.full(device, Shape.of(4), 0.3f);
      Tensor labels = Tensor.of(device, Shape.of(4), 1, 2, 3, 4);
      long least = Long.MAX_VALUE;
      long live = 0;
      long deadline = System.nanoTime() + 120_000_000_000L;
      for (int i = 0; (i < 20 || least > 1 << 19) && System.nanoTime() < deadline; i++) {
        long before = threads.getCurrentThreadAllocatedBytes();
        step(net, optimizer, average, x, noise, labels);
        least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
        if (i > 0) {
          assertEquals(live, device.memory().liveBytes(), "bytes that live on after step " + i);
        }
        live = device.memory().liveBytes();
      }
      assertTrue(least <= 1 << 19, "a step allocates " + least + " bytes on the heap");
    }
  }

  private static void step(
      UNet net, AdamW optimizer, Ema average, Tensor x, Tensor noise, Tensor labels) {
    Device device = net.device();
    net.params().zeroGradients();
    try (Tape tape = Tape.open(net.params().list())) {
      Var y = net.forward(tape.input(x), Condition.of(noise, labels), Dropout.off());
      tape.backward(RowOps.meanSquaredError(y, x, Tensor.full(device, Shape.of(4), 1f)));
    }
    optimizer.step(1f, 1f, average);
  }
}
