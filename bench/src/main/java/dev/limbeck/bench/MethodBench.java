package dev.limbeck.bench;

import dev.limbeck.distillation.Batches;
import dev.limbeck.distillation.Distiller;
import dev.limbeck.distillation.EdmTraining;
import dev.limbeck.distillation.Methods;
import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.Preset;
import dev.limbeck.distillation.Trainer;
import dev.limbeck.distillation.data.Dataset;
import java.util.SplittableRandom;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** One training step of each method, on noise instead of images. */
public class MethodBench extends JobBench {
  private static final int IMAGES = 256;
  private static final int CLASSES = 10;

  /** Training of a teacher, or a method of distillation. */
  @Param({"edm", "pd", "dmd2"})
  public String method;

  private final Preset preset = Preset.quick();
  private Trainer trainer;
  private long step;

  @Override
  protected void build() {
    Model teacher =
        Model.create(
            preset.network().withClasses(CLASSES), preset.side(), EdmTraining.SAMPLER, device(), 1);
    Distiller distiller =
        method.equals("edm")
            ? training(teacher)
            : Methods.of(method).create(preset, teacher.teacher());
    Batches batches = Batches.of(noise(), device(), preset.batch(), 1);
    trainer =
        new Trainer(distiller, batches, "bench", Trainer.Options.watchedBy((d, s, losses) -> {}));
  }

  private Distiller training(Model model) {
    return new EdmTraining(
        preset.teacher(),
        model.teacher().blueprint(),
        model.denoiser().preconditioning(),
        CLASSES,
        preset.batch());
  }

  private Dataset noise() {
    SplittableRandom random = new SplittableRandom(1);
    byte[] pixels = new byte[IMAGES * preset.side() * preset.side()];
    random.nextBytes(pixels);
    int[] labels = random.ints(IMAGES, 0, CLASSES).toArray();
    int[] shape = {IMAGES, preset.side(), preset.side(), 1};
    return Dataset.ofBytes("noise", shape, pixels, labels);
  }

  /** One step; every method's takes the same number of real images. */
  @Benchmark
  public void step(Images images) {
    trainer.run(step, step + 1);
    step++;
    images.images += preset.batch();
  }
}
