package dev.limbeck.nn;

import dev.limbeck.kernels.op.Conv2dSpec;

/** Makes the parts of one {@link UNet} and numbers its residual blocks. */
final class UNetBuilder {
  private final UNetConfig config;
  private final Weights weights;
  private final Initializer inner;
  private int blocks;

  UNetBuilder(UNetConfig config, Weights weights) {
    this.config = config;
    this.weights = weights;
    inner = Initializer.inner(config.initial());
  }

  UNetConfig config() {
    return config;
  }

  ResBlock block(String name, int in, int out) {
    return block(name, in, out, ResBlock.Resize.KEEP, config.residualScale());
  }

  ResBlock resizing(String name, int width, ResBlock.Resize resize) {
    return block(name, width, width, resize, config.residualScale());
  }

  ResBlock middle(String name, int width) {
    return block(name, width, width, ResBlock.Resize.KEEP, config.middleScale());
  }

  private ResBlock block(String name, int in, int out, ResBlock.Resize resize, float scale) {
    return new ResBlock(weights, name, in, out, resize, scale, blocks++, config);
  }

  SelfAttention attention(String name, int width, float scale) {
    return new SelfAttention(weights, name, width, config.headChannels(), config, scale);
  }

  Conv2d convolution(String name, int width) {
    return Conv2d.same(weights, name, width, width, 3, inner);
  }

  Conv2d down(String name, int width) {
    int pad = config.downPadding();
    // Without padding at the top and left, one row and column at the other sides keep H/2 rows.
    Conv2dSpec spec = new Conv2dSpec(2, 2, pad, pad, 1, 1);
    return new Conv2d(weights, name, width, width, 3, spec, inner);
  }
}
