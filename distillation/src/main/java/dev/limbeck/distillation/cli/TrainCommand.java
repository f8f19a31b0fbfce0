package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.Preset;
import dev.limbeck.distillation.TrainJob;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.kernels.Device;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Trains a teacher. */
@Command(
    name = "train",
    description = "Trains a diffusion teacher, which distill takes by --teacher.",
    mixinStandardHelpOptions = true)
final class TrainCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;
  @Mixin private DataOption data;
  @Mixin private SeedOption seed;
  @Mixin private OutOption out;
  @Mixin private PresetOption preset;
  @Mixin private PrecisionOption precision;
  @Mixin private LatentOption latent;

  @Option(names = "--steps", paramLabel = "N", description = "Training steps.")
  private Long steps;

  @Override
  public Integer call() throws IOException {
    AtLeast.check(spec, "--steps", steps, 1);
    Preset p = preset.preset();
    if (steps != null) {
      p = p.withTeacherSteps(steps);
    }
    Dataset images = Datasets.open(data.data()).fitted(p.side());
    Path folder = out.folder("teacher");
    Device opened = device.open();
    TrainJob.Options options =
        new TrainJob.Options(
            opened,
            seed.seed(),
            images,
            latent.codec(opened, () -> images),
            folder,
            p,
            precision.precision());
    new TrainJob(options, new ConsoleWatcher()).run();
    System.err.println("wrote " + folder.resolve("teacher.safetensors"));
    return 0;
  }
}
