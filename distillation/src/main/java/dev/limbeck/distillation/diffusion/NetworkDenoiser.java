package dev.limbeck.distillation.diffusion;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Condition;
import dev.limbeck.nn.Network;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import java.util.function.DoubleUnaryOperator;

/**
 * A network seen as a denoiser through its preconditioning.
 *
 * <p>{@link #denoise(Tensor, Tensor, Tensor)} is the frozen use, {@link #denoise(Var, Tensor,
 * Tensor)} the recorded one.
 *
 * @param guidanceWeight the weight w that a network with an input for it is told where the caller
 *     names none
 */
public record NetworkDenoiser(
    Network network, Preconditioning preconditioning, double guidanceWeight) implements Denoiser {
  /** Of a network without guidance, or with the weight 0. */
  public NetworkDenoiser(Network network, Preconditioning preconditioning) {
    this(network, preconditioning, 0);
  }

  @Override
  public Tensor denoise(Tensor x, Tensor sigma, Tensor labels) {
    return denoise(Var.constant(x), sigma, labels).value();
  }

  /** The frozen use with a guidance weight for each sample, F32 [N]. */
  public Denoiser weighted(Tensor guidance) {
    return (x, sigma, labels) ->
        denoise(Var.constant(x), sigma, labels, guidance, Dropout.off()).value();
  }

  /**
   * D(x, σ), recorded if x is.
   *
   * @shape x and the result: [N,…]; sigma: [N]; labels: [N] or null
   */
  public Var denoise(Var x, Tensor sigma, Tensor labels) {
    return denoise(x, sigma, labels, null, Dropout.off());
  }

  /**
   * D(x, σ, w), recorded if x is.
   *
   * @param guidance weights, or null for this denoiser's own
   * @shape x and the result: [N,…]; sigma: [N]; labels: [N] or null; guidance: [N] or null
   */
  public Var denoise(Var x, Tensor sigma, Tensor labels, Tensor guidance, Dropout dropout) {
    try (Scope scope = Scope.open()) {
      Coefficients c = Coefficients.of(preconditioning, sigma);
      Condition condition = condition(x, c, labels, guidance);
      Var raw = network.forward(RowOps.scale(c.in, x), condition, dropout);
      if (preconditioning.isDouble()) {
        return scope.keep(ofTwo(c, x, raw, sigma));
      }
      return scope.keep(RowOps.combine(c.skip, x, c.out, raw));
    }
  }

  /** c_skip x + c_out F + c_second G, F being the first half of the answer's channels. */
  private Var ofTwo(Coefficients c, Var x, Var raw, Tensor sigma) {
    int axis = raw.shape().rank() - 1;
    int channels = x.dim(axis);
    if (raw.dim(axis) != 2 * channels) {
      throw new ShapeException(
          preconditioning.text()
              + " takes networks of twice the data's channels, "
              + 2 * channels
              + "; this one answers "
              + raw.dim(axis));
    }
    Tensor second = Coefficients.map(sigma, sigma.toFloats(), preconditioning::second);
    Var first = RowOps.combine(c.skip, x, c.out, raw.slice(axis, 0, channels));
    Var other = raw.slice(axis, channels, 2 * channels);
    return RowOps.combine(Samplers.level(x.value(), 1), first, second, other);
  }

  /**
   * The network's hidden features at (x, σ), recorded if x is: what a discriminator looks at.
   *
   * @shape x: [N,…]; sigma: [N]; labels: [N] or null; result: [N,…]
   */
  public Var features(Var x, Tensor sigma, Tensor labels) {
    try (Scope scope = Scope.open()) {
      Coefficients c = Coefficients.of(preconditioning, sigma);
      Condition condition = condition(x, c, labels, null);
      return scope.keep(network.features(RowOps.scale(c.in, x), condition, Dropout.off()));
    }
  }

  private Condition condition(Var x, Coefficients c, Tensor labels, Tensor guidance) {
    Tensor weights = guidance;
    if (weights == null && network.takesGuidance()) {
      weights = Samplers.level(x.value(), guidanceWeight);
    }
    return new Condition(
        Var.constant(c.noise), labels, weights == null ? null : Var.constant(weights));
  }

  /** The four scalings of every sample. */
  public record Coefficients(Tensor skip, Tensor out, Tensor in, Tensor noise) {
    public static Coefficients of(Preconditioning p, Tensor sigma) {
      float[] s = sigma.toFloats();
      return new Coefficients(
          map(sigma, s, p::skip),
          map(sigma, s, p::out),
          map(sigma, s, p::in),
          map(sigma, s, p::noise));
    }

    private static Tensor map(Tensor like, float[] sigma, DoubleUnaryOperator f) {
      float[] values = new float[sigma.length];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) f.applyAsDouble(sigma[i]);
      }
      return Tensor.of(like.device(), Shape.of(values.length), values);
    }
  }
}
