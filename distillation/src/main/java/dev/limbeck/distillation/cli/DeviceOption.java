package dev.limbeck.distillation.cli;

import dev.limbeck.kernels.Device;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Where to compute. */
final class DeviceOption {
  @Mixin private ThreadsOption threads;

  @Option(
      names = "--device",
      paramLabel = "NAME",
      defaultValue = "auto",
      description = "auto, cpu or cuda[:i] (default: ${DEFAULT-VALUE}, the fastest there is).")
  private String name;

  /** Threads that the CPU device has. */
  int count() {
    return threads.count();
  }

  /** Opens the device; prints one line that says which it is. */
  Device open() {
    threads.apply();
    if (name.toLowerCase(Locale.ROOT).equals("auto")) {
      return Device.best();
    }
    Device device = Device.of(name);
    System.err.println("device " + device.id() + ": " + device.description());
    return device;
  }
}
