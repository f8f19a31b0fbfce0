package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.cuda.CudaDevice;
import dev.limbeck.kernels.cuda.CudaTest;
import dev.limbeck.kernels.cuda.CudaTestOfEach;
import dev.limbeck.kernels.cuda.LibraryUse;
import dev.limbeck.kernels.cuda.SoftwareCuda;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Rng;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Whole training steps on a CUDA device: the processor's numbers, the same bits each time, and a
 * host that never waits.
 */
class CudaTrainingTest {
  private static final int BATCH = 2;
  private static final int STEPS = 50;
  private static final Dataset DIGITS = Datasets.mnist().fitted(8);

  /**
   * Relative to the largest value of a tensor: sums in another order, through a network of some
   * thirty layers.
   */
  static final float TOLERANCE = 1e-4f;

  /**
   * Of the largest value of all tensors, an eighth of the last place: a key's bias has no influence
   * on attention, so that its gradient is rounding and nothing else.
   */
  private static final float NOTHING = 0x1p-27f;

  /** {@link Toys#translation}. */
  private static final String TRANSLATION = "translation";

  /** Methods whose first steps are all of one kind. */
  private static final Set<String> ONE_KIND = Set.of("edm", "pd", "scm", "sct", "meanflow");

  /** The largest learning rate of the methods as {@link Toys} sets them. */
  private static final float RATE = 1e-3f;

  /** What a few steps left behind, by name. */
  private record Outcome(
      List<Map<String, Float>> losses,
      Map<String, float[]> gradients,
      Map<String, float[]> values) {}

  @AfterEach
  void usualDevice() {
    System.clearProperty("limbeck.cuda.graphs");
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("reset=all");
    }
  }

  private static Distiller create(String method, Device device) {
    Toys toys = new Toys(device);
    // The last layers start at 0, which would leave the others without a gradient.
    disturb(toys.teacher().initial());
    if (method.equals(TRANSLATION)) {
      DistributionMatching distiller = toys.translation(STEPS, BATCH);
      disturb(distiller.networks().get("critic"));
      return distiller;
    }
    if (!method.equals("edm")) {
      return Methods.of(method).create(toys.preset(STEPS, BATCH), toys.teacher());
    }
    Distiller distiller = toys.teacherTraining(STEPS, BATCH);
    disturb(distiller.networks().get("model"));
    return distiller;
  }

  static void disturb(Params params) {
    for (Parameter p : params.list()) {
      float[] values = p.value().toFloats();
      float[] noise = new float[values.length];
      Rng.of(p.name().hashCode()).normal(noise);
      for (int i = 0; i < noise.length; i++) {
        values[i] += 0.05f * noise[i];
      }
      p.value().buffer().upload(values, 0);
    }
    params.touch();
  }

  private static Batches batches(Device device) {
    return Batches.of(DIGITS, device, BATCH, 3);
  }

  private static Outcome train(String method, Device device, int steps) {
    return train(method, device, batches(device), steps);
  }

  private static Outcome train(String method, Device device, Batches batches, int steps) {
    return train(method, create(method, device), batches, 0, steps);
  }

  private static Outcome train(
      String method, Distiller distiller, Batches batches, int from, int to) {
    List<Map<String, Float>> losses = new ArrayList<>();
    Trainer.Options options = Trainer.Options.watchedBy((d, step, some) -> losses.add(some));
    new Trainer(distiller, batches, "test", options).run(from, to);
    Map<String, float[]> gradients = new LinkedHashMap<>();
    Map<String, float[]> values = new LinkedHashMap<>();
    for (Objective objective : distiller.objectives()) {
      for (Optimizer optimizer : objective.optimizers()) {
        for (Parameter p : optimizer.params().list()) {
          String name = method + ", " + objective.name() + ", " + p.name();
          gradients.put(name, p.gradient().toFloats());
          values.put(name, p.value().toFloats());
        }
      }
    }
    return new Outcome(losses, gradients, values);
  }

  /** With own kernels, and memory as in production. */
  static CudaDevice open(boolean graphs) {
    System.setProperty("limbeck.cuda.graphs", graphs ? "on" : "off");
    CudaDevice.Options options = CudaDevice.Options.ofProperties();
    return CudaDevice.open(0, options.withExactMemory(false).withLibraries(LibraryUse.OFF));
  }

  /** With memory of its own for each buffer, so that a step over its end is seen. */
  static CudaDevice openChecked(LibraryUse libraries) {
    CudaDevice.Options options = CudaDevice.Options.ofProperties();
    return CudaDevice.open(0, options.withExactMemory(true).withLibraries(libraries));
  }

  private static void assertClose(
      String what, Map<String, float[]> expected, Map<String, float[]> actual) {
    assertEquals(expected.keySet(), actual.keySet());
    float floor = floor(expected);
    expected.forEach(
        (name, wanted) ->
            assertArrayEquals(
                wanted,
                actual.get(name),
                Math.max(floor, TOLERANCE * largest(wanted)),
                what + ", " + name));
  }

  /** What counts as nothing among these tensors. */
  private static float floor(Map<String, float[]> all) {
    float largest = 0;
    for (float[] each : all.values()) {
      largest = Math.max(largest, largest(each));
    }
    return NOTHING * largest;
  }

  private static float largest(float[] values) {
    float largest = 0;
    for (float each : values) {
      largest = Math.max(largest, Math.abs(each));
    }
    return largest;
  }

  private static void assertSame(Outcome expected, Outcome actual) {
    assertEquals(expected.losses, actual.losses);
    expected.gradients.forEach((name, g) -> assertArrayEquals(g, actual.gradients.get(name), name));
    expected.values.forEach((name, v) -> assertArrayEquals(v, actual.values.get(name), name));
  }

  /** Every method, translation, and the teacher's training. */
  static List<String> methods() {
    List<String> all = new ArrayList<>(Methods.allNames());
    all.add("edm");
    all.add(TRANSLATION);
    return all;
  }

  /** Methods that begin with a degradation. */
  static List<String> methodsWithNodes() {
    return Methods.allNames().stream().filter(name -> name.startsWith("disback+")).toList();
  }

  /** Loss, every gradient and every updated parameter of one step. */
  @CudaTestOfEach
  @MethodSource("methods")
  void aStepAgreesWithTheProcessors(String method) {
    Outcome expected;
    try (CpuDevice cpu = CpuDevice.open(true, 1)) {
      expected = train(method, cpu, 1);
    }
    for (LibraryUse libraries : List.of(LibraryUse.OFF, LibraryUse.ALWAYS)) {
      try (CudaDevice cuda = openChecked(libraries)) {
        assertAgrees(method + ", " + cuda.description(), expected, train(method, cuda, 1));
      }
    }
  }

  /** The first step of {@link DisBack}'s stage two, whose teacher is a node: the critic, or not. */
  private static Outcome stepBack(String method, Device device, boolean isCritic) {
    DisBack distiller = (DisBack) create(method, device);
    if (!isCritic) {
      disturb(distiller.networks().get("path1"));
    }
    return train(method, distiller, batches(device), 2, 3);
  }

  @CudaTestOfEach
  @MethodSource("methodsWithNodes")
  void aStepOfTheWayBackAgreesWithTheProcessors(String method) {
    Outcome expected;
    try (CpuDevice cpu = CpuDevice.open(true, 1)) {
      expected = stepBack(method, cpu, false);
      assertNotEquals(stepBack(method, cpu, true).losses, expected.losses, "the node teaches");
    }
    for (LibraryUse libraries : List.of(LibraryUse.OFF, LibraryUse.ALWAYS)) {
      try (CudaDevice cuda = openChecked(libraries)) {
        assertAgrees(method + ", " + cuda.description(), expected, stepBack(method, cuda, false));
      }
    }
  }

  private static void assertAgrees(String what, Outcome expected, Outcome actual) {
    expected
        .losses
        .get(0)
        .forEach(
            (name, loss) -> {
              float got = actual.losses.get(0).get(name);
              assertEquals(loss, got, TOLERANCE * Math.abs(loss), what + ", loss of " + name);
            });
    assertClose(what, expected.gradients, actual.gradients);
    float floor = floor(expected.gradients);
    expected.values.forEach(
        (name, wanted) -> {
          float[] gradient = expected.gradients.get(name);
          assertStepped(wanted, actual.values.get(name), gradient, floor, what + ", " + name);
        });
  }

  /**
   * Adam's first step is rate·g/|g|, whatever the size of g: an error δ of the gradient moves a
   * value by up to rate·δ/|g|, and never by more than twice the rate.
   */
  private static void assertStepped(
      float[] wanted, float[] got, float[] gradient, float floor, String name) {
    float error = Math.max(floor, TOLERANCE * largest(gradient));
    float tolerance = TOLERANCE * largest(wanted);
    for (int i = 0; i < wanted.length; i++) {
      float moved = RATE * Math.min(2, error / Math.max(Float.MIN_NORMAL, Math.abs(gradient[i])));
      assertEquals(wanted[i], got[i], tolerance + moved, name + ", value " + i);
    }
  }

  /**
   * Eager and recorded, with the device's threads in another order: the same bits. Methods with
   * several kinds of steps need more of them until each has been replayed.
   */
  @CudaTestOfEach
  @MethodSource("methods")
  void recordedStepsGiveTheBitsOfEagerOnes(String method) {
    // ddil+dmd2: two levels, two objectives, seven things to do with the buffer.
    int steps = ONE_KIND.contains(method) ? 4 : method.equals("ddil+dmd2") ? 40 : 12;
    Outcome eager;
    try (CudaDevice cuda = open(false)) {
      eager = train(method, cuda, steps);
      assertEquals(0, cuda.counters().replays());
    }
    if (SoftwareCuda.isLoaded()) {
      SoftwareCuda.option("schedule=7");
    }
    try (CudaDevice cuda = open(true)) {
      assertSame(eager, train(method, cuda, steps));
      assertTrue(cuda.counters().replays() > 2, method + " replays");
    }
  }

  /** Between two readings of the losses the host never waits, and memory is at rest. */
  private static void theHostDoesNotWait(String method, boolean graphs, int warm, int steps) {
    try (CudaDevice cuda = open(graphs);
        TrainingSteps run = new TrainingSteps(create(method, cuda), batches(cuda), warm + steps)) {
      for (int step = 0; step < warm; step++) {
        run.run(step);
      }
      // The host may be two recorded steps ahead of the device, and waits where it would be three.
      cuda.synchronize();
      CudaDevice.Counters before = cuda.counters();
      Device.Memory memory = cuda.memory();
      for (int step = warm; step < warm + steps; step++) {
        run.run(step);
      }
      CudaDevice.Counters after = cuda.counters();
      String what = method + (graphs ? ", recorded" : ", eager");
      System.out.printf(
          "%s: %d launches and %.1f graphs a step%n",
          what,
          (after.launches() - before.launches()) / steps,
          (double) (after.replays() - before.replays()) / steps);
      assertEquals(before.waits(), after.waits(), what + ": the host waited");
      assertEquals(before.allocations(), after.allocations(), what + ": allocations");
      assertEquals(before.heldBytes(), after.heldBytes(), what + ": bytes held");
      assertEquals(memory.liveBuffers(), cuda.memory().liveBuffers(), what + ": live buffers");
      assertEquals(memory.liveBytes(), cuda.memory().liveBytes(), what + ": live bytes");
      run.read((losses, step) -> {});
      assertTrue(cuda.counters().waits() > after.waits(), "reading waits");
    }
  }

  @CudaTest
  void theHostDoesNotWaitInTraining() {
    theHostDoesNotWait("edm", false, 1, 1);
    theHostDoesNotWait("edm", true, 3, 2);
  }

  @CudaTest
  void theHostDoesNotWaitInProgressiveDistillation() {
    theHostDoesNotWait("pd", false, 1, 1);
  }

  @CudaTest
  void theHostDoesNotWaitInMethodsOfTangents() {
    theHostDoesNotWait("scm", false, 1, 1);
    theHostDoesNotWait("meanflow", false, 1, 1);
  }

  /** Steps 0 and 3 train both networks, of those between one. */
  @CudaTest
  void theHostDoesNotWaitInDistributionMatching() {
    theHostDoesNotWait("dmd2", false, 3, 3);
  }

  /** A run as users start it: recorded, losses read now and then; one image a step, to be quick. */
  @CudaTest
  void fiftyStepsFollowTheProcessorsLosses() {
    List<Map<String, Float>> expected;
    List<Map<String, Float>> actual;
    try (CpuDevice cpu = CpuDevice.open(true, 1)) {
      expected = train("edm", cpu, Batches.of(DIGITS, cpu, 1, 3), STEPS).losses;
    }
    try (CudaDevice cuda = open(true)) {
      long start = System.nanoTime();
      actual = train("edm", cuda, Batches.of(DIGITS, cuda, 1, 3), STEPS).losses;
      System.out.printf("%d steps in %.1f s%n", STEPS, (System.nanoTime() - start) / 1e9);
      assertEquals(STEPS - 1, cuda.counters().replays());
    }
    assertEquals(STEPS, actual.size());
    for (int step = 0; step < STEPS; step++) {
      float loss = expected.get(step).get("edm");
      // Steps of Adam turn differences in the last place of a gradient into some of the values'.
      assertEquals(loss, actual.get(step).get("edm"), 1e-3f * loss, "loss of step " + step);
    }
  }

  /** What a step costs the interpreter, in instructions of threads; tests have to stay short. */
  @CudaTest
  void aStepIsShort(@TempDir Path folder) throws IOException {
    if (!SoftwareCuda.isLoaded()) {
      return;
    }
    try (CudaDevice cuda = open(false);
        TrainingSteps run =
            new TrainingSteps(create("edm", cuda), Batches.of(DIGITS, cuda, 1, 3), 1)) {
      cuda.synchronize();
      SoftwareCuda.option("counters=clear");
      SoftwareCuda.option("count=on");
      run.run(0);
      cuda.synchronize();
      SoftwareCuda.option("counters=" + folder.resolve("counters"));
    }
    double instructions = 0;
    for (String line : Files.readAllLines(folder.resolve("counters"))) {
      Map<?, ?> counted = (Map<?, ?>) Json.parseObject(line).get("thread_instructions");
      for (Object each : counted.values()) {
        instructions += ((Number) each).doubleValue();
      }
    }
    System.out.printf("a step is %.3f G instructions of threads%n", instructions / 1e9);
    assertTrue(instructions > 1e6 && instructions < 1e8, instructions + " instructions");
  }
}
