package dev.limbeck.nn.optim;

import dev.limbeck.tensor.Tensor;
import java.util.Map;

/** Copies tensors of a saved state to where they belong. */
final class States {
  private States() {}

  static void copy(Map<String, Tensor> saved, String name, Tensor target) {
    Tensor source = saved.get(name);
    if (source == null) {
      throw new IllegalArgumentException("saved state: " + name + " is missing");
    }
    if (!source.shape().equals(target.shape()) || source.type() != target.type()) {
      throw new IllegalArgumentException(
          "saved state: " + name + " is " + source + ", expected " + target);
    }
    target.copyFrom(source);
  }
}
