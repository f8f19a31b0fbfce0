package dev.limbeck.bench;

import dev.limbeck.kernels.op.Conv2d;
import dev.limbeck.kernels.op.Conv2dDims;
import dev.limbeck.kernels.op.Conv2dInputGradient;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.kernels.op.Conv2dWeightGradient;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/**
 * Convolution and its gradients; {@code gflop} counts what the direct algorithm would do, whichever
 * runs.
 */
public class Conv2dBench extends KernelBench {
  /** Images, side, channels in and out, side of the kernel, stride. */
  @Param({
    "64x16x32x32x3x1",
    "64x8x64x64x3x1",
    "16x32x64x64x3x1",
    "16x16x256x256x3x1",
    "1x64x320x320x3x1",
    "16x32x128x128x3x2",
    "16x16x256x512x1x1",
    "64x16x1x32x3x1",
    "64x16x32x1x3x1",
    "3x17x33x47x3x1",
    "2x15x24x40x5x2"
  })
  public String shape;

  /** What chooses the algorithm: auto, direct or winograd. */
  @Param("AUTO")
  public Conv2d.Algorithm algorithm = Conv2d.Algorithm.AUTO;

  private Checked forward;
  private Checked inputGradient;
  private Checked weightGradient;

  @Override
  protected void build() {
    Conv2d.force(algorithm);
    int[] s = sizes(shape, "images x side x in x out x kernel x stride");
    int pad = (s[4] - 1) / 2;
    Conv2dDims dims =
        new Conv2dDims(
            s[0],
            s[1],
            s[1],
            s[2],
            s[3],
            s[4],
            s[4],
            new Conv2dSpec(s[5], s[5], pad, pad, pad, pad));
    int x = dims.inPixels() * dims.c();
    int y = dims.outPixels() * dims.o();
    int w = dims.o() * dims.taps();
    forward =
        checked(
            o -> new Conv2d(dims, o.input(x), o.input(w), o.input(dims.o()), null, o.result(y)));
    inputGradient =
        checked(o -> new Conv2dInputGradient(dims, o.input(y), o.input(w), o.result(x)));
    weightGradient =
        checked(o -> new Conv2dWeightGradient(dims, o.input(x), o.input(y), o.result(w), false));
  }

  /** The convolution. */
  @Benchmark
  public void forward(Work work) {
    run(forward, work);
  }

  /** The gradient of its input. */
  @Benchmark
  public void inputGradient(Work work) {
    run(inputGradient, work);
  }

  /** The gradient of its weight. */
  @Benchmark
  public void weightGradient(Work work) {
    run(weightGradient, work);
  }
}
