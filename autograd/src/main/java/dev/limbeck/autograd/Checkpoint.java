package dev.limbeck.autograd;

import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.function.Function;

/**
 * Trades time for memory: keeps a computation's inputs instead of its intermediate results, and
 * computes those again when the gradient needs them.
 *
 * @paper Chen et al. 2016, arXiv 1604.06174
 */
public final class Checkpoint {
  private Checkpoint() {}

  /**
   * The result of {@code computation} on {@code inputs}, whose gradient is bit for bit the one
   * without a checkpoint.
   *
   * <p>Every recorded variable that the computation reads must be among the inputs; parameters it
   * may simply use. It runs twice and must do the same both times (dropout replays by its key).
   *
   * @cost one more forward pass; memory for the inputs and the result only
   */
  public static Var run(Function<Var[], Var> computation, Var... inputs) {
    Tape tape = Var.tapeOf(inputs);
    if (tape == null) {
      return computation.apply(inputs);
    }
    Var result = forward(computation, inputs);
    boolean needed = tape.trainsAny();
    Tensor[] saved = new Tensor[inputs.length];
    for (int i = 0; i < inputs.length; i++) {
      needed |= inputs[i].needsGradient(tape);
      saved[i] = inputs[i].value();
    }
    Var output = new Var(result.value(), tape, needed, result.tangent());
    if (needed) {
      tape.add(output, g -> backward(tape, computation, inputs, g), saved);
    }
    return output;
  }

  private static Var forward(Function<Var[], Var> computation, Var[] inputs) {
    Var[] constants = new Var[inputs.length];
    for (int i = 0; i < inputs.length; i++) {
      constants[i] = Var.dual(inputs[i].value(), inputs[i].tangent());
    }
    try (Scope scope = Scope.open()) {
      return scope.keep(computation.apply(constants));
    }
  }

  private static void backward(
      Tape tape, Function<Var[], Var> computation, Var[] inputs, Tensor outputGradient) {
    try (Tape again = tape.again()) {
      Var[] copies = new Var[inputs.length];
      for (int i = 0; i < inputs.length; i++) {
        int first = List.of(inputs).indexOf(inputs[i]);
        if (first < i) {
          copies[i] = copies[first];
          continue;
        }
        copies[i] = copy(again, tape, inputs[i]);
        // Continues the sum of shares, rather than starting another, so that the order of the
        // additions is the one without a checkpoint.
        if (inputs[i].gradient() != null) {
          copies[i].accumulate(inputs[i].gradient(), false);
        }
      }
      again.backward(computation.apply(copies), outputGradient);
      for (int i = 0; i < inputs.length; i++) {
        Tensor sum = copies[i].gradient();
        if (sum != null && sum != inputs[i].gradient()) {
          Tensor before = inputs[i].takeGradient();
          inputs[i].accumulate(again.keep(sum));
          if (before != null) {
            inputs[i].releaseGradient(before);
          }
        }
      }
    }
  }

  /** The same operand on the tape of the second run. */
  private static Var copy(Tape again, Tape tape, Var input) {
    if (input.parameter() != null) {
      return input.parameter().var().beside(again.input(input.value()));
    }
    return input.needsGradient(tape)
        ? again.inputWithGradient(input.value())
        : again.input(input.value());
  }
}
