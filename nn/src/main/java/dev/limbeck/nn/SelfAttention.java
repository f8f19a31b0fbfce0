package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.ShapeException;

/**
 * Residual self-attention over the pixels of an image: y = scale·(x + W_o attention(q, k, v)), with
 * q, k, v projections of the normalised x.
 *
 * @shape x [N,H,W,C], y [N,H,W,C]
 * @cost 8·C² + 4·H·W·C flops per pixel
 */
public final class SelfAttention {
  private final int heads;
  private final float residualScale;
  private final GroupNorm norm;
  private final Linear query;
  private final Linear key;
  private final Linear value;
  private final Linear output;

  /**
   * Declares its parameters under {@code name}, as diffusers names them.
   *
   * @param headChannels channels per head; 0 for one head
   */
  public SelfAttention(
      Weights weights,
      String name,
      int channels,
      int headChannels,
      UNetConfig config,
      float scale) {
    heads = headChannels == 0 ? 1 : channels / headChannels;
    if (heads == 0 || channels % heads != 0) {
      throw new ShapeException(
          name + ": " + channels + " channels do not divide into heads of " + headChannels);
    }
    residualScale = scale;
    norm =
        new GroupNorm(
            weights,
            name + ".group_norm",
            channels,
            config.groupsOf(channels),
            config.normEpsilon());
    Initializer inner = Initializer.attention(config.initial());
    query = new Linear(weights, name + ".to_q", channels, channels, inner);
    key = new Linear(weights, name + ".to_k", channels, channels, inner);
    value = new Linear(weights, name + ".to_v", channels, channels, inner);
    output =
        new Linear(
            weights, name + ".to_out.0", channels, channels, Initializer.last(config.initial()));
  }

  public Var forward(Var x) {
    int n = x.dim(0);
    int pixels = x.dim(1) * x.dim(2);
    int channels = x.dim(3);
    try (Scope scope = Scope.open()) {
      Var h = norm.forward(x).reshape(n, pixels, channels);
      float scale = (float) (1 / Math.sqrt((double) channels / heads));
      Var mixed = Var.attention(query.forward(h), key.forward(h), value.forward(h), heads, scale);
      Var y = output.forward(mixed).reshape(n, x.dim(1), x.dim(2), channels).add(x);
      return scope.keep(ResBlock.scaled(y, residualScale));
    }
  }
}
