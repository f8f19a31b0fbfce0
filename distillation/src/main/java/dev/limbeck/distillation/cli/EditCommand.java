package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.GuidedDistillation;
import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.Preset;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.data.ImageGrid;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Editing;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
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

/** Changes given images with a checkpoint. */
@Command(
    name = "edit",
    description = {
      "Changes given images with a checkpoint, and shows them before and after.",
      "vary draws them anew from the middle of the sampler; inpaint draws a part; transfer makes"
          + " them images of another class."
    },
    mixinStandardHelpOptions = true)
final class EditCommand implements Callable<Integer> {
  /** Steps of encoding by a teacher. */
  private static final int ENCODING_STEPS = 64;

  /** Where encoding by a teacher begins, as for trained encoders. */
  private static final double LEAST = 0.02;

  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;
  @Mixin private DataOption data;
  @Mixin private SeedOption seed;
  @Mixin private SamplerOption sampler;

  @Option(
      names = "--checkpoint",
      required = true,
      paramLabel = "FILE",
      description = "A teacher or student (safetensors) that limbeck wrote.")
  private Path checkpoint;

  /** What can be done. */
  private enum Mode {
    VARY,
    INPAINT,
    TRANSFER
  }

  @Option(
      names = "--mode",
      required = true,
      paramLabel = "NAME",
      description = "vary, inpaint or transfer.")
  private Mode mode;

  @Option(
      names = "--count",
      paramLabel = "N",
      defaultValue = "10",
      description = "How many of the images, spread over them (default: ${DEFAULT-VALUE}).")
  private int count;

  @Option(
      names = "--class",
      paramLabel = "N",
      description = "What they are to become (default: what they are; transfer needs it).")
  private Integer target;

  @Option(
      names = "--level",
      paramLabel = "N",
      defaultValue = "1",
      description =
          "vary: how many of the sampler's first steps are left out; with more, more is kept"
              + " (default: ${DEFAULT-VALUE}).")
  private int level;

  /** What inpainting draws. */
  private enum Part {
    LEFT,
    RIGHT,
    TOP,
    BOTTOM,
    CENTRE;

    boolean holds(double y, double x) {
      return switch (this) {
        case LEFT -> x < .5;
        case RIGHT -> x >= .5;
        case TOP -> y < .5;
        case BOTTOM -> y >= .5;
        case CENTRE -> Math.max(Math.abs(y - .5), Math.abs(x - .5)) < .25;
      };
    }
  }

  @Option(
      names = "--part",
      paramLabel = "NAME",
      defaultValue = "right",
      description =
          "inpaint: what is drawn anew, left, right, top, bottom or centre (default:"
              + " ${DEFAULT-VALUE}).")
  private Part part;

  @Option(
      names = "--encoder",
      paramLabel = "FILE",
      description =
          "transfer: what finds the images' noise, an encoder that train-encoder wrote, or a teacher"
              + " in 64 steps (default: the teacher that comes with Limbeck).")
  private Path encoder;

  @Option(
      names = "--out",
      paramLabel = "FILE",
      defaultValue = "edited.png",
      description = "Picture to write: images before and after (default: ${DEFAULT-VALUE}).")
  private Path out;

  /**
   * What is at work.
   *
   * @param images or their latents, where the model draws those
   * @param from the classes before
   * @param to the classes after
   */
  private record Work(Model model, Tensor images, Tensor from, Tensor to) {}

  @Override
  public Integer call() {
    Device opened = device.open();
    Model model = Model.load(checkpoint, opened);
    Dataset all = Datasets.open(data.data()).fitted(model.image().dim(0));
    check(model, all);
    Dataset given = all.spread(Math.min(count, all.count()));
    Sampler by = sampler.generation(model).sampler();
    Denoiser denoiser = sampler.generation(model).denoiser();
    try (Scope scope = Scope.open()) {
      Tensor pixels = given.images(opened, Dataset.range(0, given.count()));
      Work work = work(model, pixels, given);
      ImageGrid grid = ImageGrid.of(model.image());
      grid.row("given", pixels.toFloats());
      if (mode == Mode.INPAINT) {
        grid.row("known", pixels.add(1f).mul(mask(pixels)).add(-1f).toFloats());
      }
      Tensor made =
          switch (mode) {
            case VARY -> vary(denoiser, by, work);
            case INPAINT -> inpaint(denoiser, by, work);
            case TRANSFER -> transfer(denoiser, by, work);
          };
      Tensor shown = model.codec().decode(made).clamp(-1, 1);
      grid.row(mode.name().toLowerCase(Locale.ROOT), shown.toFloats());
      grid.write(out);
    }
    spec.commandLine().getOut().printf("%s: %d images%n", out, given.count());
    return 0;
  }

  private void check(Model model, Dataset images) {
    int classes = model.architecture().classes();
    if (count < 1) {
      throw refused("--count is " + count + "; at least 1 is needed");
    }
    int channels = model.image().dim(2);
    if (images.channels() != channels) {
      throw refused(
          String.format(
              "the images have %d channels, the checkpoint draws images of %d",
              images.channels(), channels));
    }
    if (target != null && (target < 0 || target >= classes)) {
      String known = classes == 0 ? "it has none" : "it has 0 to " + (classes - 1);
      throw refused("--class is " + target + ", which the model does not know; " + known);
    }
    if (encoder != null && mode != Mode.TRANSFER) {
      throw refused("--encoder is for --mode transfer");
    }
    if (target == null && mode == Mode.TRANSFER) {
      throw refused("transfer needs --class N: what the images are to become");
    }
    boolean labelled = images.classes() > 0 && images.classes() <= classes;
    if (classes > 0 && !labelled && (target == null || mode == Mode.TRANSFER)) {
      throw refused(
          "the checkpoint draws classes, and nothing says which the images of "
              + data.data()
              + " are: data with labels from 0 to "
              + (classes - 1)
              + (mode == Mode.TRANSFER ? " are needed" : " or --class N is needed"));
    }
  }

  private Work work(Model model, Tensor pixels, Dataset given) {
    Tensor images = model.codec().encode(pixels);
    if (model.architecture().classes() == 0) {
      return new Work(model, images, null, null);
    }
    int[] own = new int[given.count()];
    int[] wanted = new int[given.count()];
    for (int i = 0; i < own.length; i++) {
      own[i] = given.classes() == 0 ? 0 : given.label(i);
      wanted[i] = target == null ? own[i] : target;
    }
    Shape shape = Shape.of(own.length);
    Device on = pixels.device();
    return new Work(
        model, images, Tensor.constant(on, shape, own), Tensor.constant(on, shape, wanted));
  }

  private Tensor vary(Denoiser denoiser, Sampler by, Work work) {
    // A grid's final 0 is no level to begin at.
    int levels = (int) Arrays.stream(Editing.levels(by)).filter(sigma -> sigma > 0).count();
    if (level < 0 || level >= levels) {
      throw refused(
          "--level is " + level + "; this sampler can begin at its levels 0 to " + (levels - 1));
    }
    return Editing.vary(
        denoiser, Editing.from(by, level), work.images, work.to, Rng.of(seed.seed()));
  }

  private Tensor inpaint(Denoiser denoiser, Sampler by, Work work) {
    Rng rng = Rng.of(seed.seed());
    return Editing.inpaint(denoiser, by, work.images, mask(work.images), work.to, rng);
  }

  /** 1 where images, or latents, are known. */
  private Tensor mask(Tensor images) {
    int height = images.dim(1);
    int width = images.dim(2);
    int channels = images.dim(3);
    float[] mask = new float[images.size()];
    for (int i = 0; i < mask.length; i++) {
      int x = i / channels % width;
      int y = i / channels / width % height;
      mask[i] = part.holds((y + .5) / height, (x + .5) / width) ? 0 : 1;
    }
    return Tensor.of(images.device(), images.shape(), mask);
  }

  private Tensor transfer(Denoiser denoiser, Sampler by, Work work) {
    Device opened = work.images.device();
    int side = work.model.image().dim(0);
    Model back =
        encoder == null
            ? Model.builtIn(opened, side == Preset.quick().side() ? Preset.quick() : Preset.full())
            : Model.load(encoder, opened);
    if (!back.image().equals(work.model.image())) {
      throw refused(
          String.format(
              "the encoder is for images of shape %s, the checkpoint for %s",
              back.image(), work.model.image()));
    }
    if (!back.codec().text().equals(work.model.codec().text())) {
      throw refused(
          "the encoder's latents are not those of the checkpoint: --encoder takes one that was"
              + " trained on the checkpoint's teacher, or that teacher");
    }
    double[] rising = GuidedDistillation.reversed(Editing.levels(back.sampler()));
    if (rising[0] == 0) {
      // No encoder but a teacher, which takes any steps.
      rising =
          GuidedDistillation.reversed(
              NoiseLevels.fallingCosine(ENCODING_STEPS, side / 8.0, NoiseLevels.SIGMA_MAX));
      rising[0] = Math.min(LEAST, rising[1] / 2);
    }
    return Editing.transfer(back.denoiser(), rising, denoiser, by, work.images, work.from, work.to);
  }

  private ParameterException refused(String message) {
    return new ParameterException(spec.commandLine(), message);
  }
}
