package dev.limbeck.bench;

import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.GlobalNorm;
import dev.limbeck.kernels.op.Reduce;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Sums, maxima and the norm of everything. */
public class ReduceBench extends KernelBench {
  /** What lies before the axis, along it and behind it. */
  @Param({"4096x320x1", "16x256x128", "1x4194304x1", "37x101x3"})
  public String shape;

  private Checked sum;
  private Checked max;
  private Checked norm;

  @Override
  protected void build() {
    int[] s = sizes(shape, "outer x count x inner");
    int n = s[0] * s[1] * s[2];
    sum = checked(o -> reduce(Reduce.Op.SUM, o, s));
    max = checked(o -> reduce(Reduce.Op.MAX, o, s));
    norm = checked(o -> new GlobalNorm(o.input(n), o.result(1)));
  }

  private static Kernel reduce(Reduce.Op op, Operands o, int[] s) {
    return new Reduce(
        op, 1, o.positive(s[0] * s[1] * s[2]), o.result(s[0] * s[2]), s[0], s[1], s[2]);
  }

  /** The sum along the axis. */
  @Benchmark
  public void sum(Work work) {
    run(sum, work);
  }

  /** The largest along the axis. */
  @Benchmark
  public void max(Work work) {
    run(max, work);
  }

  /** The root of the sum of all squares. */
  @Benchmark
  public void norm(Work work) {
    run(norm, work);
  }
}
