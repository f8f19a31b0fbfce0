package dev.limbeck.kernels.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceException;
import dev.limbeck.kernels.DeviceUnavailableException;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.Axpy;
import dev.limbeck.kernels.op.Launching;
import dev.limbeck.kernels.op.Unary;
import dev.limbeck.kernels.op.UnaryGrad;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;

/** Memory, copies, launches and errors of one CUDA device. */
class CudaDeviceTest {
  @AfterEach
  void usualDevice() {
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("reset=all");
    }
  }

  private static float[] normal(int n) {
    Random random = new Random(n);
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static Buffer on(Device device, float... values) {
    Buffer buffer = device.allocate(DType.F32, values.length);
    buffer.upload(values, 0);
    return buffer;
  }

  private static float[] floats(Buffer buffer) {
    float[] values = new float[buffer.length()];
    buffer.download(values, 0);
    return values;
  }

  @CudaTest
  void whatIsUploadedComesBack() {
    try (CudaDevice device = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      // One element, more than a staging area, and more than all of them.
      for (int n : new int[] {0, 1, 1000, 300_001, 1_500_003}) {
        float[] host = normal(n);
        Buffer buffer = on(device, host);
        assertArrayEquals(host, floats(buffer));
        buffer.close();
      }
      int[] ints = new Random(1).ints(1234).toArray();
      Buffer buffer = device.allocate(DType.I32, 1000);
      buffer.upload(ints, 200);
      int[] back = new int[1001];
      buffer.download(back, 1);
      for (int i = 0; i < 1000; i++) {
        assertEquals(ints[200 + i], back[1 + i]);
      }
      Buffer slice = buffer.slice(64, 5);
      slice.upload(new int[] {1, 2, 3, 4, 5}, 0);
      buffer.download(back, 0);
      assertArrayEquals(
          new int[] {ints[263], 1, 2, 3, 4, 5, ints[269]},
          java.util.Arrays.copyOfRange(back, 63, 70));
    }
  }

  /** Zeros of both signs, infinities, NaN, denormals, and a ragged run of ordinary numbers. */
  private static float[] arguments() {
    float[] special = {
      0f,
      -0f,
      Float.POSITIVE_INFINITY,
      Float.NEGATIVE_INFINITY,
      Float.NaN,
      1e-40f,
      -1e-40f,
      1f,
      -1f,
      88.7f,
      -88.7f,
      104f,
      -104f,
      3e38f,
      -3e38f,
      Float.MIN_VALUE
    };
    float[] all = java.util.Arrays.copyOf(special, 1003);
    Random random = new Random(5);
    for (int i = special.length; i < all.length; i++) {
      all[i] = (float) (random.nextGaussian() * Math.pow(10, random.nextInt(4) - 1));
    }
    return all;
  }

  @CudaTest
  void elementwiseFunctionsGiveTheProcessorsBits() {
    for (int ptx : new int[] {75, 80, 90}) {
      try (CudaDevice cuda = SoftwareCuda.openWithPtx(ptx, CudaDevice.Options.ofProperties());
          CpuDevice cpu = CpuDevice.open(false, 1);
          Scope scope = Scope.open()) {
        assertTrue(cuda.description().contains("PTX " + ptx), cuda.description());
        for (Unary.Op op : Unary.Op.values()) {
          float[] expected = value(cpu, op);
          float[] actual = value(cuda, op);
          float[] expectedSlope = slope(cpu, op);
          float[] actualSlope = slope(cuda, op);
          // pow is the library's, in double precision: it may round the other way now and then.
          float ulps = op == Unary.Op.POW ? 1 : 0;
          for (int i = 0; i < expected.length; i++) {
            String what = op + "(" + arguments()[i] + "), PTX " + ptx;
            assertSame(expected[i], actual[i], ulps, what);
            assertSame(expectedSlope[i], actualSlope[i], ulps, what + ", derivative");
          }
        }
      }
    }
  }

  private static void assertSame(float expected, float actual, float ulps, String what) {
    if (Float.compare(expected, actual) != 0) {
      assertTrue(
          Math.abs(expected - actual) <= ulps * Math.ulp(expected),
          what + ": expected " + expected + ", got " + actual);
    }
  }

  private static float[] value(Device device, Unary.Op op) {
    Buffer x = on(device, arguments());
    device.execute(new Unary(op, 0.3f, 2.5f, x, x));
    return floats(x);
  }

  private static float[] slope(Device device, Unary.Op op) {
    Buffer g = on(device, normal(arguments().length));
    Buffer s = on(device, arguments());
    device.execute(new UnaryGrad(op, 0.3f, 2.5f, g, s, g));
    return floats(g);
  }

  @CudaTest
  void slicesAndRaggedSizesAreNotOverrun() {
    try (CudaDevice cuda = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      for (int n : new int[] {1, 2, 3, 4, 5, 63, 64, 65, 1023, 70_001}) {
        float[] zeros = new float[n + 128];
        Buffer arena = on(cuda, zeros);
        Buffer x = on(cuda, normal(n));
        cuda.execute(new Axpy(2f, x, arena.slice(64, n)));
        float[] after = floats(arena);
        float[] expected = normal(n);
        for (int i = 0; i < after.length; i++) {
          float each = i < 64 || i >= 64 + n ? 0f : 2f * expected[i - 64];
          assertEquals(each, after[i], "element " + (i - 64) + " of " + n);
        }
      }
    }
  }

  @CudaTest
  void wrongLaunchesAreRefusedByName() {
    try (CudaDevice cuda = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      Buffer x = on(cuda, 1f, 2f);
      Axpy beside = new Axpy(1f, x, on(cuda, 1f, 2f));
      cuda.execute(beside);
      refuse(
          IllegalArgumentException.class,
          cuda,
          l -> l.kernel("axpy", "axpy_f32").i32(2).i32(1).pointer(x).pointer(x).launch(1, 32),
          "axpy_f32 takes (ifll), not (iill)",
          x);
      refuse(DeviceException.class, cuda, l -> l.kernel("axpy", "nothing_f32"), "nothing_f32", x);
      refuse(DeviceException.class, cuda, l -> l.kernel("absent", "f"), "absent.", x);
      refuse(IllegalStateException.class, cuda, l -> l.launch(1, 32), "kernel(", x);
      refuse(IllegalStateException.class, cuda, l -> l.kernel("axpy", "axpy_f32"), "not launch", x);
      refuse(
          DeviceException.class,
          cuda,
          l -> l.kernel("axpy", "axpy_f32").i32(2).f32(1).pointer(x).pointer(x).launch(1, 4096),
          "cuLaunchKernel: CUDA_ERROR_INVALID_VALUE",
          x);
      Kernel without =
          new Kernel() {
            @Override
            public String name() {
              return "without";
            }

            @Override
            public List<Buffer> buffers() {
              return List.of();
            }

            @Override
            public void onCpu(Ranges ranges) {}
          };
      String message =
          assertThrows(UnsupportedOperationException.class, () -> cuda.execute(without))
              .getMessage();
      assertTrue(message.contains("without has no CUDA kernel"), message);
      assertArrayEquals(new float[] {1f, 2f}, floats(x), "the device works on");
    }
  }

  private static <T extends Exception> void refuse(
      Class<T> type, CudaDevice cuda, Consumer<Launcher> body, String part, Buffer buffer) {
    // Beside the classes of operations, as the PTX is.
    Exception e = assertThrows(type, () -> cuda.execute(new Launching(buffer, body)));
    assertTrue(e.getMessage().contains(part), e.getMessage());
  }

  @CudaTest
  void theDriversCompilerSaysWhatIsWrong() {
    try (CudaDevice device = CudaDevice.open(0)) {
      device.allocate(DType.F32, 1).close(); // the context is this thread's
      String ptx = ".version 8.0\n.target sm_75\n.address_size 64\nthis is no PTX\n";
      DeviceException e = assertThrows(DeviceException.class, () -> Modules.compile("broken", ptx));
      assertTrue(
          e.getMessage().matches("(?s)cuModuleLoadData: CUDA_ERROR_INVALID_PTX .*"), e::getMessage);
      assertTrue(e.getMessage().matches("(?s).*broken\\.cu: .*\\b4\\b.*"), e::getMessage);
    }
  }

  @CudaTest
  void memoryIsUsedAgain() {
    try (CudaDevice cuda = SoftwareCuda.openPooled()) {
      for (int i = 0; i < 50; i++) {
        try (Scope scope = Scope.open()) {
          Buffer x = on(cuda, normal(400_000 + i));
          Buffer y = on(cuda, normal(400_000 + i));
          cuda.execute(new Axpy(1f, x, y));
          on(cuda, 1f, 2f);
        }
      }
      CudaDevice.Counters counters = cuda.counters();
      assertEquals(50, counters.launches());
      assertTrue(counters.allocations() <= 4, counters.toString());
      cuda.trim();
      assertTrue(cuda.counters().heldBytes() < counters.heldBytes(), counters.toString());
    }
  }

  @CudaTest
  void sizeClassesWasteAnEighthAtMost() {
    for (long bytes : new long[] {1, 256, 257, 4096, 5000, 1 << 20, (1 << 20) + 1, 123_456_789L}) {
      long size = Allocator.sizeClass(bytes);
      assertTrue(size >= bytes && size % 256 == 0, bytes + " in " + size);
      assertTrue(size - bytes <= Math.max(256, bytes / 4), bytes + " in " + size);
      assertEquals(size, Allocator.sizeClass(size));
    }
  }

  @CudaTest
  void threadsShareADeviceAndOneThreadUsesTwo() throws InterruptedException {
    try (CudaDevice one = CudaDevice.open(0);
        CudaDevice two = CudaDevice.open(0)) {
      Throwable[] failed = new Throwable[1];
      Runnable work =
          () -> {
            for (int i = 0; i < 20; i++) {
              for (CudaDevice device : List.of(one, two)) {
                try (Scope scope = Scope.open()) {
                  Buffer y = on(device, normal(1000 + i));
                  device.execute(new Unary(Unary.Op.SQUARE, 0f, 0f, y, y));
                  float expected = normal(1000 + i)[7];
                  assertEquals(expected * expected, floats(y)[7]);
                }
              }
            }
          };
      Thread other = new Thread(work);
      other.setUncaughtExceptionHandler((thread, e) -> failed[0] = e);
      other.start();
      work.run();
      other.join();
      assertEquals(null, failed[0]);
    }
  }

  @CudaTest
  void buffersAreCopiedBetweenDevices() {
    // The software device has two GPUs; with one, both devices are on it.
    int other = Driver.devices() - 1;
    assertTrue(other > 0 || !SoftwareCuda.isLoaded());
    try (CudaDevice one = CudaDevice.open(0);
        CudaDevice two = CudaDevice.open(other);
        CpuDevice cpu = CpuDevice.open(false, 1);
        Scope scope = Scope.open()) {
      float[] host = normal(70_001);
      Buffer first = on(one, host);
      Buffer second = two.allocate(DType.F32, host.length);
      Buffer third = cpu.allocate(DType.F32, host.length);
      one.execute(new Unary(Unary.Op.NEG, 0f, 0f, first, first));
      second.copyFrom(first);
      // Comes after the copy, though on another queue.
      one.execute(new Unary(Unary.Op.SQUARE, 0f, 0f, first, first));
      two.execute(new Unary(Unary.Op.NEG, 0f, 0f, second, second));
      assertArrayEquals(host, floats(second));
      third.copyFrom(second);
      assertArrayEquals(host, floats(third));
      first.copyFrom(third);
      assertArrayEquals(host, floats(first));
      assertThrows(IllegalArgumentException.class, () -> first.copyFrom(second.slice(0, 9)));
    }
  }

  @CudaTest
  void absentDevicesAreNamed() {
    assertEquals("cuda:0", Device.of("cuda").id());
    assertTrue(Device.of("CUDA:0") == Device.cuda(0));
    Device.cuda(0).close();
    for (String name : List.of("cuda:77", "cuda:x", "cuda:-1", "cuda:")) {
      DeviceUnavailableException e =
          assertThrows(DeviceUnavailableException.class, () -> Device.of(name));
      assertTrue(e.getMessage().contains(name), e.getMessage());
    }
  }
}
