package dev.limbeck.distillation;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.LrSchedule;
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

  /** The loss of one batch, as {@link #loss} answers it. */
  @FunctionalInterface
  interface Loss {
    Var of(Tape tape, StepInput input);
  }

  /**
   * An objective of every step, from its parts.
   *
   * @param rate the factor of the learning rate
   * @param average of the first optimizer's parameters, or null
   */
  static Objective of(
      String name,
      List<Optimizer> optimizers,
      LrSchedule rate,
      double clipNorm,
      Ema average,
      Loss loss) {
    return new Objective() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public List<Optimizer> optimizers() {
        return optimizers;
      }

      @Override
      public double learningRateScale(long step) {
        return rate.scale(step);
      }

      @Override
      public double clipNorm() {
        return clipNorm;
      }

      @Override
      public Ema average() {
        return average;
      }

      @Override
      public Var loss(Tape tape, StepInput input) {
        return loss.of(tape, input);
      }
    };
  }
}
