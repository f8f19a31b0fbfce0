package dev.limbeck.bench;

import dev.limbeck.kernels.Device;
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
  /** The property that names the device to measure, as in {@code cuda:0}. */
  public static final String DEVICE = "limbeck.bench.device";

  /** Threads of the device. */
  @Param("1")
  public int threads;

  private Device device;

  /**
   * Opens the CPU, or what {@code -Dlimbeck.bench.device} names. Fails where the CPU's vector path
   * is not active: such a number would mean nothing.
   */
  @Setup
  public final void open() {
    String name = System.getProperty(DEVICE, "cpu");
    if (name.equals("cpu")) {
      CpuDevice cpu = CpuDevice.open(true, threads);
      device = cpu;
      if (!cpu.isSimd()) {
        throw new IllegalStateException("no vector path: " + cpu.description());
      }
    } else {
      device = Device.of(name);
    }
    build();
  }

  /** Makes what is measured; not a {@code @Setup} itself, because those have no order. */
  protected abstract void build();

  /** Lets go of what was made in {@link #build}, where that does not end with the device. */
  protected void end() {}

  /** Ends the device's threads. */
  @TearDown
  public final void close() {
    device.synchronize();
    end();
    device.close();
  }

  final Device device() {
    return device;
  }
}
