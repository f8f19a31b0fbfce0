package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;

/**
 * Group normalisation with learned scale and offset, optionally followed by SiLU in the same pass.
 *
 * @shape x [N,H,W,C], y [N,H,W,C]
 * @paper Wu, He 2018, arXiv 1803.08494
 */
public final class GroupNorm {
  private final int groups;
  private final float epsilon;
  private final Weights.Weight gamma;
  private final Weights.Weight beta;

  /**
   * Declares {@code name.weight} and {@code name.bias}.
   *
   * @throws ShapeException if the channels do not divide into the groups
   */
  public GroupNorm(Weights weights, String name, int channels, int groups, float epsilon) {
    if (channels % groups != 0) {
      throw new ShapeException(
          name + ": " + channels + " channels do not divide into " + groups + " groups");
    }
    this.groups = groups;
    this.epsilon = epsilon;
    gamma = weights.declare(name + ".weight", Shape.of(channels), Init.constant(1f));
    beta = weights.declare(name + ".bias", Shape.of(channels), Init.constant(0f));
  }

  public Var forward(Var x) {
    return x.groupNorm(groups, gamma.var(), beta.var(), epsilon, false);
  }

  public Var thenSilu(Var x) {
    return x.groupNorm(groups, gamma.var(), beta.var(), epsilon, true);
  }

  /** SiLU of the normalised x·(1 + scale) + shift, for {@code scale} and {@code shift} [N,C]. */
  public Var thenModulateAndSilu(Var x, Var scale, Var shift) {
    return x.groupNorm(groups, gamma.var(), beta.var(), epsilon, true, scale, shift);
  }
}
