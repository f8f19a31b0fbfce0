package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.tensor.Shape;

/**
 * A two-dimensional convolution with bias.
 *
 * @shape x [N,H,W,in], W [out,k,k,in], b [out], y [N,H',W',out]
 */
public final class Conv2d {
  private final Conv2dSpec spec;
  private final Weights.Weight weight;
  private final Weights.Weight bias;

  /** Declares {@code name.weight} and {@code name.bias}. */
  public Conv2d(
      Weights weights,
      String name,
      int in,
      int out,
      int kernel,
      Conv2dSpec spec,
      Initializer initial) {
    this.spec = spec;
    int area = kernel * kernel;
    weight =
        weights.declare(
            name + ".weight",
            Shape.of(out, kernel, kernel, in),
            initial.weight(in * area, out * area));
    bias = weights.declare(name + ".bias", Shape.of(out), initial.bias(in * area));
  }

  /** Stride 1, an odd kernel, the image keeps its size. */
  public static Conv2d same(
      Weights weights, String name, int in, int out, int kernel, Initializer initial) {
    return new Conv2d(weights, name, in, out, kernel, Conv2dSpec.same(kernel), initial);
  }

  public Var forward(Var x) {
    return x.conv2d(weight.var(), bias.var(), spec);
  }

  /** The convolution plus a residual of its shape. */
  public Var forward(Var x, Var residual) {
    return x.conv2d(weight.var(), bias.var(), spec, residual);
  }
}
