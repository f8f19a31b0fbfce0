package dev.limbeck.autograd;

import dev.limbeck.kernels.op.Axpy;
import dev.limbeck.kernels.op.Copy;
import dev.limbeck.tensor.Tensor;

/** How shares of a gradient are added up. */
final class Gradients {
  private Gradients() {}

  /** target += share. */
  static void add(Tensor target, Tensor share) {
    target.device().execute(new Axpy(1f, share.buffer(), target.buffer()));
  }

  /** A new tensor a + b. */
  static Tensor sum(Tensor a, Tensor b) {
    Tensor result = Tensor.empty(a.device(), a.shape());
    result.device().execute(new Copy(a.buffer(), result.buffer()));
    add(result, b);
    return result;
  }
}
