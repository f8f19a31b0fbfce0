package dev.limbeck.distillation.metrics;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.SafeFiles;
import dev.limbeck.distillation.report.ProgressBar;
import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Replay;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.op.ClipScale;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.LrSchedule;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;

/**
 * Trains the {@link DigitClassifier} and gathers the statistics of the training digits' features.
 *
 * <p>Adam under a cosine with warm-up; every digit is shifted by up to two pixels of its 32×32
 * form, anew in each epoch.
 */
public final class FeatureTraining {
  private static final int LARGE = 2 * DigitClassifier.SIDE;
  private static final int LARGEST_SHIFT = 2;
  private static final int WARM_UP_STEPS = 100;

  /** Rarely enough to keep a GPU busy, often enough to be watched. */
  private static final int READ_EVERY = 20;

  /**
   * How long and how fast.
   *
   * @param learningRate the largest one
   */
  public record Config(int epochs, int batch, float learningRate, long seed) {
    public static Config standard() {
      return new Config(6, 128, 2e-3f, 0);
    }
  }

  /**
   * What came out.
   *
   * @param testAccuracy share of the test digits told apart rightly
   * @param reference statistics of the features of all training digits, unshifted
   * @param trainedOn number, size and hash of the training digits
   */
  public record Result(
      DigitClassifier classifier,
      double testAccuracy,
      FeatureStatistics reference,
      String trainedOn) {
    /** Writes {@code digits.safetensors} and {@code reference.safetensors} into a folder. */
    public void save(Path folder) {
      SafeFiles.makeFolder(folder);
      String accuracy = String.format(Locale.ROOT, "%.4f", testAccuracy);
      classifier.save(
          folder.resolve("digits.safetensors"),
          Map.of("trained_on", trainedOn, "test_accuracy", accuracy));
      reference.save(
          folder.resolve("reference.safetensors"),
          Map.of("features_of", trainedOn, "extractor", classifier.hash()));
    }
  }

  private final Device device;
  private final Dataset train;
  private final Dataset test;
  private final Config config;
  private final String trainedOn;

  /**
   * A training run that has yet to start.
   *
   * @throws DataException if the data are not grey images with labels 0 to 9
   */
  public FeatureTraining(Device device, Dataset train, Dataset test, Config config) {
    this.device = device;
    this.train = checked(train).padded(LARGE);
    this.test = checked(test).padded(LARGE);
    this.config = config;
    this.trainedOn =
        train.count() + " images of " + train.height() + "x" + train.width() + ", " + train.hash();
  }

  private static Dataset checked(Dataset data) {
    boolean fits = data.height() <= LARGE && data.width() <= LARGE;
    if (data.channels() != 1 || data.classes() != DigitClassifier.CLASSES || !fits) {
      throw new DataException(
          "features: grey digits of at most 32×32 with labels 0 to 9 are needed, these are "
              + data);
    }
    return data;
  }

  /** Trains, tests and gathers. */
  public Result run() {
    Rng rng = Rng.of(config.seed());
    DigitClassifier classifier = DigitClassifier.random(device, rng.split(0));
    int perEpoch = Math.max(1, train.count() / config.batch());
    long total = (long) perEpoch * config.epochs();
    LrSchedule schedule =
        LrSchedule.cosineToZero(total).times(LrSchedule.warmUp(Math.min(WARM_UP_STEPS, total)));
    AdamW.Config adam = AdamW.Config.of(config.learningRate()).withWeightDecay(0.01f);
    try (AdamW optimizer = new AdamW(classifier.params(), adam);
        Steps steps = new Steps(classifier, optimizer);
        ProgressBar progress = ProgressBar.of("features", 0, total)) {
      long step = 0;
      for (int epoch = 0; epoch < config.epochs(); epoch++) {
        Rng draw = rng.split(1 + epoch);
        int[] order = draw.permutation(train.count());
        for (int b = 0; b < perEpoch; b++) {
          int[] indices = new int[Math.min(config.batch(), order.length)];
          System.arraycopy(order, b * indices.length, indices, 0, indices.length);
          steps.run(indices, draw, (float) schedule.scale(step));
          step++;
          if (steps.areFull() || step == total) {
            steps.read(step, progress);
          }
        }
      }
    }
    double accuracy = accuracy(classifier);
    FeatureStatistics reference =
        FeatureStatistics.of(classifier.features(device, train, 0, train.count()));
    return new Result(classifier, accuracy, reference, trainedOn);
  }

  /** Steps for which the host does not wait on a GPU: their losses stay there until read. */
  private final class Steps implements AutoCloseable {
    private final DigitClassifier classifier;
    private final AdamW optimizer;
    private final int capacity = device.isAsynchronous() ? READ_EVERY : 1;
    private final Replay replay = device.replay();
    private final Tensor log = own(2 * capacity);
    private final Tensor stopped = own(1);
    private int count;
    private int images;

    Steps(DigitClassifier classifier, AdamW optimizer) {
      this.classifier = classifier;
      this.optimizer = optimizer;
    }

    private Tensor own(int length) {
      Tensor tensor = Tensor.zeros(device, Shape.of(length));
      tensor.buffer().hold();
      return tensor;
    }

    boolean areFull() {
      return count == capacity;
    }

    void run(int[] indices, Rng rng, float rate) {
      float[] batch = shifted(indices, rng);
      int slot = count++;
      images += indices.length;
      replay.run(
          () -> {
            try (Scope scope = Scope.open()) {
              train(batch, indices, rate, slot);
            }
          });
    }

    private void train(float[] batch, int[] indices, float rate, int slot) {
      classifier.params().zeroGradients();
      Tensor loss;
      try (Tape tape = Tape.open(classifier.params().list())) {
        int side = DigitClassifier.SIDE;
        Var x = tape.input(Tensor.of(device, Shape.of(indices.length, side, side, 1), batch));
        Var recorded = classifier.logits(classifier.features(x)).crossEntropy(labels(indices));
        tape.backward(recorded);
        loss = tape.keep(recorded).value();
      }
      Buffer norm = device.allocate(DType.F32, 1);
      classifier.params().globalNorm(norm);
      Tensor scale = Tensor.empty(device, Shape.of());
      device.execute(
          new ClipScale(
              norm,
              1,
              loss.buffer(),
              Double.POSITIVE_INFINITY,
              stopped.buffer(),
              log.buffer(),
              slot,
              scale.buffer()));
      optimizer.step(rate, scale, null);
    }

    /** Waits for the steps and shows the last loss. */
    void read(long step, ProgressBar progress) {
      float[] numbers = log.toFloats();
      for (int i = 0; i < count; i++) {
        if (!Float.isFinite(numbers[2 * i]) || !Float.isFinite(numbers[2 * i + 1])) {
          throw new DataException(
              String.format(
                  Locale.ROOT,
                  "features: step %d has the loss %f and a gradient of norm %f; both must be finite",
                  step - count + i,
                  numbers[2 * i],
                  numbers[2 * i + 1]));
        }
      }
      progress.update(step, numbers[2 * count - 2], images);
      count = 0;
      images = 0;
    }

    @Override
    public void close() {
      replay.close();
      log.close();
      stopped.close();
    }
  }

  private Tensor labels(int[] indices) {
    return train.labels(device, indices);
  }

  /** The named digits, shifted and halved to 16×16. */
  private float[] shifted(int[] indices, Rng rng) {
    int side = DigitClassifier.SIDE;
    float[] batch = new float[indices.length * side * side];
    float[] image = new float[LARGE * LARGE];
    for (int n = 0; n < indices.length; n++) {
      train.image(indices[n], image, 0);
      int dy = rng.nextInt(2 * LARGEST_SHIFT + 1) - LARGEST_SHIFT;
      int dx = rng.nextInt(2 * LARGEST_SHIFT + 1) - LARGEST_SHIFT;
      for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
          int top = 2 * y + dy;
          int left = 2 * x + dx;
          batch[(n * side + y) * side + x] =
              0.25f
                  * (pixel(image, top, left)
                      + pixel(image, top, left + 1)
                      + pixel(image, top + 1, left)
                      + pixel(image, top + 1, left + 1));
        }
      }
    }
    return batch;
  }

  private static float pixel(float[] image, int y, int x) {
    boolean inside = y >= 0 && y < LARGE && x >= 0 && x < LARGE;
    return inside ? image[y * LARGE + x] : Dataset.BLACK;
  }

  private double accuracy(DigitClassifier classifier) {
    int right = 0;
    for (int from = 0; from < test.count(); from += FeatureExtractor.BATCH) {
      int[] indices = Dataset.range(from, Math.min(test.count(), from + FeatureExtractor.BATCH));
      try (Scope scope = Scope.open()) {
        int[] predicted = classifier.predict(test.images(device, indices));
        for (int i = 0; i < predicted.length; i++) {
          right += predicted[i] == test.label(indices[i]) ? 1 : 0;
        }
      }
    }
    return (double) right / test.count();
  }
}
