package dev.limbeck.bench;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.MatMul;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
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

/** Measures the product of two square matrices; {@code gflop} is in 10⁹ operations per second. */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 1,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "-XX:ObjectAlignmentInBytes=64"})
public class MatMulBench {
  /** Rows and columns. */
  @Param({"512", "1024", "2048"})
  public int size;

  /** Threads of the device. */
  @Param("1")
  public int threads;

  private CpuDevice device;
  private MatMul kernel;

  /** Operations done, which JMH divides by the time. */
  @AuxCounters
  @State(Scope.Thread)
  public static class Work {
    /** Multiplications and additions, in 10⁹. */
    public double gflop;
  }

  /** Fails where the vector path is not active: such a number would mean nothing. */
  @Setup
  public void open() {
    device = Operands.open(threads);
    Buffer a = Operands.random(device, size * size);
    Buffer b = Operands.random(device, size * size);
    Buffer c = Operands.random(device, size * size);
    kernel = new MatMul(1, size, size, size, a, false, b, false, null, c, false);
  }

  /** One product. */
  @Benchmark
  public void matmul(Work work) {
    device.execute(kernel);
    work.gflop += 2e-9 * size * size * size;
  }

  /** Ends the device's threads. */
  @TearDown
  public void close() {
    device.close();
  }
}
