package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.Evaluation;
import dev.limbeck.distillation.Generation;
import dev.limbeck.distillation.Model;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.metrics.DigitClassifier;
import dev.limbeck.distillation.metrics.FeatureStatistics;
import dev.limbeck.distillation.metrics.FrechetDistance;
import dev.limbeck.distillation.metrics.KernelDistance;
import dev.limbeck.distillation.metrics.ModeHistogram;
import dev.limbeck.distillation.metrics.PrecisionRecall;
import dev.limbeck.distillation.metrics.SlicedWasserstein;
import dev.limbeck.distillation.report.ProgressBar;
import dev.limbeck.kernels.Device;
import java.io.PrintWriter;
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

/** Measures the samples of a checkpoint against real images. */
@Command(
    name = "evaluate",
    description = {
      "Measures the samples of a checkpoint against real images, by the features of a digit"
          + " classifier.",
      "The Fréchet distance to the embedded digits is taken against the 60,000 training digits."
    },
    mixinStandardHelpOptions = true)
final class EvaluateCommand implements Callable<Integer> {
  private static final int DIRECTIONS = 128;

  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;
  @Mixin private DataOption data;
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
      names = "--samples",
      paramLabel = "N",
      defaultValue = "5000",
      description = "How many images to draw (default: ${DEFAULT-VALUE}).")
  private int samples;

  @Override
  public Integer call() {
    if (samples < 2) {
      throw new ParameterException(
          spec.commandLine(), "--samples is " + samples + "; at least 2 are needed");
    }
    Device opened = device.open();
    Model model = Model.load(checkpoint, opened).in(precision.precision());
    Generation generation = sampler.generation(model);
    Dataset real = Datasets.open(data.data()).fitted(model.image().dim(0));
    Evaluation evaluation =
        data.data().equals(Datasets.MNIST)
            ? Evaluation.againstDigits(opened, samples)
            : Evaluation.against(opened, real, data.data(), samples);
    Dataset some = real.spread(Math.min(samples, real.count()));
    long start = System.nanoTime();
    Dataset drawn = draw(opened, generation);
    double seconds = (System.nanoTime() - start) / 1e9 / samples;
    report(opened, evaluation, some, drawn, generation.sampler().evaluations(), seconds);
    return 0;
  }

  private Dataset draw(Device opened, Generation generation) {
    int[] last = {0};
    try (ProgressBar bar = ProgressBar.of("samples", 0, samples)) {
      return generation.draw(
          opened,
          seed.seed(),
          samples,
          done -> {
            bar.update(done, Double.NaN, done - last[0]);
            last[0] = done;
          });
    }
  }

  private void report(
      Device opened,
      Evaluation evaluation,
      Dataset real,
      Dataset drawn,
      int evaluations,
      double seconds) {
    float[][] realFeatures = evaluation.extractor().features(opened, real, 0, real.count());
    float[][] features = evaluation.extractor().features(opened, drawn, 0, drawn.count());
    PrintWriter out = spec.commandLine().getOut();
    line(out, "evaluations an image", "%d", evaluations);
    line(out, "seconds an image", "%.5f", seconds);
    line(out, "Fréchet distance", "%.3f", distance(features, evaluation));
    line(out, "  of real images", "%.3f", distance(realFeatures, evaluation));
    KernelDistance kernel = KernelDistance.between(features, realFeatures);
    line(out, "kernel distance", "%.5f ± %.5f", kernel.value(), kernel.standardError());
    PrecisionRecall inside = PrecisionRecall.of(realFeatures, features);
    line(out, "precision", "%.3f", inside.precision());
    line(out, "recall", "%.3f", inside.recall());
    double sliced = SlicedWasserstein.between(realFeatures, features, DIRECTIONS, 0);
    line(out, "sliced Wasserstein", "%.4f", sliced);
    if (evaluation.extractor() instanceof DigitClassifier digits) {
      modes(out, digits, features, drawn);
    }
    out.printf(
        "%d samples, seed %d; Fréchet distances against %s, the rest against %d images of %s;"
            + " features %s%n",
        samples,
        seed.seed(),
        evaluation.referenceText(),
        real.count(),
        data.data(),
        evaluation.extractor().hash());
  }

  private static double distance(float[][] features, Evaluation evaluation) {
    return FrechetDistance.between(FeatureStatistics.of(features), evaluation.reference());
  }

  private static void modes(
      PrintWriter out, DigitClassifier digits, float[][] features, Dataset drawn) {
    int[] told = digits.predict(features);
    int classes = Math.max(10, drawn.classes());
    line(out, "images by digit", "%s", Arrays.toString(ModeHistogram.of(told, classes).counts()));
    if (drawn.classes() > 0) {
      int right = 0;
      for (int i = 0; i < told.length; i++) {
        right += told[i] == drawn.label(i) ? 1 : 0;
      }
      line(out, "of the class asked for", "%.2f %%", 100.0 * right / told.length);
    }
  }

  private static void line(PrintWriter out, String what, String format, Object... values) {
    out.printf("%-22s %s%n", what, String.format(Locale.ROOT, format, values));
  }
}
