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
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.op.Axpy;
import dev.limbeck.kernels.op.Launching;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What goes wrong is one clear exception; memory comes back, and the process goes on. */
class FaultTest {
  private static final int N = 1000;

  @AfterEach
  void usualDevice() {
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("reset=all");
    }
  }

  private static Buffer ones(Device device) {
    Buffer buffer = device.allocate(DType.F32, N);
    float[] host = new float[N];
    java.util.Arrays.fill(host, 1f);
    buffer.upload(host, 0);
    return buffer;
  }

  private static float first(Buffer buffer) {
    float[] host = new float[buffer.length()];
    buffer.download(host, 0);
    return host[0];
  }

  /** The device's free memory; with a device open, which makes its context current. */
  private static long freeBytes() {
    long[] free = new long[1];
    long[] total = new long[1];
    assertEquals(0, JCudaDriver.cuMemGetInfo(free, total));
    return free[0];
  }

  private static void assertWorks() {
    try (CudaDevice device = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      Buffer y = ones(device);
      device.execute(new Axpy(2f, ones(device), y));
      assertEquals(3f, first(y));
    }
  }

  @Test
  void anAbsentDeviceSaysWhy() {
    String reason = new CudaProvider().unavailable().orElse("");
    if (!reason.isEmpty()) {
      String message =
          assertThrows(DeviceUnavailableException.class, () -> Device.cuda(0)).getMessage();
      assertEquals("device cuda:0: " + reason, message);
      assertTrue(!reason.contains("\n") && reason.length() < 200, reason);
      assertTrue(!Device.best().id().startsWith("cuda"));
    }
  }

  @CudaTest
  void aFullDeviceGetsItsCacheBackAndIsAskedAgain() {
    try (CudaDevice device = SoftwareCuda.openPooled();
        Scope scope = Scope.open()) {
      Buffer kept = ones(device);
      device.allocate(DType.F32, 5_000_000).close();
      long held = device.counters().heldBytes();
      assertTrue(held > 20_000_000, held + " bytes cached");
      SoftwareCuda.option("fail-allocation=1");
      Buffer other = device.allocate(DType.F32, 3_000_000);
      assertTrue(device.counters().heldBytes() < held, "the cache went back");
      assertEquals(1f, first(kept));
      other.close();
    }
  }

  @CudaTest
  void anAllocationThatCannotBeSaysWhatWasAskedForAndWhatIsHeld() {
    try (CudaDevice device = SoftwareCuda.openPooled();
        Scope scope = Scope.open()) {
      Buffer kept = ones(device);
      long free = freeBytes();
      int tooMany = (int) Math.min(Integer.MAX_VALUE, free / 4 + 1);
      DeviceException e =
          assertThrows(DeviceException.class, () -> device.allocate(DType.F32, tooMany));
      assertEquals("CUDA_ERROR_OUT_OF_MEMORY", e.status());
      assertEquals("cuMemAlloc", e.call());
      String asked = String.format("%,d bytes asked for", Allocator.sizeClass(4L * tooMany));
      assertTrue(e.getMessage().contains(asked), e.getMessage());
      assertTrue(e.getMessage().contains("F32[" + tooMany + "]"), e.getMessage());
      assertEquals(1, device.memory().liveBuffers());
      assertEquals(1f, first(kept));
    }
    assertWorks();
  }

  @CudaTest
  void everyFailingAllocationOfAStepLeavesNothingBehind() {
    long before;
    try (CudaDevice device = SoftwareCuda.openPooled()) {
      before = freeBytes();
    }
    int failures = 0;
    for (int n = 1; n <= 6; n++) {
      // Two in a row, so that asking again does not help.
      SoftwareCuda.option("fail-allocation=" + n);
      try (CudaDevice device = SoftwareCuda.openPooled();
          Scope scope = Scope.open()) {
        Buffer x = device.allocate(DType.F32, 2_000_000 * n);
        SoftwareCuda.option("fail-allocation=1");
        device.allocate(DType.F32, 3_000_000).close();
        device.execute(new Axpy(1f, x, x));
      } catch (DeviceException e) {
        assertEquals("CUDA_ERROR_OUT_OF_MEMORY", e.status(), e.getMessage());
        failures++;
      }
    }
    SoftwareCuda.option("reset=all");
    try (CudaDevice device = SoftwareCuda.openPooled()) {
      assertEquals(before, freeBytes(), failures + " failures");
    }
    assertWorks();
  }

  @CudaTest
  void aFailedLaunchIsReportedWhereTheHostWaitsAndTheNextDeviceWorks() {
    try (CudaDevice device = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      Buffer x = ones(device);
      SoftwareCuda.option("fail-launch=1");
      DeviceException e =
          assertThrows(
              DeviceException.class,
              () -> {
                device.execute(new Axpy(1f, x, x));
                device.synchronize();
              });
      assertEquals("CUDA_ERROR_LAUNCH_FAILED", e.status());
      assertTrue(e.getMessage().contains("trace=kernels"), e.getMessage());
      DeviceException again = assertThrows(DeviceException.class, () -> first(x));
      assertEquals("CUDA_ERROR_LAUNCH_FAILED", again.status(), "the error stays");
    }
    assertWorks();
  }

  @CudaTest
  void anAccessOutOfBoundsIsReported() {
    try (CudaDevice device = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      Buffer x = ones(device);
      int beyond = 100_000_000;
      DeviceException e =
          assertThrows(
              DeviceException.class,
              () -> {
                device.execute(
                    new Launching(
                        x,
                        cuda ->
                            cuda.kernel("axpy", "axpy_f32")
                                .i32(beyond)
                                .f32(1f)
                                .pointer(x)
                                .pointer(x)
                                .launch(64, 256)));
                device.synchronize();
              });
      assertEquals("CUDA_ERROR_ILLEGAL_ADDRESS", e.status());
    }
    assertWorks();
  }

  @CudaTest
  void aLostDeviceIsReportedAndClosesWithoutAnotherError() {
    try (CudaDevice device = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      Buffer x = ones(device);
      SoftwareCuda.option("lost=on");
      assertEquals(
          "CUDA_ERROR_UNKNOWN", assertThrows(DeviceException.class, () -> first(x)).status());
      assertThrows(DeviceException.class, () -> device.allocate(DType.F32, 9_000_000));
      assertThrows(DeviceException.class, device::synchronize);
    }
    SoftwareCuda.option("lost=off");
    assertWorks();
  }

  @CudaTest
  void uploadsThatFailLeaveTheHostArrayAlone() {
    try (CudaDevice device = CudaDevice.open(0);
        Scope scope = Scope.open()) {
      Buffer x = ones(device);
      float[] host = new float[N];
      assertThrows(IllegalArgumentException.class, () -> x.download(host, 1));
      assertArrayEquals(new float[N], host);
    }
  }
}
