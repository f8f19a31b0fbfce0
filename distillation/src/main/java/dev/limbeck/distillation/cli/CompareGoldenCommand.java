package dev.limbeck.distillation.cli;

import dev.limbeck.nn.GoldenComparison;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Runs a network that PyTorch ran before, forward and backward, and shows the worst errors. */
@Command(
    name = "compare-golden",
    description = {
      "Runs a diffusers UNet2DModel forward and backward and shows the worst relative errors against"
          + " the numbers stored with it.",
      "The exit status is 0 only if every error is below 1e-4."
    },
    mixinStandardHelpOptions = true)
final class CompareGoldenCommand implements Callable<Integer> {
  private static final double LIMIT = 1e-4;

  @Spec private CommandSpec spec;
  @Mixin private DeviceOption device;

  @Parameters(
      paramLabel = "FILE",
      description =
          "Weights, inputs, outputs and gradients (safetensors); the configuration is in its"
              + " metadata, or beside it as .json.")
  private Path file;

  @Override
  public Integer call() throws IOException {
    GoldenComparison found = GoldenComparison.of(file, device.open());
    PrintWriter out = spec.commandLine().getOut();
    out.printf("output              %.2e%n", found.outputError());
    out.printf("input gradient      %.2e%n", found.inputGradientError());
    out.printf(
        "parameter gradient  %.2e  %s%n", found.worstParameterError(), found.worstParameter());
    if (found.worst() < LIMIT) { // false for NaN
      return 0;
    }
    throw new IllegalArgumentException(
        String.format("%s: the worst error is %.2e, not below %.0e", file, found.worst(), LIMIT));
  }
}
