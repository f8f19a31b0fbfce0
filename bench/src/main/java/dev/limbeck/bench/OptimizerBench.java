package dev.limbeck.bench;

import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.AdamStep;
import dev.limbeck.kernels.op.MovingAverage;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Passes over all parameters of a network. */
public class OptimizerBench extends KernelBench {
  /** Parameters: the network of the main job, and about as many as DDPM++ has for CIFAR-10. */
  @Param({"435089", "55700000"})
  public String shape;

  private Checked adam;
  private Checked adamWithAverage;
  private Checked average;

  @Override
  protected void build() {
    int n = sizes(shape, "parameters")[0];
    adam = checked(o -> step(o, n, false));
    adamWithAverage = checked(o -> step(o, n, true));
    average = checked(o -> new MovingAverage(0.001f, o.input(n), o.result(n)));
  }

  private static Kernel step(Operands o, int n, boolean averaged) {
    return new AdamStep(
        new AdamStep.Coefficients(1, 0.9f, 0.999f, 0, 1e-6f, 1, 1e-8f, true, 0.001f),
        o.result(n),
        o.input(n),
        o.result(n),
        o.result(n),
        averaged ? o.result(n) : null);
  }

  /** AdamW. */
  @Benchmark
  public void adam(Work work) {
    run(adam, work);
  }

  /** AdamW and a moving average in one pass. */
  @Benchmark
  public void adamWithAverage(Work work) {
    run(adamWithAverage, work);
  }

  /** A moving average alone. */
  @Benchmark
  public void average(Work work) {
    run(average, work);
  }
}
