package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.data.Split;
import dev.limbeck.distillation.metrics.FeatureTraining;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Trains the digit classifier whose features the metrics compare. */
@Command(
    name = "train-features",
    description = {
      "Trains the digit classifier whose features the metrics compare, and gathers the statistics"
          + " of the training digits.",
      "--data takes a folder with the training and the test digits of MNIST (IDX)."
    },
    mixinStandardHelpOptions = true)
final class TrainFeaturesCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;
  @Mixin private DataOption data;
  @Mixin private OutOption out;
  @Mixin private SeedOption seed;

  @Option(names = "--epochs", paramLabel = "N", description = "Passes over the training digits.")
  private Integer epochs;

  @Override
  public Integer call() throws IOException {
    FeatureTraining.Config standard = FeatureTraining.Config.standard();
    int passes = epochs == null ? standard.epochs() : epochs;
    if (passes < 1) {
      throw new ParameterException(
          spec.commandLine(), "--epochs is " + passes + "; at least 1 is needed");
    }
    FeatureTraining.Config config =
        new FeatureTraining.Config(passes, standard.batch(), standard.learningRate(), seed.seed());
    Dataset train = Datasets.open(data.data(), Split.TRAIN);
    Dataset test = Datasets.open(data.data(), Split.TEST);
    Path folder = out.folder("features");
    FeatureTraining.Result result = new FeatureTraining(device.open(), train, test, config).run();
    result.save(folder);
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "%s: %.2f %% of %d test digits told rightly, features %s%n",
            folder,
            100 * result.testAccuracy(),
            test.count(),
            result.classifier().hash());
    return 0;
  }
}
