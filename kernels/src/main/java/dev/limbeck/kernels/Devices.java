package dev.limbeck.kernels;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** The shared devices of the process, opened on first use. */
final class Devices {
  private static final Map<String, Device> OPEN = new LinkedHashMap<>();

  private Devices() {}

  static synchronized Device of(String name) {
    String id = name;
    for (DeviceProvider provider : Device.providers()) {
      if (provider.id().equals(family(name))) {
        id = provider.canonical(name);
      }
    }
    Device device = OPEN.get(id);
    if (device == null) {
      device = open(id);
      OPEN.put(id, device);
    }
    return device;
  }

  /** Forgets a device that was closed, so that the next request opens a fresh one. */
  static synchronized void forget(Device device) {
    OPEN.values().remove(device);
  }

  private static String family(String id) {
    return id.contains(":") ? id.substring(0, id.indexOf(':')) : id;
  }

  private static Device open(String id) {
    for (DeviceProvider provider : Device.providers()) {
      if (provider.id().equals(family(id))) {
        Optional<String> reason = provider.unavailable();
        if (reason.isPresent()) {
          throw new DeviceUnavailableException("device " + id + ": " + reason.get());
        }
        return provider.open(id);
      }
    }
    String known =
        Device.providers().stream().map(DeviceProvider::id).collect(Collectors.joining(", "));
    throw new DeviceUnavailableException("there is no device \"" + id + "\"; known are: " + known);
  }

  static Device best() {
    DeviceProvider chosen = null;
    StringBuilder refused = new StringBuilder();
    for (DeviceProvider provider : Device.providers()) {
      Optional<String> reason = provider.unavailable();
      if (reason.isPresent()) {
        refused.append("; not ").append(provider.id()).append(": ").append(reason.get());
      } else if (chosen == null || provider.rank() > chosen.rank()) {
        chosen = provider;
      }
    }
    if (chosen == null) {
      throw new DeviceUnavailableException("no device is available" + refused);
    }
    Device device = of(chosen.id());
    System.err.println("device " + device.id() + ": " + device.description() + refused);
    return device;
  }

  static void checkFinite(Kernel kernel) {
    for (Buffer buffer : kernel.buffers()) {
      if (buffer == null || buffer.type() != DType.F32 || buffer.isClosed()) {
        continue;
      }
      float[] host = new float[buffer.length()];
      buffer.download(host, 0);
      for (int i = 0; i < host.length; i++) {
        if (!Float.isFinite(host[i])) {
          throw new ArithmeticException(kernel.name() + ": element " + i + " is " + host[i]);
        }
      }
    }
  }
}
