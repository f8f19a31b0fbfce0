package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.data.Datasets;
import picocli.CommandLine.Option;

/** Which images to work with. */
final class DataOption {
  @Option(
      names = "--data",
      paramLabel = "PATH|NAME",
      defaultValue = Datasets.MNIST,
      description =
          "A file or folder (IDX, PNG/JPEG with one folder per class, CIFAR-10, NPY, NPZ,"
              + " safetensors), or mnist: the embedded digits (default: ${DEFAULT-VALUE}). distill also takes"
              + " toy:ring, toy:grid, toy:spiral, toy:gaussian, toy:FILE.json: mixtures of normal"
              + " distributions.")
  private String data;

  /** What was asked for, as {@link Datasets#open} takes it. */
  String data() {
    return data;
  }
}
