package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.UNetConfig.Modulation;
import dev.limbeck.nn.UNetConfig.Resampling;
import dev.limbeck.tensor.Dropout;

/**
 * A residual block: normalise, SiLU, convolve; take in the embedding; normalise, SiLU, drop out,
 * convolve; add the input and scale the sum.
 *
 * @shape x [N,H,W,in], embedding [N,E], y [N,H',W',out]
 * @paper Ho, Jain, Abbeel 2020, arXiv 2006.11239; scale-shift form: Dhariwal, Nichol 2021, arXiv
 *     2105.05233
 */
public final class ResBlock {
  /** What the block does to the resolution, between its first SiLU and convolution. */
  public enum Resize {
    KEEP,
    /** Means of 2×2 pixels. */
    HALVE,
    /** Each pixel twice along both axes. */
    DOUBLE
  }

  private final Resize resize;
  private final float residualScale;
  private final boolean scaleShift;
  private final float dropoutRate;
  private final int out;
  private final int number;
  private final GroupNorm norm1;
  private final Conv2d conv1;
  private final Linear embed;
  private final GroupNorm norm2;
  private final Conv2d conv2;
  private final Conv2d shortcut;

  /**
   * Declares its parameters under {@code name}, as diffusers names them.
   *
   * @param number tells this block's dropout masks from those of the network's other blocks
   */
  ResBlock(
      Weights weights,
      String name,
      int in,
      int out,
      Resize resize,
      float residualScale,
      int number,
      UNetConfig config) {
    this.resize = resize;
    this.residualScale = residualScale;
    this.out = out;
    this.number = number;
    scaleShift = config.modulation() == Modulation.SCALE_SHIFT;
    dropoutRate = config.dropout();
    Initializer inner = Initializer.inner(config.initial());
    float epsilon = config.normEpsilon();
    norm1 = new GroupNorm(weights, name + ".norm1", in, config.groupsOf(in), epsilon);
    conv1 = Conv2d.same(weights, name + ".conv1", in, out, 3, inner);
    int projected = scaleShift ? 2 * out : out;
    embed = new Linear(weights, name + ".time_emb_proj", config.embedding(), projected, inner);
    norm2 = new GroupNorm(weights, name + ".norm2", out, config.groupsOf(out), epsilon);
    conv2 = Conv2d.same(weights, name + ".conv2", out, out, 3, Initializer.last(config.initial()));
    boolean projects =
        in != out || resize != Resize.KEEP && config.resampling() == Resampling.RESIDUAL_PROJECTED;
    shortcut = projects ? Conv2d.same(weights, name + ".conv_shortcut", in, out, 1, inner) : null;
  }

  /**
   * Runs the block.
   *
   * @param activeEmbedding the embedding after its SiLU
   */
  public Var forward(Var x, Var activeEmbedding, Dropout dropout) {
    try (Scope scope = Scope.open()) {
      Var h = conv1.forward(resized(norm1.thenSilu(x)));
      Var e = embed.forward(activeEmbedding);
      Var normal;
      if (scaleShift) {
        normal = norm2.thenModulateAndSilu(h, e.slice(1, 0, out), e.slice(1, out, 2 * out));
      } else {
        normal = norm2.thenSilu(h.add(e.reshape(e.dim(0), 1, 1, out).to(h.type())));
      }
      if (!dropout.isOff()) {
        float rate = dropoutRate > 0 ? dropoutRate : dropout.rate();
        normal = normal.dropout(dropout.layer(number).withRate(rate));
      }
      Var bypass = resized(x);
      if (shortcut != null) {
        bypass = shortcut.forward(bypass);
      }
      return scope.keep(scaled(conv2.forward(normal, bypass), residualScale));
    }
  }

  private Var resized(Var x) {
    return switch (resize) {
      case KEEP -> x;
      case HALVE -> x.avgPool(2);
      case DOUBLE -> x.resizeNearest(2 * x.dim(1), 2 * x.dim(2));
    };
  }

  static Var scaled(Var x, float factor) {
    return factor == 1f ? x : x.mul(factor);
  }
}
