package dev.limbeck.bench;

import dev.limbeck.kernels.cpu.CpuDevice;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** What all benchmarks share: how they are run, and a device of their own. */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 4, time = 1)
@Fork(
    value = 1,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "-XX:ObjectAlignmentInBytes=64"})
public abstract class DeviceBench {
  /** Threads of the device. */
  @Param("1")
  public int threads;

  private CpuDevice device;

  /** Fails where the vector path is not active: such a number would mean nothing. */
  @Setup
  public final void open() {
    device = CpuDevice.open(true, threads);
    if (!device.isSimd()) {
      throw new IllegalStateException("no vector path: " + device.description());
    }
    build();
  }

  /** Opens a device, on whichever path, for a look at what would be measured. */
  final void look() {
    device = CpuDevice.open(true, 1);
    build();
  }

  /** Makes what is measured; not a {@code @Setup} itself, because those have no order. */
  protected abstract void build();

  /** Ends the device's threads. */
  @TearDown
  public final void close() {
    device.close();
  }

  final CpuDevice device() {
    return device;
  }
}
