package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import java.util.List;
import java.util.Map;

/**
 * A method of training or distillation: objectives, and the sampler that its result is meant for.
 *
 * <p>Everything that a later step depends on is in {@link #networks}, in the objectives' optimizers
 * and averages, and in the step number: that is what a checkpoint holds.
 */
public interface Distiller {
  /** The name that the command line takes. */
  String name();

  /** Trained one after the other in every step, each when it is due. */
  List<Objective> objectives();

  /** Steps of the whole run. */
  long steps();

  /** Called before every step; what it makes lives on. */
  default void begin(long step) {}

  /**
   * Says which steps launch the same work on other numbers: those with equal answers, if the same
   * objectives are due. A device that records steps keeps a record of each kind.
   *
   * @param random the step's randomness, where the work depends on what is drawn
   */
  default int kind(long step, Rng random) {
    return 0;
  }

  /** Every network that training changes, by name. */
  Map<String, Params> networks();

  /** The trained result as it stands, as it is sampled and saved. */
  NetworkDenoiser student();

  /** How the result is sampled. */
  Sampler sampler();
}
