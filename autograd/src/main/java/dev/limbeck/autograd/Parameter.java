package dev.limbeck.autograd;

import dev.limbeck.tensor.Tensor;

/**
 * A trainable tensor with a name and a gradient of the same shape.
 *
 * <p>Value and gradient live outside any scope, usually as slices of flat arenas. A tape that lists
 * the parameter as trainable <em>adds</em> to the gradient; the optimizer's caller clears it.
 */
public final class Parameter {
  private final String name;
  private final Tensor value;
  private final Tensor gradient;

  public Parameter(String name, Tensor value, Tensor gradient) {
    if (!value.shape().equals(gradient.shape())) {
      throw new IllegalArgumentException(
          name + ": value " + value.shape() + ", gradient " + gradient.shape());
    }
    this.name = name;
    this.value = value;
    this.gradient = gradient;
  }

  public String name() {
    return name;
  }

  public Tensor value() {
    return value;
  }

  /** The sum of the gradients of all backward passes since it was last cleared. */
  public Tensor gradient() {
    return gradient;
  }

  /** The parameter as an operand; whether it receives a gradient is the tape's business. */
  public Var var() {
    return new Var(value, this);
  }

  @Override
  public String toString() {
    return name + value.shape();
  }
}
