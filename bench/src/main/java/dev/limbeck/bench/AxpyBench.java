package dev.limbeck.bench;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.Axpy;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
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

/**
 * Measures y ← a·x + y on one thread: what memory allows, the yardstick for elementwise kernels.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 1,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "-XX:ObjectAlignmentInBytes=64"})
public class AxpyBench {
  /** Elements: within the second-level cache, and far beyond every cache. */
  @Param({"16384", "16777216"})
  public int length;

  private CpuDevice device;
  private Axpy kernel;

  /** Fails where the vector path is not active: such a number would mean nothing. */
  @Setup
  public void open() {
    device = CpuDevice.open(true, 1);
    if (!device.isSimd()) {
      throw new IllegalStateException("no vector path: " + device.description());
    }
    Buffer x = device.allocate(DType.F32, length);
    Buffer y = device.allocate(DType.F32, length);
    float[] ones = new float[length];
    Arrays.fill(ones, 1f);
    x.upload(ones, 0);
    y.upload(ones, 0);
    kernel = new Axpy(1e-6f, x, y);
  }

  /** One pass. */
  @Benchmark
  public void axpy() {
    device.execute(kernel);
  }

  /** Ends the device's threads. */
  @TearDown
  public void close() {
    device.close();
  }
}
