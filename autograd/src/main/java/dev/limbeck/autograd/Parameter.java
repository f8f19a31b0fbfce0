package dev.limbeck.autograd;

import dev.limbeck.kernels.DType;
import dev.limbeck.tensor.Tensor;

/**
 * A trainable tensor with a name and a gradient of the same shape, both F32.
 *
 * <p>Value and gradient live outside any scope, usually as slices of flat arenas. A tape that lists
 * the parameter as trainable <em>adds</em> to the gradient; the optimizer's caller clears it.
 */
public final class Parameter {
  private final String name;
  private final Tensor value;
  private final Tensor gradient;
  private Tensor rounded;

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

  /**
   * The value in a type: itself, or its copy in BF16.
   *
   * @throws IllegalStateException if there is no such copy
   */
  Tensor value(DType type) {
    if (type == value.type()) {
      return value;
    }
    if (rounded == null || rounded.type() != type) {
      throw new IllegalStateException(
          "the parameter " + name + " has no " + type + " values: set its network's precision");
    }
    return rounded;
  }

  /**
   * Sets where the BF16 copy of the value lies, which operations on BF16 operands read; whoever
   * writes the value renews it. Null for none.
   */
  public void setRounded(Tensor copyOrNull) {
    rounded = copyOrNull;
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
