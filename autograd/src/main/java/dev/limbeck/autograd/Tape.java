package dev.limbeck.autograd;

import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;

/**
 * The record of one differentiable computation.
 *
 * <p>A tape is opened on the parameters to train. Recording starts at {@link #input}: every
 * operation with a recorded operand, or with a trainable parameter beside one, is recorded. A
 * parameter outside the list gets no gradient, but the gradient still passes through to the
 * operation's other inputs, so that losses may run through frozen networks.
 *
 * <p>The tape is the scope of the step: what the step allocates ends with it. {@link #backward}
 * frees what each record saved, and its gradient, as soon as they have been used; read results you
 * still need (other than the loss) after {@link #retain}.
 */
public final class Tape extends Scope {
  private final Set<Parameter> trainable = Collections.newSetFromMap(new IdentityHashMap<>());
  private final List<Node> nodes = new ArrayList<>();
  private final List<Var> inputs = new ArrayList<>();
  private final Set<Object> kept = Collections.newSetFromMap(new IdentityHashMap<>());

  /** Computes the gradients of an operation's inputs from the gradient of its output. */
  @FunctionalInterface
  public interface Adjoint {
    void run(Tensor outputGradient);
  }

  private record Node(Var output, Tensor[] saved, Adjoint adjoint) {}

  private Tape(Collection<Parameter> parameters) {
    trainable.addAll(parameters);
  }

  /** Opens a tape on the parameters that are to receive gradients. */
  public static Tape open(Collection<Parameter> parameters) {
    return new Tape(parameters);
  }

  /** Starts recording at a tensor that itself needs no gradient. */
  public Var input(Tensor value) {
    return new Var(value, this, false, null);
  }

  /** Starts recording at a tensor whose gradient {@link Var#gradient} will hold. */
  public Var inputWithGradient(Tensor value) {
    Var input = new Var(value, this, true, null);
    inputs.add(input);
    return input;
  }

  /** Another tape on the same parameters, for computing a part again. */
  Tape again() {
    return new Tape(trainable);
  }

  boolean trainsAny() {
    return !trainable.isEmpty();
  }

  boolean trains(Parameter parameter) {
    return trainable.contains(parameter);
  }

  void add(Var output, Adjoint adjoint, Tensor[] saved) {
    for (Tensor t : saved) {
      t.buffer().hold();
    }
    nodes.add(new Node(output, saved, adjoint));
  }

  /** Keeps a result readable after {@link #backward}, until the tape closes. */
  public Var retain(Var result) {
    kept.add(result.value().buffer().owner());
    return result;
  }

  /**
   * Adds d loss / d p to the gradient of every trainable parameter p, and sets the gradients of
   * inputs that asked for one.
   *
   * @param loss a recorded variable with a single element
   */
  public void backward(Var loss) {
    if (loss.value().size() != 1) {
      throw new IllegalArgumentException(
          "backward: the loss must be one number, it has shape " + loss.shape());
    }
    try (Tensor one = ones(loss.value())) {
      backward(loss, one);
    }
  }

  private static Tensor ones(Tensor like) {
    return Tensor.of(like.device(), like.shape(), 1f);
  }

  /** As {@link #backward(Var)}, from a given gradient of any recorded variable. */
  public void backward(Var output, Tensor outputGradient) {
    if (output.tape() != this) {
      throw new IllegalArgumentException("backward: the variable was not recorded on this tape");
    }
    retain(output);
    output.accumulate(outputGradient, false);
    for (int i = nodes.size() - 1; i >= 0; i--) {
      Node node = nodes.get(i);
      Tensor gradient = node.output.takeGradient();
      if (gradient != null) {
        // The adjoint's own intermediate results end with it; gradients it hands on are held.
        try (Scope scope = Scope.open()) {
          node.adjoint.run(gradient);
        }
        node.output.releaseGradient(gradient);
      }
      for (Tensor t : node.saved) {
        release(t);
      }
    }
    nodes.clear();
    for (Var input : inputs) {
      if (input.gradient() != null) {
        input.gradient().buffer().unhold();
      }
    }
    inputs.clear();
  }

  private void release(Tensor t) {
    if (t.buffer().unhold()) {
      freeUnlessKept(t);
    }
  }

  /** Frees a tensor of this tape that nobody needs any more. */
  void freeUnlessKept(Tensor t) {
    if (!kept.contains(t.buffer().owner())) {
      free(t.buffer());
    }
  }

  /** Forgets a computation that was recorded but not differentiated. */
  @Override
  public void close() {
    for (Node node : nodes) {
      for (Tensor t : node.saved) {
        t.buffer().unhold();
      }
    }
    nodes.clear();
    super.close();
  }
}
