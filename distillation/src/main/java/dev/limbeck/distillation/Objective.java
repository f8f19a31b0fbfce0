package dev.limbeck.distillation;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.Optimizer;
import java.util.List;

/** One loss, the parameters that it trains, and how: a method is a list of these. */
public interface Objective {
  /** What curves and messages call it. */
  String name();

  /** The optimizers, and through them the parameters: nothing else receives a gradient. */
  List<Optimizer> optimizers();

  /** Whether this step trains it. */
  default boolean due(long step) {
    return true;
  }

  /** The loss of one batch, a single number recorded on the tape. */
  Var loss(Tape tape, StepInput input);

  /** The factor of the learning rate at this step: warm-up, decay. */
  default double learningRateScale(long step) {
    return 1;
  }

  /** The largest global norm of the gradient; infinity does not clip. */
  default double clipNorm() {
    return Double.POSITIVE_INFINITY;
  }

  /** A moving average of the first optimizer's parameters, kept in its pass; or null. */
  default Ema average() {
    return null;
  }
}
