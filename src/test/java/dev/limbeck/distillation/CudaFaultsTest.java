package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceException;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import dev.limbeck.tensor.Rng;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;

/**
 * What ends a training run on a CUDA device is one clear exception; the checkpoint before it loads.
 */
class CudaFaultsTest {
  private static final int BATCH = 2;
  private static final int SAVED = 1;
  private static final int FAULT = 2;
  private static final Dataset DIGITS = Datasets.mnist().fitted(8);

  @TempDir private Path folder;

  @AfterEach
  void usualDevice() {
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("reset=all");
    }
  }

  /** Batches whose step {@link #FAULT} finds something broken. */
  private record Broken(Batches whole, Device device, Consumer<Device> fault) implements Batches {
    @Override
    public int size() {
      return whole.size();
    }

    @Override
    public Rng random(long step) {
      return whole.random(step);
    }

    @Override
    public StepInput at(long step) {
      if (step == FAULT) {
        fault.accept(device);
      }
      return whole.at(step);
    }
  }

  private Trainer trainer(Device device, Consumer<Device> fault) {
    Distiller distiller = new Toys(device).teacherTraining(20, BATCH);
    Batches batches = new Broken(Batches.of(DIGITS, device, BATCH, 3), device, fault);
    Path file = folder.resolve("state.safetensors");
    return new Trainer(
        distiller, batches, "test", new Trainer.Options(file, SAVED, (d, step, losses) -> {}));
  }

  /** Trains into the fault, looks at the exception, and goes on from the checkpoint. */
  private void check(Consumer<Device> fault, String status, String said) throws IOException {
    Path file = folder.resolve("state.safetensors");
    try (CudaDevice device = SoftwareCuda.openPooled()) {
      Trainer trainer = trainer(device, fault);
      trainer.run(0, FAULT);
      byte[] before = Files.readAllBytes(file);
      DeviceException e = assertThrows(DeviceException.class, () -> trainer.run(FAULT, FAULT + 1));
      assertEquals(status, e.status());
      assertTrue(e.getMessage().contains(said), e.getMessage());
      assertTrue(!e.getMessage().contains("\n"), e.getMessage());
      assertArrayEquals(before, Files.readAllBytes(file), "the checkpoint");
    }
    SoftwareCuda.option("reset=all");
    try (CudaDevice device = SoftwareCuda.openPooled()) {
      Trainer again = trainer(device, unused -> {});
      assertEquals(FAULT, again.resume());
      again.run(FAULT, FAULT + 1);
    }
  }

  /** More than the device has: 8 GiB on the software device. */
  @CudaTest
  void memoryRunsOut() throws IOException {
    check(
        device -> {
          for (int i = 0; i < 64; i++) {
            device.allocate(DType.F32, Integer.MAX_VALUE - 64);
          }
        },
        "CUDA_ERROR_OUT_OF_MEMORY",
        "bytes asked for");
  }

  @CudaTest
  void aLaunchFails() throws IOException {
    if (SoftwareCuda.isLoaded()) {
      check(
          device -> SoftwareCuda.option("fail-launch=40"),
          "CUDA_ERROR_LAUNCH_FAILED",
          "trace=kernels");
    }
  }

  @CudaTest
  void theDeviceIsLost() throws IOException {
    if (SoftwareCuda.isLoaded()) {
      check(device -> SoftwareCuda.option("lost=on"), "CUDA_ERROR_UNKNOWN", "cu");
    }
  }
}
