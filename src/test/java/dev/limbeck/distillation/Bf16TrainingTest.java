package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.Precision;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Training and sampling in BF16 beside F32. */
class Bf16TrainingTest {
  private static final int BATCH = 4;

  private static Batches batches(Device device, int size) {
    return Batches.of(Datasets.mnist().fitted(8), device, size, 3);
  }

  private static float[] values(Params params) {
    float[] all = new float[params.values().length()];
    params.values().download(all, 0);
    return all;
  }

  static List<String> methods() {
    return TrainerTest.methods();
  }

  @ParameterizedTest
  @MethodSource("methods")
  void everyMethodTrainsInBf16(String method) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Toys toys = new Toys(device, Precision.BF16);
      Distiller distiller =
          method.equals("edm")
              ? toys.teacherTraining(20, BATCH)
              : Methods.of(method).create(toys.preset(20, BATCH), toys.teacher());
      Params first = distiller.objectives().get(0).optimizers().get(0).params();
      float[] before = values(first);
      List<Float> told = new ArrayList<>();
      Trainer.Options options =
          Trainer.Options.watchedBy((d, step, losses) -> told.addAll(losses.values()));
      new Trainer(distiller, batches(device, BATCH), "test", options).run(0, 3);
      assertTrue(told.size() >= 3, told.toString());
      told.forEach(loss -> assertTrue(Float.isFinite(loss), told.toString()));
      assertTrue(
          distiller.networks().values().stream().anyMatch(p -> p.precision() == Precision.BF16));
      assertFalse(Arrays.equals(before, values(first)), "nothing was trained");
    }
  }

  private static double[] losses(Precision precision, int steps) {
    try (CpuDevice device = CpuDevice.open(true, 2)) {
      Distiller distiller = new Toys(device, precision).teacherTraining(steps, 16);
      double[] all = new double[steps];
      Trainer.Options options =
          Trainer.Options.watchedBy((d, step, losses) -> all[(int) step] = losses.get("edm"));
      new Trainer(distiller, batches(device, 16), "test", options).run(0, steps);
      return all;
    }
  }

  /** The same data and noise in both: the losses differ by much less than from step to step. */
  @Test
  void aShortTrainingFollowsThatInF32() {
    int steps = 150;
    double[] exact = losses(Precision.F32, steps);
    double[] rounded = losses(Precision.BF16, steps);
    double start = Arrays.stream(exact, 0, 30).average().orElseThrow();
    double end = Arrays.stream(exact, steps - 30, steps).average().orElseThrow();
    double noise = 0;
    double distance = 0;
    double bias = 0;
    for (int i = steps - 30; i < steps; i++) {
      noise += Math.pow(exact[i] - end, 2) / 30;
      distance += Math.pow(rounded[i] - exact[i], 2) / 30;
      bias += (rounded[i] - exact[i]) / 30;
    }
    String what =
        start
            + " to "
            + end
            + ", noise "
            + Math.sqrt(noise)
            + ", distance "
            + Math.sqrt(distance)
            + ", bias "
            + bias;
    assertTrue(end < 0.7 * start, what);
    assertTrue(Math.sqrt(distance) < 0.2 * Math.sqrt(noise), what);
    assertTrue(Math.abs(bias) < 0.1 * Math.sqrt(noise), what);
  }

  private static float[] train(Precision precision, Path checkpoint, int from, int to) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Distiller distiller = new Toys(device, precision).teacherTraining(20, BATCH);
      Trainer.Options options = new Trainer.Options(checkpoint, 3, (d, step, losses) -> {});
      Trainer trainer = new Trainer(distiller, batches(device, BATCH), "test", options);
      assertEquals(from, trainer.resume());
      trainer.run(from, to);
      return values(distiller.networks().get("model"));
    }
  }

  @Test
  void resumingChangesNoBitAndAnotherPrecisionIsRefused(@TempDir Path folder) {
    Path checkpoint = folder.resolve("state.safetensors");
    float[] whole = train(Precision.BF16, folder.resolve("other.safetensors"), 0, 6);
    train(Precision.BF16, checkpoint, 0, 3);
    TrainingException e =
        assertThrows(TrainingException.class, () -> train(Precision.F32, checkpoint, 3, 6));
    assertTrue(e.getMessage().contains("precision bf16"), e.getMessage());
    assertArrayEquals(whole, train(Precision.BF16, checkpoint, 3, 6));
  }

  @Test
  void aModelIsSavedInF32(@TempDir Path folder) {
    Path exact = folder.resolve("exact.safetensors");
    Path rounded = folder.resolve("rounded.safetensors");
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Model model = new Toys(device).model();
      model.save(exact, "test");
      model.in(Precision.BF16).save(rounded, "test");
      Model loaded = Model.load(rounded, device);
      assertEquals(Precision.F32, loaded.precision());
      assertEquals(Model.load(exact, device).hash(), loaded.hash());
    }
  }

  /** Pixels of 2⁻⁸ of the noise that sampling starts from, which four evaluations hardly add to. */
  @DeviceTest
  void samplesAreNearThoseInF32(Device device) {
    Model toy = new Toys(device).model();
    Model model =
        new Model(
            toy.architecture(),
            Samplers.eulerOn(80, 5, 1, 0.2, 0),
            toy.preconditioning(),
            toy.guidanceWeight(),
            toy.guidance(),
            toy.codec(),
            toy.network());
    try (Scope scope = Scope.open()) {
      model
          .network()
          .params()
          .list()
          .forEach(
              p ->
                  p.value()
                      .addInPlace(
                          0.1f, Rng.of(p.name().hashCode()).normal(device, p.value().shape())));
      model.network().params().touch();
    }
    float[] exact = drawn(model, device);
    float[] rounded = drawn(model.in(Precision.BF16), device);
    double largest = 0;
    for (int i = 0; i < exact.length; i++) {
      largest = Math.max(largest, Math.abs(exact[i] - rounded[i]));
    }
    assertTrue(largest < 0.05, "pixels differ by " + largest);
    assertTrue(largest > 0, "nothing was rounded");
    model.network().close();
  }

  private static float[] drawn(Model model, Device device) {
    try (Tensor images =
        model
            .generation()
            .draw(device, 5, new int[] {1, 2, 3, 4}, done -> {})
            .images(device, new int[] {0, 1, 2, 3})) {
      return images.toFloats();
    }
  }
}
