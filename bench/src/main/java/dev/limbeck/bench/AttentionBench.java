package dev.limbeck.bench;

import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.Attention;
import dev.limbeck.kernels.op.AttentionGrad;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Scaled dot-product attention and its gradient. */
public class AttentionBench extends KernelBench {
  /** Samples, queries, keys, heads, features of a head. */
  @Param({
    "64x64x64x1x64",
    "16x256x256x1x256",
    "4x1024x1024x6x64",
    "2x4096x77x8x40",
    "3x67x131x2x24"
  })
  public String shape;

  private Checked forward;
  private Checked gradient;

  @Override
  protected void build() {
    forward = checked(this::attention);
    gradient = checked(this::backward);
  }

  private Attention attention(Operands o) {
    int[] s = sizes(shape, "samples x queries x keys x heads x features");
    int row = s[3] * s[4];
    return new Attention(
        new Attention.Layout(s[0], s[1], s[2], s[3], s[4]),
        (float) (1 / Math.sqrt(s[4])),
        o.input(s[0] * s[1] * row),
        o.input(s[0] * s[2] * row),
        o.input(s[0] * s[2] * row),
        o.result(s[0] * s[1] * row),
        o.result(s[0] * s[3] * s[1]));
  }

  private Kernel backward(Operands o) {
    Attention forward = attention(o);
    forward.q().device().execute(forward);
    int keys = forward.k().length();
    int queries = forward.q().length();
    return new AttentionGrad(
        forward, o.input(queries), o.result(queries), o.result(keys), o.result(keys));
  }

  /** softmax(q·kᵀ/√d)·v. */
  @Benchmark
  public void forward(Work work) {
    run(forward, work);
  }

  /** The gradients of q, k and v. */
  @Benchmark
  public void gradient(Work work) {
    run(gradient, work);
  }
}
