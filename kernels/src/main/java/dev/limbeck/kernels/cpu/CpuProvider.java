package dev.limbeck.kernels.cpu;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceProvider;
import java.util.Optional;

/** Opens the CPU device; {@code -Dlimbeck.threads=N} and {@code -Dlimbeck.simd=off} shape it. */
public final class CpuProvider implements DeviceProvider {
  @Override
  public String id() {
    return "cpu";
  }

  @Override
  public int rank() {
    return 0;
  }

  @Override
  public Optional<String> unavailable() {
    return Optional.empty();
  }

  @Override
  public Device open(String id) {
    int threads = Integer.getInteger("limbeck.threads", Runtime.getRuntime().availableProcessors());
    if (threads < 1) {
      throw new IllegalArgumentException(
          "limbeck.threads is " + threads + "; at least 1 is needed");
    }
    return new CpuDevice(id, SimdSupport.available(), threads);
  }
}
