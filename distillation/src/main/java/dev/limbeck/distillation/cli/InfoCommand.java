package dev.limbeck.distillation.cli;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceProvider;
import java.io.PrintWriter;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** Says what there is: devices, vector width, versions. */
@Command(
    name = "info",
    description = "Shows devices, vector width and versions.",
    mixinStandardHelpOptions = true)
final class InfoCommand implements Runnable {
  @Spec private CommandSpec spec;
  @Mixin private ThreadsOption threads;

  @Override
  public void run() {
    threads.apply();
    PrintWriter out = spec.commandLine().getOut();
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
