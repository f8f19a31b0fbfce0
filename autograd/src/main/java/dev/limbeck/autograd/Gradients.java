package dev.limbeck.autograd;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.Axpy;
import dev.limbeck.kernels.op.Copy;
import dev.limbeck.tensor.Tensor;
import java.util.function.Consumer;

/** How shares of a gradient are added up. */
final class Gradients {
  private Gradients() {}

  /** target += share. */
  static void add(Tensor target, Tensor share) {
    target.device().execute(new Axpy(1f, share.buffer(), target.buffer()));
  }

  /** A new tensor a + b. */
  static Tensor sum(Tensor a, Tensor b) {
    Tensor result = Tensor.empty(a.device(), a.type(), a.shape());
    result.device().execute(new Copy(a.buffer(), result.buffer()));
    add(result, b);
    return result;
  }

  /**
   * Where a kernel is to put a share of a gradient.
   *
   * @param accumulate true if the kernel must add to what the tensor holds
   */
  record Target(Tensor tensor, boolean accumulate) {
    Buffer buffer() {
      return tensor.buffer();
    }

    void execute(Kernel kernel) {
      tensor.device().execute(kernel);
    }
  }

  /**
   * Lets a kernel produce the share of an operand that needs a gradient: straight into a
   * parameter's gradient, which saves a buffer and a pass, or into a new tensor.
   */
  static void into(Var operand, Consumer<Target> kernel) {
    Parameter parameter = operand.parameter();
    if (parameter != null) {
      kernel.accept(new Target(parameter.gradient(), true));
    } else {
      Tensor share =
          Tensor.empty(operand.value().device(), operand.value().type(), operand.shape());
      kernel.accept(new Target(share, false));
      operand.accumulate(share);
    }
  }
}
