package dev.limbeck.bench;

import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.Resample;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Images made smaller and larger. */
public class ResampleBench extends KernelBench {
  /** Images, side, channels. */
  @Param({"64x16x32", "16x32x128", "1x64x320", "3x14x30"})
  public String shape;

  private int[] s;
  private Checked average;
  private Checked nearest;
  private Checked bilinear;

  @Override
  protected void build() {
    s = sizes(shape, "images x side x channels");
    average = checked(o -> resample(o, Resample.Axis.average(s[1], 2)));
    nearest = checked(o -> resample(o, Resample.Axis.nearest(s[1], 2 * s[1])));
    bilinear = checked(o -> resample(o, Resample.Axis.bilinear(s[1], 2 * s[1])));
  }

  private Kernel resample(Operands o, Resample.Axis axis) {
    return new Resample(
        s[0],
        s[2],
        axis,
        axis,
        o.input(s[0] * s[1] * s[1] * s[2]),
        o.result(s[0] * axis.out() * axis.out() * s[2]));
  }

  /** Half the side, by means of four. */
  @Benchmark
  public void average(Work work) {
    run(average, work);
  }

  /** Twice the side, by repetition. */
  @Benchmark
  public void nearest(Work work) {
    run(nearest, work);
  }

  /** Twice the side, by interpolation. */
  @Benchmark
  public void bilinear(Work work) {
    run(bilinear, work);
  }
}
