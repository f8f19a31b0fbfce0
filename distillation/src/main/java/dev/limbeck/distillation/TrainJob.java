package dev.limbeck.distillation;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.ImageGrid;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.Precision;
import dev.limbeck.tensor.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Trains into a folder: checkpoints, the model, a picture of its samples. */
public final class TrainJob {
  /** Rows and columns of the picture. */
  private static final int ROWS = 5;

  private static final int COLUMNS = 20;

  /**
   * What to do.
   *
   * @param data images, already of the preset's size
   * @param codec whose latents the network is trained on
   * @param precision what the network computes in
   */
  public record Options(
      Device device,
      long seed,
      Dataset data,
      Codec codec,
      Path out,
      Preset preset,
      Precision precision) {}

  /** Told what is going on. */
  public interface Watcher {
    /** A part of the job begins, {@code first} of whose steps were done in an earlier run. */
    void begins(String part, long first, long steps);

    /** So many steps are done, the last with this loss (NaN if it has none) on so many images. */
    void progress(long done, double loss, int images);

    /** The part is over; one line of what came out. */
    void ends(String result);
  }

  private final Options options;
  private final Watcher watcher;

  public TrainJob(Options options, Watcher watcher) {
    this.options = options;
    this.watcher = watcher;
  }

  /** Makes the folder for results, or says why that is impossible. */
  static void prepare(Path out) {
    try {
      Files.createDirectories(out);
    } catch (IOException e) {
      throw new DataException("the folder " + out + " cannot be made", e);
    }
    if (!Files.isWritable(out)) {
      throw new DataException("the folder " + out + " cannot be written to");
    }
  }

  /** Trains a teacher and writes it, with a picture of its samples beside it. */
  public Model run() {
    prepare(options.out);
    Model teacher;
    try (RunLog log = new RunLog(options.out)) {
      teacher = trainTeacher(log);
    }
    save("teacher", teacher, "EDM, seed " + options.seed + ", data " + options.data.hash());
    int classes = teacher.architecture().classes();
    ImageGrid grid = ImageGrid.of(teacher.image()).scale(3);
    // No more samples than are asked for where they are measured.
    int columns = Math.max(1, Math.min(COLUMNS, options.preset.evaluated()));
    int[] labels = new int[columns];
    for (int i = 0; i < columns; i++) {
      labels[i] = classes == 0 ? 0 : i % classes;
    }
    int rows = Math.max(1, Math.min(ROWS, options.preset.evaluated() / columns));
    for (int row = 0; row < rows; row++) {
      Dataset drawn =
          teacher.generation().draw(options.device, options.seed + row, labels, done -> {});
      grid.row("", drawn.images(Dataset.range(0, columns)));
    }
    grid.write(options.out.resolve("samples.png"));
    return teacher;
  }

  /**
   * Trains an encoder of a teacher's images and writes it: the way back that {@link
   * GuidedDistillation} learns on a rising grid.
   */
  public Model encoder(Model teacher) {
    prepare(options.out);
    checkFits(teacher.in(options.precision), options.data);
    GuidedDistillation encoder =
        new GuidedDistillation(
            GuidedDistillation.Config.encoder(options.preset), teacher.teacher());
    try (RunLog log = new RunLog(options.out)) {
      train("encoder", encoder, "teacher " + teacher.hash(), log);
    }
    Model result = teacher.student(encoder);
    save("encoder", result, "encoder, seed " + options.seed);
    return result;
  }

  /**
   * Sees to it that a model draws images of the data's size.
   *
   * @throws DataException if it draws others
   */
  static void checkFits(Model teacher, Dataset data) {
    Shape images = Shape.of(data.height(), data.width(), data.channels());
    if (!teacher.image().equals(images)) {
      throw new DataException(
          "the teacher draws images of "
              + sizes(teacher.image())
              + ", the run is set to "
              + sizes(images));
    }
  }

  private static String sizes(Shape image) {
    return image.dim(0) + "×" + image.dim(1) + "×" + image.dim(2);
  }

  /** A teacher of the preset's size that has learnt nothing yet. */
  Model untrained() {
    Preset p = options.preset;
    Shape latent = options.codec.latent(Shape.of(p.side(), p.side(), options.data.channels()));
    int channels = latent.dim(2);
    int multiple = p.network().sideMultiple();
    if (latent.dim(0) % multiple != 0) {
      throw new IllegalArgumentException(
          String.format(
              "the network of the preset %s takes sides of a multiple of %d, these latents have %d",
              p.name(), multiple, latent.dim(0)));
    }
    return Model.create(
            p.network().withClasses(options.data.classes()).withChannels(channels, channels),
            latent.dim(0),
            EdmTraining.SAMPLER,
            options.device,
            options.seed)
        .with(options.codec)
        .in(options.precision);
  }

  /** Trains a teacher as the preset says. */
  Model trainTeacher(RunLog log) {
    Preset p = options.preset;
    Model model = untrained();
    EdmTraining training =
        new EdmTraining(
            p.teacher(),
            model.blueprint(),
            model.denoiser().preconditioning(),
            options.data.classes(),
            p.batch());
    train("teacher", training, "scratch", log);
    model.network().params().copyFrom(training.student().network().params());
    return model;
  }

  /**
   * Runs a method, from its last checkpoint if there is one.
   *
   * @param origin what the method starts from: a checkpoint of another origin is refused
   */
  void train(String part, Distiller distiller, String origin, RunLog log) {
    int batch = options.preset.batch();
    Batches images = Batches.of(options.data, options.device, batch, options.seed);
    Batches batches = options.codec.encoded(images);
    String latents = options.codec.text();
    String data = options.data.hash() + (latents.isEmpty() ? "" : " in " + latents);
    new Training(options.out, options.preset, options.seed, data, batches, watcher)
        .train(part, distiller, origin, log);
  }

  /** Writes a model; an earlier file survives a failure. */
  void save(String name, Model model, String made) {
    model.save(options.out.resolve(name + ".safetensors"), made);
  }
}
