package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What holds for every method: reproducible, resumable, tidy, and it trains what it says. */
class TrainerTest {
  private static final int BATCH = 4;

  static List<String> methods() {
    List<String> all = new ArrayList<>(Methods.allNames());
    all.add("edm");
    return all;
  }

  private static Distiller create(String method, Toys toys) {
    return method.equals("edm")
        ? toys.teacherTraining(20, BATCH)
        : Methods.of(method).create(toys.preset(20, BATCH), toys.teacher());
  }

  private static Batches batches(CpuDevice device) {
    return Batches.of(Datasets.mnist().fitted(8), device, BATCH, 3);
  }

  private static float[] values(Params params) {
    float[] all = new float[params.values().length()];
    params.values().download(all, 0);
    return all;
  }

  private static float[] train(String method, int threads, Path checkpoint, long from, long to) {
    try (CpuDevice device = CpuDevice.open(true, threads)) {
      Distiller distiller = create(method, new Toys(device));
      Trainer.Options options = new Trainer.Options(checkpoint, 5, (d, step, losses) -> {});
      Trainer trainer = new Trainer(distiller, batches(device), "test", options);
      if (checkpoint != null && Files.exists(checkpoint)) {
        Checkpoint.restore(
            checkpoint, distiller, distiller.name() + " batch " + BATCH + " precision f32 test");
      }
      trainer.run(from, to);
      return values(distiller.student().network().params());
    }
  }

  /** Save, go on; reload, go on: the same bits. And the same bits for any number of threads. */
  @ParameterizedTest
  @MethodSource("methods")
  void resumingAndThreadsChangeNoBit(String method, @TempDir Path folder) {
    Path checkpoint = folder.resolve("state.safetensors");
    float[] whole = train(method, 2, null, 0, 15);
    train(method, 1, checkpoint, 0, 10);
    assertTrue(Files.exists(checkpoint));
    float[] resumed = train(method, 1, checkpoint, 10, 15);
    assertArrayEquals(whole, resumed);
  }

  @ParameterizedTest
  @MethodSource("methods")
  void lossesAreFiniteAndMemoryIsGivenBack(String method) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Distiller distiller = create(method, new Toys(device));
      List<Long> live = new ArrayList<>();
      Trainer.Options options =
          Trainer.Options.watchedBy(
              (d, step, losses) -> {
                losses.values().forEach(l -> assertTrue(Float.isFinite(l)));
                live.add(device.memory().liveBuffers());
              });
      new Trainer(distiller, batches(device), "test", options).run(0, 7);
      assertEquals(live.get(0), live.get(6), "buffers alive after the first and the last step");
    }
  }

  /** Every trained parameter gets a gradient; the teacher keeps its bits. */
  @ParameterizedTest
  @MethodSource("methods")
  void gradientsReachWhatIsTrainedAndNothingElse(String method) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Toys toys = new Toys(device);
      Teacher teacher = toys.teacher();
      float[] before = values(teacher.initial());
      Distiller distiller = create(method, toys);
      Trainer.Options options = Trainer.Options.watchedBy((d, step, losses) -> {});
      new Trainer(distiller, batches(device), "test", options).run(0, 6);
      assertArrayEquals(before, values(teacher.initial()));
      for (Objective objective : distiller.objectives()) {
        for (var optimizer : objective.optimizers()) {
          for (Parameter p : optimizer.params().list()) {
            double sum = 0;
            for (float g : p.gradient().toFloats()) {
              sum += Math.abs(g);
            }
            assertTrue(sum > 0, objective.name() + ": no gradient reaches " + p);
          }
        }
      }
      for (Parameter p : teacher.initial().list()) {
        for (float g : p.gradient().toFloats()) {
          assertEquals(0f, g, "a gradient leaked into the teacher's " + p);
        }
      }
    }
  }

  @Test
  void nonFiniteLossStopsTheRunAndNamesWhatIsWrong() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Distiller distiller = new Toys(device).teacherTraining(20, BATCH);
      Params params = distiller.networks().get("model");
      Parameter bad = params.list().get(3);
      bad.value().fill(Float.NaN);
      Trainer.Options options = Trainer.Options.watchedBy((d, step, losses) -> {});
      Trainer trainer = new Trainer(distiller, batches(device), "test", options);
      TrainingException e = assertThrows(TrainingException.class, () -> trainer.run(0, 1));
      assertTrue(e.getMessage().contains("step 0, objective edm"), e.getMessage());
      assertTrue(e.getMessage().contains(bad.name()), e.getMessage());
    }
  }

  /** Batches whose third step holds something that is no number. */
  private record Damaged(Batches whole) implements Batches {
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
      StepInput input = whole.at(step);
      return step == 2
          ? new StepInput(step, input.rng(), input.images().mul(Float.NaN), input.labels())
          : input;
    }
  }

  /** On a GPU losses are read late; the run then stands where it stood before the bad step. */
  @Test
  void lossesThatAreReadLateStopTheRunAllTheSame() {
    float[] expected = train("edm", 1, null, 0, 2);
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Distiller distiller = create("edm", new Toys(device));
      List<Long> told = new ArrayList<>();
      Trainer.Options late =
          new Trainer.Options(null, Long.MAX_VALUE, 10, (d, step, losses) -> told.add(step));
      Trainer trainer = new Trainer(distiller, new Damaged(batches(device)), "test", late);
      TrainingException e = assertThrows(TrainingException.class, () -> trainer.run(0, 5));
      assertEquals(
          "step 2, objective edm: the loss is NaN; every parameter is finite, so look at its input",
          e.getMessage());
      assertEquals(List.of(0L, 1L), told);
      assertArrayEquals(expected, values(distiller.student().network().params()));
    }
  }

  /** However often losses are read: the same ones, in order. */
  @ParameterizedTest
  @MethodSource("methods")
  void lossesReadLateAreTheSame(String method) {
    List<Object> expected = new ArrayList<>();
    for (int every : new int[] {1, 3}) {
      try (CpuDevice device = CpuDevice.open(true, 1)) {
        List<Object> told = new ArrayList<>();
        Trainer.Options options =
            new Trainer.Options(
                null, Long.MAX_VALUE, every, (d, step, losses) -> told.add(step + " " + losses));
        new Trainer(create(method, new Toys(device)), batches(device), "test", options).run(0, 7);
        assertEquals(7, told.size());
        if (every == 1) {
          expected.addAll(told);
        }
        assertEquals(expected, told);
      }
    }
  }

  /** What a run took goes on from where it stopped, as its steps do. */
  @Test
  void secondsTravelInTheCheckpoint(@TempDir Path folder) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Trainer.Options options =
          new Trainer.Options(folder.resolve("state.safetensors"), 5, (d, step, losses) -> {});
      Trainer first = trainer(device, options);
      first.run(0, 5);
      assertTrue(first.seconds() > 0);
      Trainer resumed = trainer(device, options);
      assertEquals(5, resumed.resume());
      assertEquals(first.seconds(), resumed.seconds());
      resumed.run(5, 6);
      assertTrue(resumed.seconds() > first.seconds());
    }
  }

  private static Trainer trainer(CpuDevice device, Trainer.Options options) {
    Distiller distiller = new Toys(device).teacherTraining(20, BATCH);
    return new Trainer(distiller, batches(device), "test", options);
  }

  @Test
  void checkpointOfAnotherRunIsRefused(@TempDir Path folder) {
    Path checkpoint = folder.resolve("state.safetensors");
    train("edm", 1, checkpoint, 0, 5);
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Distiller distiller = new Toys(device).teacherTraining(20, BATCH);
      TrainingException e =
          assertThrows(
              TrainingException.class,
              () -> Checkpoint.restore(checkpoint, distiller, "another run"));
      assertTrue(e.getMessage().contains("belongs to another run"), e.getMessage());
    }
  }
}
