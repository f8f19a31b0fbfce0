package dev.limbeck.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Replay;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.Axpy;
import dev.limbeck.kernels.op.Unary;

/** A step that was recorded does what its Java code says, run after run. */
class ReplayTest {
  private static final int N = 1001;

  /** state ← state + 0.5·tanh(input·run), with intermediate buffers. */
  private static void step(Device device, Buffer state, int run) {
    try (Scope scope = Scope.open()) {
      float[] host = new float[N];
      for (int i = 0; i < N; i++) {
        host[i] = 0.01f * i * run;
      }
      Buffer x = device.allocate(DType.F32, N);
      x.upload(host, 0);
      Buffer y = device.allocate(DType.F32, N);
      device.execute(new Unary(Unary.Op.TANH, 0f, 0f, x, y));
      scope.free(x);
      Buffer z = device.allocate(DType.F32, N);
      device.execute(new Unary(Unary.Op.AFFINE, 0.5f, 0f, y, z));
      device.execute(new Axpy(1f, z, state));
    }
  }

  private static Buffer zeros(Device device) {
    Buffer state = device.allocate(DType.F32, N);
    state.upload(new float[N], 0);
    return state;
  }

  @CudaTest
  void sixRunsGiveTheBitsOfSixEagerSteps() {
    float[] expected = new float[N];
    float[] eager = new float[N];
    float[] replayed = new float[N];
    try (CpuDevice cpu = CpuDevice.open(false, 1);
        CudaDevice cuda = SoftwareCuda.openPooled();
        Scope scope = Scope.open();
        Replay replay = cuda.replay()) {
      Buffer onCpu = zeros(cpu);
      Buffer first = zeros(cuda);
      Buffer second = zeros(cuda);
      for (int run = 1; run <= 6; run++) {
        int number = run;
        step(cpu, onCpu, run);
        step(cuda, first, run);
        // A host that is two runs ahead waits; this one is not.
        cuda.synchronize();
        CudaDevice.Counters before = cuda.counters();
        replay.run(() -> step(cuda, second, number));
        CudaDevice.Counters after = cuda.counters();
        if (run > 2) {
          assertEquals(before.allocations(), after.allocations(), "memory is flat");
          assertEquals(before.waits(), after.waits(), "the host does not wait");
          assertEquals(before.launches(), after.launches(), "launches besides the graph's");
          assertEquals(before.replays() + 1, after.replays());
        }
      }
      onCpu.download(expected, 0);
      first.download(eager, 0);
      second.download(replayed, 0);
    }
    assertArrayEquals(expected, eager);
    assertArrayEquals(eager, replayed);
  }

  @CudaTest
  void aStepThatChangesIsRefused() {
    try (CudaDevice cuda = SoftwareCuda.openPooled();
        Scope scope = Scope.open();
        Replay replay = cuda.replay()) {
      Buffer state = zeros(cuda);
      float[] factor = {1f};
      Runnable step = () -> cuda.execute(new Unary(Unary.Op.AFFINE, factor[0], 1f, state, state));
      replay.run(step);
      replay.run(step);
      replay.run(step);
      factor[0] = 2f;
      String message =
          assertThrows(IllegalStateException.class, () -> replay.run(step)).getMessage();
      assertTrue(message.contains("affine_f32"), message);
      assertThrows(
          IllegalStateException.class,
          () -> replay.run(() -> {}),
          "a step that does less is refused");
      factor[0] = 1f;
      replay.run(step);
      float[] values = new float[N];
      state.download(values, 0);
      assertEquals(4f, values[0], "refused runs did nothing");
    }
  }

  @CudaTest
  void aStepThatReadsResultsIsRefused() {
    try (CudaDevice cuda = SoftwareCuda.openPooled();
        Scope scope = Scope.open();
        Replay replay = cuda.replay()) {
      Buffer state = zeros(cuda);
      for (int run = 0; run < 4; run++) { // while rehearsing, capturing and replaying
        assertThrows(
            IllegalStateException.class, () -> replay.run(() -> state.download(new float[N], 0)));
        assertThrows(IllegalStateException.class, () -> replay.run(cuda::synchronize));
        replay.run(() -> cuda.execute(new Unary(Unary.Op.AFFINE, 1f, 1f, state, state)));
      }
      float[] values = new float[N];
      state.download(values, 0);
      assertEquals(4f, values[N - 1]);
    }
  }
}
