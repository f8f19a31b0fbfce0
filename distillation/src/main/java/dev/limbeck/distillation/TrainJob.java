package dev.limbeck.distillation;

import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.ImageGrid;
import dev.limbeck.kernels.Device;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Trains into a folder: checkpoints, the model, a picture of its samples. */
public final class TrainJob {
  private static final long CHECKPOINT_EVERY = 200;

  /** Rows and columns of the picture. */
  private static final int ROWS = 5;

  private static final int COLUMNS = 20;

  /**
   * What to do.
   *
   * @param data images, already of the preset's size
   */
  public record Options(Device device, long seed, Dataset data, Path out, Preset preset) {}

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
    ImageGrid grid =
        ImageGrid.of(teacher.side(), teacher.side(), teacher.config().inChannels()).scale(3);
    int[] labels = new int[COLUMNS];
    for (int i = 0; i < COLUMNS; i++) {
      labels[i] = teacher.config().classes() == 0 ? 0 : i % teacher.config().classes();
    }
    for (int row = 0; row < ROWS; row++) {
      Dataset drawn =
          teacher.generation().draw(options.device, options.seed + row, labels, done -> {});
      grid.row("", drawn.images(Dataset.range(0, COLUMNS)));
    }
    grid.write(options.out.resolve("samples.png"));
    return teacher;
  }

  /** Trains a teacher as the preset says. */
  Model trainTeacher(RunLog log) {
    Preset p = options.preset;
    Model model =
        Model.create(
            p.network().withClasses(options.data.classes()),
            p.side(),
            EdmTraining.SAMPLER,
            options.device,
            options.seed);
    EdmTraining training =
        new EdmTraining(
            p.teacher(),
            model.teacher().blueprint(),
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
    Path checkpoint = options.out.resolve("checkpoint-" + part + ".safetensors");
    Batches batches = Batches.of(options.data, options.device, batch, options.seed);
    String run =
        "preset " + options.preset.name() + " steps " + distiller.steps() + " seed " + options.seed;
    String fingerprint = run + " data " + options.data.hash() + " from " + origin;
    Trainer.Listener listener =
        (unused, step, losses) -> {
          log.losses(part, step, losses);
          float last = 0;
          for (float loss : losses.values()) {
            last = loss;
          }
          watcher.progress(step + 1, last, batch);
        };
    Trainer.Options kept = new Trainer.Options(checkpoint, CHECKPOINT_EVERY, listener);
    Trainer trainer = new Trainer(distiller, batches, fingerprint, kept);
    long first = trainer.resume();
    watcher.begins(part, first, distiller.steps());
    trainer.run(first, distiller.steps());
    watcher.ends(distiller.steps() + " steps");
  }

  /** Writes a model; an earlier file survives a failure. */
  void save(String name, Model model, String made) {
    model.save(options.out.resolve(name + ".safetensors"), made);
  }
}
