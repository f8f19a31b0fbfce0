package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;

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

  /**
   * Names the run's folder, before its first step and before a checkpoint is read: what is made
   * once and from the teacher alone may be kept there, and what a checkpoint then need not hold.
   */
  default void keepIn(Path folder) {}

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

  /**
   * How the result is sampled in so many steps, each one evaluation of the network; empty if it was
   * not trained for that many.
   *
   * <p>Students of a fixed number of steps, as here, know only {@link #sampler()}; {@link
   * Preset#withSampleSteps} trains them for another. One that is meant for any number says how.
   */
  default Optional<Sampler> sampler(int steps) {
    Sampler own = sampler();
    return own.evaluations() == steps ? Optional.of(own) : Optional.empty();
  }

  /**
   * A result for some number of sampling steps.
   *
   * @param student the network, which later training may change
   * @param guidance weights of guidance that it was trained with and may be told, or null
   */
  record Result(NetworkDenoiser student, Sampler sampler, GuidanceWeights guidance) {
    /** Of a student that is told no weight of guidance. */
    public Result(NetworkDenoiser student, Sampler sampler) {
      this(student, sampler, null);
    }
  }

  /** Weights of guidance that the student is trained with and may be told, or null. */
  default GuidanceWeights guidance() {
    return null;
  }

  /** The results for every number of steps that the method has one for, fewest first. */
  default List<Result> results() {
    return List.of(new Result(student(), sampler(), guidance()));
  }

  /** The student with its own sampler and with those of other numbers of steps, fewest first. */
  default List<Result> results(int... others) {
    NetworkDenoiser student = student();
    Sampler own = sampler();
    List<Result> all = new ArrayList<>(List.of(new Result(student, own, guidance())));
    for (int steps : others) {
      if (steps != own.evaluations()) {
        sampler(steps).ifPresent(each -> all.add(new Result(student, each, guidance())));
      }
    }
    all.sort(Comparator.comparingInt(each -> each.sampler().evaluations()));
    return all;
  }
}
