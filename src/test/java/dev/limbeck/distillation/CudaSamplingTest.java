package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.SamplerSettings;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Tuning;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.cuda.LibraryUse;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.AfterEach;

/** Samplers on a CUDA device: the processor's pictures, the same bits each time, no waiting. */
class CudaSamplingTest {
  @AfterEach
  void usualDevice() {
    System.clearProperty("limbeck.cuda.graphs");
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("reset=all");
    }
  }

  /** One sampler of each file: two stages, a Brownian path, memory, prediction, fresh noise. */
  private static final List<Samplers.Method> OF_EACH_FAMILY =
      List.of(
          Samplers.Method.HEUN,
          Samplers.Method.EULER_ANCESTRAL,
          Samplers.Method.DPMPP_2M_SDE,
          Samplers.Method.DEIS,
          Samplers.Method.UNIPC,
          Samplers.Method.DPM_FAST,
          Samplers.Method.RENOISING);

  private static float[] draw(Device device, Samplers.Method method, int count, int batch) {
    return draw(device, method.settings(), count, batch);
  }

  private static float[] draw(Device device, SamplerSettings settings, int count, int batch) {
    Toys toys = new Toys(device);
    CudaTrainingTest.disturb(toys.teacher().initial());
    Samplers.Sampler sampler = Samplers.of(settings, NoiseLevels.karrasToZero(2));
    Generation generation =
        new Generation(toys.teacher().denoiser(), sampler, Shape.of(8, 8, 1), 10);
    int[] all = Dataset.range(0, count);
    return generation.draw(device, 5, all, batch, done -> {}).images(all);
  }

  @CudaTest
  void theSameSeedDrawsTheSamePictureOnBothDevices() {
    for (Samplers.Method method : OF_EACH_FAMILY) {
      float[] expected;
      try (CpuDevice cpu = CpuDevice.open(true, 1)) {
        expected = draw(cpu, method, 2, 2);
      }
      try (CudaDevice cuda = CudaTrainingTest.openChecked(LibraryUse.OFF)) {
        // Pixels lie between −1 and 1.
        assertArrayEquals(
            expected, draw(cuda, method, 2, 2), CudaTrainingTest.TOLERANCE, method.name());
      }
    }
  }

  /** Nine images, two at a time: a rehearsal, a capture, two replays, and one image alone. */
  @CudaTest
  void recordedSamplersDrawTheSameBits() {
    Samplers.Method method = Samplers.Method.RENOISING;
    float[] eager;
    try (CudaDevice cuda = CudaTrainingTest.open(false)) {
      eager = draw(cuda, method, 9, 2);
      assertEquals(0, cuda.counters().replays());
    }
    try (CudaDevice cuda = CudaTrainingTest.open(true)) {
      assertArrayEquals(eager, draw(cuda, method, 9, 2));
      assertEquals(3, cuda.counters().replays());
    }
  }

  private static float[] drawDecoded(Device device) {
    Toys toys = new Toys(device);
    CudaTrainingTest.disturb(toys.teacher().initial());
    Dataset digits = Datasets.mnist().spread(50).fitted(16);
    try (PatchCodec codec = PatchCodec.fit(device, digits, 2, 1)) {
      Samplers.Sampler sampler = Samplers.of(Samplers.Method.EULER, NoiseLevels.karrasToZero(2));
      Generation generation =
          new Generation(toys.teacher().denoiser(), sampler, Shape.of(8, 8, 1), 10, codec);
      Dataset drawn = generation.draw(device, 5, new int[7], 2, done -> {});
      assertEquals(16, drawn.height());
      return drawn.images(Dataset.range(0, 7));
    }
  }

  /** Latents are decoded in the recorded part: a rehearsal, a capture, a replay, one alone. */
  @CudaTest
  void recordedLatentsAreDecoded() {
    float[] expected;
    try (CpuDevice cpu = CpuDevice.open(true, 1)) {
      expected = drawDecoded(cpu);
    }
    try (CudaDevice cuda = CudaTrainingTest.open(true)) {
      assertArrayEquals(expected, drawDecoded(cuda), CudaTrainingTest.TOLERANCE);
      assertEquals(2, cuda.counters().replays());
    }
  }

  /** Three images one by one would be recorded, if the sampler did not read its errors back. */
  @CudaTest
  void adaptiveSamplersAreNotRecorded() {
    SamplerSettings settings =
        Samplers.Method.DPM_ADAPTIVE
            .settings()
            .with(Tuning.RTOL, 1)
            .with(Tuning.ATOL, 1)
            .with(Tuning.H_INIT, 5);
    float[] expected;
    try (CpuDevice cpu = CpuDevice.open(true, 1)) {
      expected = draw(cpu, settings, 3, 1);
    }
    try (CudaDevice cuda = CudaTrainingTest.open(true)) {
      assertArrayEquals(expected, draw(cuda, settings, 3, 1), CudaTrainingTest.TOLERANCE);
      assertEquals(0, cuda.counters().replays());
    }
  }

  /** A sampler reads nothing back before its last step. */
  @CudaTest
  void theHostDoesNotWaitInASampler() {
    try (CudaDevice cuda = CudaTrainingTest.open(false);
        Scope scope = Scope.open()) {
      Toys toys = new Toys(cuda);
      Tensor noise = Rng.of(1).normal(cuda, Shape.of(1, 8, 8, 1));
      Tensor labels = Tensor.constant(cuda, Shape.of(1), 3);
      long waits = cuda.counters().waits();
      for (Samplers.Method method : Samplers.Method.values()) {
        Samplers.Sampler sampler = Samplers.of(method, NoiseLevels.karrasToZero(2));
        if (sampler.isRecordable()) {
          sampler.sample(toys.teacher().denoiser(), noise, labels, Rng.of(2));
        }
      }
      assertEquals(waits, cuda.counters().waits());
    }
  }
}
