package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.nn.Params;
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

  /** Called before the objectives of every step, in the step's scope. */
  default void begin(StepInput input) {}

  /** Every network that training changes, by name. */
  Map<String, Params> networks();

  /** The trained result, as it is sampled. */
  Denoiser student();

  /** The result's parameters, as they are saved. */
  Params studentParameters();

  /** How the result is sampled. */
  Sampler sampler();
}
