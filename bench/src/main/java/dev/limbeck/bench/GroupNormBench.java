package dev.limbeck.bench;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.GroupNorm;
import dev.limbeck.kernels.op.GroupNormGrad;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** Group normalisation with and without SiLU, and the gradient of both. */
public class GroupNormBench extends KernelBench {
  private static final float EPSILON = 1e-5f;

  /** Samples, pixels, channels, groups. */
  @Param({
    "64x256x32x8",
    "16x256x128x32",
    "16x1024x128x32",
    "1x4096x320x32",
    "16x64x256x32",
    "3x77x60x5"
  })
  public String shape;

  private Checked alone;
  private Checked silu;
  private Checked gradient;

  @Override
  protected void build() {
    alone = checked(o -> forward(o, false));
    silu = checked(o -> forward(o, true));
    gradient = checked(this::backward);
  }

  private GroupNorm.Layout layout() {
    int[] s = sizes(shape, "samples x pixels x channels x groups");
    return new GroupNorm.Layout(s[0], s[1], s[2], s[3]);
  }

  private GroupNorm forward(Operands o, boolean silu) {
    GroupNorm.Layout layout = layout();
    int size = layout.samples() * layout.pixels() * layout.channels();
    int moments = layout.samples() * layout.groups();
    return new GroupNorm(
        layout,
        EPSILON,
        silu,
        o.input(size),
        o.input(layout.channels()),
        o.input(layout.channels()),
        null,
        null,
        o.result(size),
        o.result(moments),
        o.result(moments));
  }

  private Kernel backward(Operands o) {
    GroupNorm forward = forward(o, true);
    forward.x().device().execute(forward);
    int size = forward.x().length();
    int channels = forward.layout().channels();
    Buffer dy = o.input(size);
    return new GroupNormGrad(
        forward, dy, o.result(size), o.result(channels), o.result(channels), null, null);
  }

  /** The normalisation with its affine map. */
  @Benchmark
  public void alone(Work work) {
    run(alone, work);
  }

  /** The same and SiLU, in one pass. */
  @Benchmark
  public void silu(Work work) {
    run(silu, work);
  }

  /** The gradients of both. */
  @Benchmark
  public void gradient(Work work) {
    run(gradient, work);
  }
}
