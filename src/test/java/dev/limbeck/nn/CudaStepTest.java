package dev.limbeck.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Replay;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import dev.limbeck.nn.UNetConfig.AttendIn;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** Whole training steps of a network with attention and classes, on a CUDA device. */
class CudaStepTest {
  private static final int BATCH = 2;
  private static final int SIZE = 8;
  private static final int STEPS = 5;

  /** The bound: relative to the largest number of its kind. */
  private static final float TOLERANCE = 1e-4f;

  /**
   * In BF16 the devices' numbers differ by the last bits of F32 at first. Where these turn a
   * rounding round, a number differs by a spacing, 2⁻⁷ of itself; some thirty layers on, the two
   * round independently of each other, and are as far apart as either is from F32. Measured:
   * 0.0075.
   */
  private static final float BF16_TOLERANCE = 0x1p-6f;

  private static final float RATE = 1e-3f;

  /** A step of g/(|g| + 1): it differs no more than gradients do, which ε = 1e-8 would not give. */
  private static final AdamW.Config SMOOTH = new AdamW.Config(RATE, 0.9f, 0.999f, 1f, 0f);

  /** What some steps left behind. */
  private record Result(List<Float> losses, float[] gradients, float[] values, float[] average) {}

  private static float[] floats(Buffer buffer) {
    float[] host = new float[buffer.length()];
    buffer.download(host, 0);
    return host;
  }

  /** One step; everything that differs from step to step follows from its number. */
  private static Tensor step(UNet net, AdamW optimizer, Ema average, int number) {
    Device device = net.device();
    net.params().zeroGradients();
    Rng random = Rng.of(100 + number);
    try (Tape tape = Tape.open(net.params().list())) {
      float[] pixels = new float[BATCH * SIZE * SIZE];
      random.normal(pixels);
      Tensor x = Tensor.of(device, Shape.of(BATCH, SIZE, SIZE, 1), pixels);
      Tensor sigma = Tensor.of(device, Shape.of(BATCH), 0.1f * number, 0.7f);
      Tensor noisy = x.add(random.normal(device, x.shape()));
      Tensor labels = Tensor.of(device, Shape.of(BATCH), number, 3);
      Var y =
          net.forward(
              tape.input(noisy), Condition.of(sigma, labels), new Dropout(0.1f, random.nextKey()));
      Var loss = RowOps.meanSquaredError(y, x, Tensor.full(device, Shape.of(BATCH), 1f));
      tape.backward(loss);
      tape.keep(loss.value());
      optimizer.step(1f / number, 0.5f, average);
      return loss.value();
    }
  }

  /** Otherwise the last layers start at 0, and leave the others without a gradient. */
  private static UNet disturbed(UNet net) {
    try (Scope scope = Scope.open()) {
      for (Parameter p : net.params().list()) {
        Rng rng = Rng.of(p.name().hashCode());
        p.value().addInPlace(0.05f, rng.normal(net.device(), p.value().shape()));
      }
    }
    net.params().touch();
    return net;
  }

  private static UNet network(Device device) {
    UNetConfig config =
        UNetConfig.ddpmpp(1, 32, 32)
            .withClasses(10)
            .withAttention(
                List.of(AttendIn.NO_BLOCK, AttendIn.EVERY_BLOCK),
                List.of(AttendIn.NO_BLOCK, AttendIn.EVERY_BLOCK));
    return new UNet(config, device, Rng.of(1));
  }

  private static Result run(Device device, int steps, boolean replayed) {
    return run(network(device), AdamW.Config.of(RATE), steps, replayed);
  }

  private static Result runInBf16(Device device, int steps, boolean replayed) {
    return run(disturbed(network(device)).in(Precision.BF16), SMOOTH, steps, replayed);
  }

  private static Result run(UNet made, AdamW.Config config, int steps, boolean replayed) {
    Device device = made.device();
    try (UNet net = made;
        AdamW optimizer = new AdamW(net.params(), config);
        Ema average = new Ema(net.params(), Ema.Kind.rate(0.9));
        Replay replay = device.replay()) {
      List<Float> losses = new ArrayList<>();
      for (int i = 1; i <= steps; i++) {
        int number = i;
        Tensor[] loss = new Tensor[1];
        Runnable step = () -> loss[0] = step(net, optimizer, average, number);
        CudaDevice.Counters before = counters(device);
        if (replayed) {
          replay.run(step);
        } else {
          step.run();
        }
        CudaDevice.Counters after = counters(device);
        if (i > 2 && before != null) {
          assertEquals(before.waits(), after.waits(), "times that the host waited in step " + i);
          assertEquals(before.allocations(), after.allocations(), "allocations in step " + i);
        }
        losses.add(loss[0].item());
        loss[0].buffer().close();
        if (i > 2 && before != null) {
          assertEquals(before.usedBytes(), counters(device).usedBytes(), "memory after step " + i);
        }
      }
      return new Result(
          losses,
          floats(net.params().gradients()),
          floats(net.params().values()),
          floats(average.params().values()));
    }
  }

  private static CudaDevice.Counters counters(Device device) {
    return device instanceof CudaDevice cuda ? cuda.counters() : null;
  }

  private static float largest(float[] values) {
    float largest = 0;
    for (float v : values) {
      largest = Math.max(largest, Math.abs(v));
    }
    return largest;
  }

  private static void assertClose(float[] expected, float[] actual, String what) {
    assertArrayEquals(expected, actual, TOLERANCE * largest(expected), what);
  }

  private static void assertSame(Result expected, Result actual, String what) {
    assertEquals(expected.losses, actual.losses, what);
    assertArrayEquals(expected.gradients, actual.gradients, what);
    assertArrayEquals(expected.values, actual.values, what);
    assertArrayEquals(expected.average, actual.average, what);
  }

  @CudaTest
  void theFirstStepIsTheProcessors() {
    Result expected;
    Result actual;
    try (CpuDevice cpu = CpuDevice.open(true, 2)) {
      expected = run(cpu, 1, false);
    }
    try (CudaDevice cuda = CudaDevice.open(0)) {
      actual = run(cuda, 1, false);
      assertEquals(0, cuda.memory().liveBuffers());
    }
    assertEquals(expected.losses.get(0), actual.losses.get(0), TOLERANCE * expected.losses.get(0));
    assertClose(expected.gradients, actual.gradients, "gradients");
    assertClose(expected.values, actual.values, "parameters");
    assertClose(expected.average, actual.average, "average");
  }

  @CudaTest
  void theFirstStepInBf16IsTheProcessors() {
    Result expected;
    Result actual;
    try (CpuDevice cpu = CpuDevice.open(true, 2)) {
      expected = runInBf16(cpu, 1, false);
    }
    try (CudaDevice cuda = CudaDevice.open(0)) {
      actual = runInBf16(cuda, 1, false);
      assertEquals(0, cuda.memory().liveBuffers());
    }
    float loss = expected.losses.get(0);
    assertEquals(loss, actual.losses.get(0), BF16_TOLERANCE * loss);
    float bound = BF16_TOLERANCE * largest(expected.gradients);
    assertArrayEquals(expected.gradients, actual.gradients, bound, "gradients");
    // The gradients count half; and a value itself is rounded to F32.
    float moved = RATE * 0.5f * bound + 0x1p-23f * largest(expected.values);
    assertArrayEquals(expected.values, actual.values, moved, "parameters");
    assertArrayEquals(expected.average, actual.average, moved, "average");
  }

  @CudaTest
  void stepsInBf16RepeatTheirBitsAndAReplayHasThem() {
    Result once;
    Result again;
    Result replayed;
    try (CudaDevice cuda = SoftwareCuda.openPooled()) {
      once = runInBf16(cuda, 3, false);
      again = runInBf16(cuda, 3, false);
      replayed = runInBf16(cuda, 3, true);
      assertEquals(2, cuda.counters().replays());
      assertEquals(0, cuda.memory().liveBuffers());
    }
    assertSame(once, again, "a second run");
    assertSame(once, replayed, "a replay");
  }

  @CudaTest
  void someStepsRepeatTheirBitsAndAReplayHasThem() {
    Result once;
    Result again;
    Result replayed;
    try (CudaDevice cuda = SoftwareCuda.openPooled()) {
      once = run(cuda, STEPS, false);
    }
    try (CudaDevice cuda = SoftwareCuda.openPooled()) {
      again = run(cuda, STEPS, false);
      replayed = run(cuda, STEPS, true);
      assertEquals(STEPS - 1, cuda.counters().replays());
      assertEquals(0, cuda.memory().liveBuffers());
    }
    assertSame(once, again, "a second run");
    assertSame(once, replayed, "a replay");
  }
}
