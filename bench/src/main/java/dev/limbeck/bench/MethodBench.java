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
  @Param({
    "edm",
    "pd",
    "guided",
    "cd",
    "ct",
    "ict",
    "ect",
    "scm",
    "sct",
    "meanflow",
    "lcm",
    "diff-instruct",
    "dmd",
    "dmd2",
    "ddil+pd",
    "disback+dmd2"
  })
  public String method;

  /** Real images of a step. */
  @Param("64")
  public int batch;

  /** Steps on a GPU before it is waited for: of each kind, the third and later are replayed. */
  private static final int STEPS = 20;

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
            : Methods.of(method).create(preset.withBatch(batch), teacher.teacher());
    Batches batches = Batches.of(noise(), device(), batch, 1);
    trainer =
        new Trainer(distiller, batches, "bench", Trainer.Options.watchedBy((d, s, losses) -> {}));
  }

  private Distiller training(Model model) {
    return new EdmTraining(
        preset.teacher(),
        model.teacher().blueprint(),
        model.denoiser().preconditioning(),
        CLASSES,
        batch);
  }

  private Dataset noise() {
    SplittableRandom random = new SplittableRandom(1);
    byte[] pixels = new byte[IMAGES * preset.side() * preset.side()];
    random.nextBytes(pixels);
    int[] labels = random.ints(IMAGES, 0, CLASSES).toArray();
    int[] shape = {IMAGES, preset.side(), preset.side(), 1};
    return Dataset.ofBytes("noise", shape, pixels, labels);
  }

  /** One step, or some on a GPU; every method's takes the same number of real images. */
  @Benchmark
  public void step(Images images) {
    int steps = device().isAsynchronous() ? STEPS : 1;
    trainer.run(step, step + steps);
    step += steps;
    images.images += (double) steps * batch;
  }
}
