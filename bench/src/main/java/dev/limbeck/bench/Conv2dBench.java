package dev.limbeck.bench;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.kernels.op.Conv2d;
import dev.limbeck.kernels.op.Conv2dDims;
import dev.limbeck.kernels.op.Conv2dInputGradient;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.kernels.op.Conv2dWeightGradient;
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

/**
 * Measures 3×3 convolution and its gradients; {@code gflop} counts what the direct algorithm would
 * do, in 10⁹ operations per second, whichever algorithm runs.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(
    value = 1,
    jvmArgsAppend = {"--add-modules=jdk.incubator.vector", "-XX:ObjectAlignmentInBytes=64"})
public class Conv2dBench {
  /** Images × side × channels in × channels out, as they occur in small and medium UNets. */
  @Param({
    "128x16x32x32",
    "128x8x64x64",
    "128x4x128x128",
    "64x8x96x64",
    "16x32x64x64",
    "4x16x256x256",
    "128x16x1x32",
    "128x16x32x1"
  })
  public String shape;

  /** What chooses the algorithm: auto, direct or winograd. */
  @Param("AUTO")
  public Conv2d.Algorithm algorithm;

  /** Threads of the device. */
  @Param("1")
  public int threads;

  private CpuDevice device;
  private double gflop;
  private Conv2d forward;
  private Conv2dInputGradient inputGradient;
  private Conv2dWeightGradient weightGradient;

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
    Conv2d.force(algorithm);
    String[] sizes = shape.split("x", -1);
    int side = Integer.parseInt(sizes[1]);
    int in = Integer.parseInt(sizes[2]);
    int out = Integer.parseInt(sizes[3]);
    Conv2dDims dims =
        new Conv2dDims(Integer.parseInt(sizes[0]), side, side, in, out, 3, 3, Conv2dSpec.same(3));
    Buffer x = Operands.random(device, dims.inPixels() * in);
    Buffer w = Operands.random(device, out * dims.taps());
    Buffer bias = Operands.random(device, out);
    Buffer y = Operands.random(device, dims.outPixels() * out);
    Buffer dx = Operands.random(device, dims.inPixels() * in);
    Buffer dw = Operands.random(device, out * dims.taps());
    forward = new Conv2d(dims, x, w, bias, y);
    inputGradient = new Conv2dInputGradient(dims, y, w, dx);
    weightGradient = new Conv2dWeightGradient(dims, x, y, dw, false);
    gflop = 2e-9 * dims.outPixels() * out * dims.taps();
  }

  /** The convolution. */
  @Benchmark
  public void forward(Work work) {
    device.execute(forward);
    work.gflop += gflop;
  }

  /** The gradient of its input. */
  @Benchmark
  public void inputGradient(Work work) {
    device.execute(inputGradient);
    work.gflop += gflop;
  }

  /** The gradient of its weight. */
  @Benchmark
  public void weightGradient(Work work) {
    device.execute(weightGradient);
    work.gflop += gflop;
  }

  /** Ends the device's threads. */
  @TearDown
  public void close() {
    device.close();
  }
}
