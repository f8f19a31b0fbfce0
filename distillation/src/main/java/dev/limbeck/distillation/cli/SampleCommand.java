package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.Architecture;
import dev.limbeck.distillation.Generation;
import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Draws images from a checkpoint. */
@Command(
    name = "sample",
    description = {
      "Draws images from a checkpoint.",
      "Image i depends on the seed and on i alone: ten images are the first ten of a hundred."
    },
    mixinStandardHelpOptions = true)
final class SampleCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;
  @Mixin private SeedOption seed;
  @Mixin private SamplerOption sampler;
  @Mixin private PrecisionOption precision;

  @Option(
      names = "--checkpoint",
      required = true,
      paramLabel = "FILE",
      description = "A teacher or student (safetensors) that limbeck wrote.")
  private Path checkpoint;

  @Option(
      names = "--count",
      paramLabel = "N",
      defaultValue = "100",
      description = "How many (default: ${DEFAULT-VALUE}).")
  private int count;

  @Option(
      names = "--class",
      paramLabel = "N",
      description = "All of this class, counted from 0 (default: one class after the other).")
  private Integer label;

  @Option(
      names = "--format",
      paramLabel = "NAME",
      defaultValue = "png",
      description =
          "png (a grid), files (a folder of PNGs), npy or safetensors (default: ${DEFAULT-VALUE}).")
  private SampleFormat format;

  @Option(
      names = "--out",
      paramLabel = "PATH",
      description = "File or folder to write (default: samples, with the format's ending).")
  private Path out;

  @Override
  public Integer call() throws IOException {
    if (count < 1) {
      throw refused("--count is " + count + "; at least 1 is needed");
    }
    Path to = out == null ? format.defaultPath() : out;
    Device opened = device.open();
    Model model = Model.load(checkpoint, opened).in(precision.precision());
    Generation generation = sampler.generation(model);
    int[] labels = labels(generation.classes());
    if (model.architecture() instanceof Architecture.Points points) {
      return points(opened, generation, points, labels, to);
    }
    checkPlace(to);
    long start = System.nanoTime();
    Dataset drawn = generation.draw(opened, seed.seed(), labels, done -> {});
    double seconds = (System.nanoTime() - start) / 1e9;
    try (Tensor images = drawn.images(opened, Dataset.range(0, count))) {
      format.write(images, to);
    }
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "%s: %d images of %d×%d×%d, %d evaluations each, %.5f s an image%n",
            to,
            count,
            drawn.height(),
            drawn.width(),
            drawn.channels(),
            generation.sampler().evaluations(),
            seconds / count);
    return 0;
  }

  private int points(
      Device opened, Generation generation, Architecture.Points points, int[] labels, Path to)
      throws IOException {
    if (format != SampleFormat.NPY && format != SampleFormat.SAFETENSORS) {
      throw refused("the model draws points: --format npy or safetensors writes them");
    }
    checkPlace(to);
    float[] values = points.toData(generation.values(opened, seed.seed(), labels));
    int d = points.network().outputs();
    try (Tensor drawn = Tensor.of(opened, Shape.of(count, d), values)) {
      format.write(drawn, to);
    }
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "%s: %d points of %d coordinates, %d evaluations each%n",
            to,
            count,
            d,
            generation.sampler().evaluations());
    return 0;
  }

  private void checkPlace(Path to) {
    boolean toFolder = format == SampleFormat.FILES;
    if (Files.exists(to) && Files.isDirectory(to) != toFolder) {
      throw refused(
          toFolder
              ? "--format files makes a folder, and " + to + " is a file: name another --out"
              : "--out is a folder, " + to + ": name a file in it");
    }
  }

  private int[] labels(int classes) {
    if (label != null && (label < 0 || label >= classes)) {
      String known = classes == 0 ? "it has none" : "it has 0 to " + (classes - 1);
      throw refused("--class is " + label + ", which the model does not know; " + known);
    }
    int[] labels = new int[count];
    Arrays.setAll(labels, i -> label != null ? label : classes == 0 ? 0 : i % classes);
    return labels;
  }

  private ParameterException refused(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}
