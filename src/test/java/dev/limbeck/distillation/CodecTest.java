package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A linear latent space of digits, and training in it. */
class CodecTest {
  private static final Dataset DIGITS = Datasets.mnist().fitted(16).spread(1000);

  private static double meanSquare(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (a[i] - b[i]) * (double) (a[i] - b[i]) / a.length;
    }
    return sum;
  }

  /** All components are another basis: nothing is lost. */
  @Test
  void allComponentsLoseNothing() {
    try (PatchCodec codec = PatchCodec.fit(Device.cpu(), DIGITS, 2, 4);
        Scope scope = Scope.open()) {
      Tensor images = DIGITS.images(Device.cpu(), Dataset.range(0, 50));
      Tensor latents = codec.encode(images);
      assertEquals(Shape.of(50, 8, 8, 4), latents.shape());
      assertEquals(Shape.of(8, 8, 4), codec.latent(Shape.of(16, 16, 1)));
      assertArrayEquals(images.toFloats(), codec.decode(latents).toFloats(), 1e-5f);
      assertEquals(1, codec.kept(), 1e-12);
    }
  }

  /** What is lost is the variance along the components that are left out. */
  @Test
  void theLossIsTheVarianceLeftOut() {
    try (PatchCodec codec = PatchCodec.fit(Device.cpu(), DIGITS, 4, 4);
        Scope scope = Scope.open()) {
      Tensor images = DIGITS.images(Device.cpu(), Dataset.range(0, 1000));
      Tensor latents = codec.encode(images);
      float[] back = codec.decode(latents).toFloats();
      float[] mean = codec.decode(latents.mul(0f)).toFloats();
      double variance = meanSquare(images.toFloats(), mean);
      double lost = meanSquare(images.toFloats(), back);
      assertEquals(1 - codec.kept(), lost / variance, 1e-4);
      assertTrue(codec.kept() > .7, "four of sixteen components keep " + codec.kept());
      double square = 0;
      for (float z : latents.toFloats()) {
        square += z * (double) z / latents.size();
      }
      assertEquals(.5, Math.sqrt(square), 1e-3);
    }
  }

  @Test
  void patchesMustFit() {
    assertThrows(IllegalArgumentException.class, () -> PatchCodec.fit(Device.cpu(), DIGITS, 3, 1));
    assertThrows(IllegalArgumentException.class, () -> PatchCodec.fit(Device.cpu(), DIGITS, 2, 5));
    try (PatchCodec codec = PatchCodec.fit(Device.cpu(), DIGITS, 2, 2)) {
      assertThrows(IllegalArgumentException.class, () -> codec.latent(Shape.of(16, 16, 3)));
    }
  }

  /** From a teacher of latents to a student's decoded images, which lie where latents can. */
  @ParameterizedTest
  @ValueSource(strings = {"guided", "lcm"})
  void studentsOfLatentsDrawImages(String method) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        PatchCodec codec = PatchCodec.fit(device, DIGITS, 2, 3)) {
      Shape latent = codec.latent(Shape.of(16, 16, 1));
      UNetConfig network = UNetConfig.toy(latent.dim(2)).withClasses(10);
      Model teacher = Model.create(network, latent.dim(0), EdmTraining.SAMPLER, device, 3);
      Batches latents = codec.encoded(Batches.of(DIGITS, device, 4, 5));
      Preset preset = new Toys(device).preset(20, 4);
      Distiller distiller = Methods.of(method).create(preset, teacher.teacher());
      Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
      new Trainer(distiller, latents, "latents", quiet).run(0, 5);
      NetworkDenoiser student = distiller.student();
      Generation generation = new Generation(student, distiller.sampler(), latent, 10, codec);
      Dataset drawn = generation.draw(device, 1, new int[] {3, 1, 4}, done -> {});
      assertEquals(3, drawn.count());
      assertEquals(16, drawn.height());
      try (Scope scope = Scope.open()) {
        float[] values = generation.values(device, 1, new int[] {3, 1, 4});
        Tensor z = Tensor.of(device, Shape.of(3, 8, 8, 3), values);
        // Latents are all there is to a decoded image: encoded it gives them back.
        float[] again = codec.encode(codec.decode(z)).toFloats();
        assertArrayEquals(values, again, 1e-4f);
        float[] pixels = codec.decode(z).clamp(-1, 1).toFloats();
        assertArrayEquals(pixels, drawn.images(0, 1, 2), 1e-6f);
      }
    }
  }

  /** A file brings its latent space along: the same images, bit for bit. */
  @Test
  void filesCarryTheirCodec(@TempDir Path folder) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        PatchCodec codec = PatchCodec.fit(device, DIGITS, 2, 3)) {
      UNetConfig network = UNetConfig.toy(3).withClasses(10);
      Samplers.Sampler sampler = Samplers.of(Samplers.Method.EULER, 80, 1, 0);
      Model model = Model.create(network, 8, sampler, device, 3).with(codec);
      assertEquals(Shape.of(16, 16, 1), model.image());
      Path file = folder.resolve("model.safetensors");
      model.save(file, "test");
      Model again = Model.load(file, device);
      assertEquals(codec.text(), again.codec().text());
      int[] labels = {3, 1, 4};
      assertArrayEquals(
          model.generation().draw(device, 1, labels, done -> {}).images(0, 1, 2),
          again.generation().draw(device, 1, labels, done -> {}).images(0, 1, 2));
    }
  }

  /** Full batches and the rest: the same images in any of them. */
  @Test
  void imagesDoNotDependOnTheBatch() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        PatchCodec codec = PatchCodec.fit(device, DIGITS, 4, 5)) {
      UNetConfig network = UNetConfig.toy(5).withClasses(10);
      Samplers.Sampler sampler = Samplers.of(Samplers.Method.EULER, 80, 1, 0);
      Generation generation = Model.create(network, 4, sampler, device, 3).with(codec).generation();
      int[] labels = {0, 1, 2, 3, 4, 5, 6};
      int[] all = Dataset.range(0, labels.length);
      float[] whole = generation.draw(device, 1, labels, 7, done -> {}).images(all);
      float[] parts = generation.draw(device, 1, labels, 2, done -> {}).images(all);
      assertEquals(7 * 16 * 16, whole.length);
      assertArrayEquals(whole, parts);
    }
  }

  /** A codec of an application's own is not in the file, and asked for. */
  @Test
  void foreignCodecsAreGivenAgain(@TempDir Path folder) {
    Codec halves =
        new Codec() {
          @Override
          public Shape latent(Shape sample) {
            return sample;
          }

          @Override
          public Shape sample(Shape latent) {
            return latent;
          }

          @Override
          public Tensor encode(Tensor samples) {
            return samples.mul(2f);
          }

          @Override
          public Tensor decode(Tensor latents) {
            return latents.mul(.5f);
          }
        };
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Samplers.Sampler sampler = Samplers.of(Samplers.Method.EULER, 80, 0);
      Path file = folder.resolve("model.safetensors");
      Model.create(UNetConfig.toy(1), 8, sampler, device, 3).with(halves).save(file, "test");
      TrainingException refused =
          assertThrows(TrainingException.class, () -> Model.load(file, device));
      assertTrue(refused.getMessage().contains("codec"), refused.getMessage());
      assertEquals(halves, Model.load(file, device, halves).codec());
    }
  }
}
