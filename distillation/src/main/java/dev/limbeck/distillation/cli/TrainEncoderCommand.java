package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.Model;
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

/** Trains an encoder. */
@Command(
    name = "train-encoder",
    description =
        "Trains an encoder, which takes images back to their noise in few steps, for edit --encoder.",
    mixinStandardHelpOptions = true)
final class TrainEncoderCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;
  @Mixin private DataOption data;
  @Mixin private SeedOption seed;
  @Mixin private OutOption out;
  @Mixin private PresetOption preset;
  @Mixin private PrecisionOption precision;

  @Option(
      names = "--teacher",
      paramLabel = "FILE",
      description = "The teacher whose noise it is (default: the one that comes with Limbeck).")
  private Path teacher;

  @Option(names = "--steps", paramLabel = "N", description = "Training steps of each stage.")
  private Long steps;

  @Override
  public Integer call() throws IOException {
    AtLeast.check(spec, "--steps", steps, 1);
    Preset p = preset.preset();
    if (steps != null) {
      p = p.withStudentSteps(steps);
    }
    Dataset images = Datasets.open(data.data()).fitted(p.side());
    Path folder = out.folder("encoder");
    Device opened = device.open();
    Model from = teacher == null ? Model.builtIn(opened, p) : Model.load(teacher, opened);
    TrainJob.Options options =
        new TrainJob.Options(
            opened, seed.seed(), images, from.codec(), folder, p, precision.precision());
    new TrainJob(options, new ConsoleWatcher()).encoder(from);
    System.err.println("wrote " + folder.resolve("encoder.safetensors"));
    return 0;
  }
}
