package dev.limbeck.nn.optim;

import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Tensor;
import java.util.Map;

/** Moves parameters against their gradients. */
public interface Optimizer extends AutoCloseable {
  /** The parameters that are moved. */
  Params params();

  /** Number of steps taken. */
  long steps();

  /**
   * Takes one step with the configured learning rate times {@code learningRateScale}, on the
   * gradients times {@code gradientScale}; leaves the gradients as they are.
   *
   * @param average an average of these parameters to update in the same pass, or null
   */
  void step(float learningRateScale, float gradientScale, Ema average);

  /**
   * The same with the gradient's scale on the device, one number; where that is NaN, no value
   * changes.
   */
  void step(float learningRateScale, Tensor gradientScale, Ema average);

  /** As {@link #step(float, float, Ema)} on the gradients as they are, without an average. */
  default void step(float learningRateScale) {
    step(learningRateScale, 1f, null);
  }

  /** Everything a later run needs to continue bit for bit: live views, not copies. */
  Map<String, Tensor> state();

  /**
   * Continues from a {@link #state} of the same parameters.
   *
   * @throws IllegalArgumentException if a tensor is missing or has another shape
   */
  void restore(Map<String, Tensor> state);

  /** Gives the optimizer's arenas back. */
  @Override
  void close();
}
