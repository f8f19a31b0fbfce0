package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.cuda.LibraryUse;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Rng;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;

/** Both stages of guided distillation on a CUDA device; first steps are tested with all methods. */
class CudaGuidedTest {
  private static final int BATCH = 2;
  private static final int STEPS = 50;

  /** {@link Toys} has three steps of stage 1. */
  private static final int SECOND = 3;

  /** Of a tensor's largest value, as for other methods: sums in another order. */
  private static final float TOLERANCE = 1e-4f;

  /** Of the largest value of all: gradients that are nothing but rounding. */
  private static final float NOTHING = 0x1p-27f;

  @AfterEach
  void usualDevice() {
    System.clearProperty("limbeck.cuda.graphs");
  }

  /** Losses in order, and the gradients of the last step by parameter. */
  private record Outcome(List<Float> losses, Map<String, float[]> gradients) {}

  private static Outcome train(Device device, int from, int to) {
    Toys toys = new Toys(device);
    for (Parameter p : toys.teacher().initial().list()) {
      // The last layers start at 0, which would leave the others without a gradient.
      float[] values = p.value().toFloats();
      float[] noise = new float[values.length];
      Rng.of(p.name().hashCode()).normal(noise);
      for (int i = 0; i < noise.length; i++) {
        values[i] += 0.05f * noise[i];
      }
      p.value().buffer().upload(values, 0);
    }
    toys.teacher().initial().touch();
    Distiller guided = Methods.of("guided").create(toys.preset(STEPS, BATCH), toys.teacher());
    Batches batches = Batches.of(Datasets.mnist().fitted(8), device, BATCH, 3);
    List<Float> losses = new ArrayList<>();
    Trainer.Options options =
        Trainer.Options.watchedBy((d, step, some) -> losses.addAll(some.values()));
    new Trainer(guided, batches, "test", options).run(from, to);
    Map<String, float[]> gradients = new LinkedHashMap<>();
    for (Objective objective : guided.objectives()) {
      for (Optimizer optimizer : objective.optimizers()) {
        for (Parameter p : optimizer.params().list()) {
          gradients.put(objective.name() + " " + p.name(), p.gradient().toFloats());
        }
      }
    }
    return new Outcome(losses, gradients);
  }

  private static CudaDevice open(boolean graphs) {
    System.setProperty("limbeck.cuda.graphs", graphs ? "on" : "off");
    CudaDevice.Options options = CudaDevice.Options.ofProperties();
    return CudaDevice.open(0, options.withExactMemory(false).withLibraries(LibraryUse.OFF));
  }

  private static float largest(float[] values) {
    float largest = 0;
    for (float each : values) {
      largest = Math.max(largest, Math.abs(each));
    }
    return largest;
  }

  /** The first step of the halvings: loss and every gradient. */
  @CudaTest
  void aStepOfTheSecondStageAgreesWithTheProcessors() {
    Outcome expected;
    try (CpuDevice cpu = CpuDevice.open(true, 1)) {
      expected = train(cpu, SECOND, SECOND + 1);
    }
    try (CudaDevice cuda = open(false)) {
      Outcome actual = train(cuda, SECOND, SECOND + 1);
      float loss = expected.losses.get(0);
      assertEquals(loss, actual.losses.get(0), TOLERANCE * loss);
      float floor = 0;
      for (float[] each : expected.gradients.values()) {
        floor = Math.max(floor, NOTHING * largest(each));
      }
      for (Map.Entry<String, float[]> each : expected.gradients.entrySet()) {
        float tolerance = Math.max(floor, TOLERANCE * largest(each.getValue()));
        assertArrayEquals(
            each.getValue(), actual.gradients.get(each.getKey()), tolerance, each.getKey());
      }
    }
  }

  /** Recorded through both stages: the bits of eager steps. */
  @CudaTest
  void recordedStagesGiveTheBitsOfEagerOnes() {
    Outcome eager;
    try (CudaDevice cuda = open(false)) {
      eager = train(cuda, 0, SECOND + 4);
    }
    try (CudaDevice cuda = open(true)) {
      Outcome recorded = train(cuda, 0, SECOND + 4);
      assertEquals(eager.losses, recorded.losses);
      eager.gradients.forEach(
          (name, g) -> assertArrayEquals(g, recorded.gradients.get(name), name));
      assertTrue(cuda.counters().replays() > 2, "replays");
    }
  }
}
