package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.tensor.Shape;

/**
 * The affine map y = x Wᵀ + b over the last axis.
 *
 * @shape x [..., in], W [out, in], b [out], y [..., out]
 */
public final class Linear {
  private final Weights.Weight weight;
  private final Weights.Weight bias;

  /** Declares {@code name.weight} and {@code name.bias}. */
  public Linear(Weights weights, String name, int in, int out, Initializer initial) {
    this(weights, name, in, out, true, initial);
  }

  /** Declares {@code name.weight} and, if asked for, {@code name.bias}. */
  public Linear(
      Weights weights, String name, int in, int out, boolean hasBias, Initializer initial) {
    weight = weights.declare(name + ".weight", Shape.of(out, in), initial.weight(in, out));
    bias = hasBias ? weights.declare(name + ".bias", Shape.of(out), initial.bias(in)) : null;
  }

  public Var forward(Var x) {
    return x.linear(weight.var(), bias == null ? null : bias.var());
  }
}
