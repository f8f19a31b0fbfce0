package dev.limbeck.distillation.cli;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceProvider;
import dev.limbeck.tensor.TensorFile;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Says what there is: devices, vector width, versions; or what is in a checkpoint. */
@Command(
    name = "info",
    description = "Shows devices, vector width and versions, or what is in a checkpoint.",
    mixinStandardHelpOptions = true)
final class InfoCommand implements Callable<Integer> {
  /** Longer values of metadata (whole configurations) are cut here. */
  private static final int WIDTH = 160;

  @Spec private CommandSpec spec;
  @Mixin private ThreadsOption threads;

  @Parameters(
      arity = "0..*",
      paramLabel = "FILE",
      description = "Checkpoints (safetensors) to look into.")
  private List<Path> files = List.of();

  @Override
  public Integer call() throws IOException {
    PrintWriter out = spec.commandLine().getOut();
    if (files.isEmpty()) {
      machine(out);
    }
    for (Path file : files) {
      contents(out, file);
    }
    return 0;
  }

  private static void contents(PrintWriter out, Path path) throws IOException {
    try (TensorFile file = TensorFile.open(path)) {
      long numbers = 0;
      for (String name : file.names()) {
        numbers += file.shape(name).size();
      }
      out.printf(
          "%s: %d tensors, %,d numbers, %,d bytes%n",
          path, file.names().size(), numbers, Files.size(path));
      file.metadata()
          .forEach((key, value) -> out.println("  " + key + " = " + cut(Failure.oneLine(value))));
      for (String name : file.names()) {
        TensorFile.Entry entry = file.entry(name);
        out.printf("  %-4s %-20s %s%n", entry.type(), entry.shape(), entry.name());
      }
    }
  }

  private static String cut(String text) {
    return text.length() <= WIDTH ? text : text.substring(0, WIDTH) + "…";
  }

  private void machine(PrintWriter out) {
    threads.apply();
    out.println("limbeck " + Versions.limbeck());
    out.println(
        "java    "
            + System.getProperty("java.vm.version")
            + ", "
            + System.getProperty("java.vm.vendor")
            + ", heap up to "
            + (Runtime.getRuntime().maxMemory() >> 20)
            + " MB");
    out.println("system  " + System.getProperty("os.name") + " " + System.getProperty("os.arch"));
    for (DeviceProvider provider : Device.providers()) {
      Optional<String> reason = provider.unavailable();
      String what =
          reason.isPresent()
              ? "not available: " + reason.get()
              : Device.of(provider.id()).description();
      out.printf("%-7s %s%n", provider.id(), what);
    }
  }
}
