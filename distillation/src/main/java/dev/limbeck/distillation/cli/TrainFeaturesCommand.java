package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.data.Split;
import dev.limbeck.distillation.metrics.DigitClassifier;
import dev.limbeck.distillation.metrics.FeatureTraining;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Trains the feature network and gathers its reference statistics. */
@Command(
    name = "train-features",
    description =
        "Trains the digit classifier whose features the metrics compare, and writes it beside the"
            + " statistics of its training digits.",
    mixinStandardHelpOptions = true)
final class TrainFeaturesCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;
  @Mixin private DataOption data;
  @Mixin private SeedOption seed;
  @Mixin private OutOption out;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      defaultValue = "6",
      description = "Passes over the training digits (default: ${DEFAULT-VALUE}).")
  private int epochs;

  @Override
  public Integer call() throws IOException {
    FeatureTraining.Config standard = FeatureTraining.Config.standard();
    FeatureTraining.Config config =
        new FeatureTraining.Config(
            Math.max(1, epochs), standard.batch(), standard.learningRate(), seed.seed());
    Dataset train = Datasets.open(data.data(), Split.TRAIN);
    Dataset test = Datasets.open(data.data(), Split.TEST);
    Path folder = out.folder("features");
    FeatureTraining.Result result = new FeatureTraining(device.open(), train, test, config).run();
    result.save(folder);
    PrintWriter text = spec.commandLine().getOut();
    try (DigitClassifier classifier = result.classifier()) {
      text.printf(
          "test accuracy %.2f %% of %d digits%s, extractor %s, written to %s%n",
          100 * result.testAccuracy(),
          test.count(),
          train.hash().equals(test.hash()) ? " (the training digits themselves)" : "",
          classifier.hash(),
          folder);
    }
    return 0;
  }
}
