package dev.limbeck.bench;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.RowNorm;
import dev.limbeck.kernels.op.RowNormGrad;
import dev.limbeck.kernels.op.Softmax;
import dev.limbeck.kernels.op.SoftmaxGrad;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Layer normalisation and softmax along rows, and their gradients. */
public class RowsBench extends KernelBench {
  private static final float EPSILON = 1e-5f;

  /** Rows and columns. */
  @Param({"4096x320", "1024x640", "64x1000", "37x1001"})
  public String shape;

  private int rows;
  private int columns;
  private Checked layerNorm;
  private Checked layerNormGradient;
  private Checked softmax;
  private Checked softmaxGradient;

  @Override
  protected void build() {
    int[] s = sizes(shape, "rows x columns");
    rows = s[0];
    columns = s[1];
    int n = rows * columns;
    layerNorm = checked(this::norm);
    layerNormGradient = checked(this::normGradient);
    softmax = checked(o -> new Softmax(false, o.input(n), o.result(n), rows, columns));
    softmaxGradient =
        checked(o -> new SoftmaxGrad(false, o.input(n), o.positive(n), o.result(n), rows, columns));
  }

  private RowNorm norm(Operands o) {
    int n = rows * columns;
    return new RowNorm(
        columns,
        true,
        EPSILON,
        o.input(n),
        o.input(columns),
        o.input(columns),
        o.result(n),
        o.result(rows),
        o.result(rows));
  }

  private Kernel normGradient(Operands o) {
    RowNorm forward = norm(o);
    forward.x().device().execute(forward);
    Buffer dy = o.input(rows * columns);
    return new RowNormGrad(
        forward, dy, o.result(rows * columns), o.result(columns), o.result(columns));
  }

  /** Layer normalisation with its affine map. */
  @Benchmark
  public void layerNorm(Work work) {
    run(layerNorm, work);
  }

  /** Its gradients. */
  @Benchmark
  public void layerNormGradient(Work work) {
    run(layerNormGradient, work);
  }

  /** Softmax. */
  @Benchmark
  public void softmax(Work work) {
    run(softmax, work);
  }

  /** Its gradient. */
  @Benchmark
  public void softmaxGradient(Work work) {
    run(softmaxGradient, work);
  }
}
