package dev.limbeck.distillation;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.Optimizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Runs a {@link Distiller} to its end: each step draws a batch and trains the objectives that are
 * due, one after the other.
 */
public final class Trainer {
  /**
   * How a run is watched and kept.
   *
   * @param checkpoint where the run's state is written and continued from, or null
   * @param checkpointEvery steps between two checkpoints
   */
  public record Options(Path checkpoint, long checkpointEvery, Listener listener) {
    /** No checkpoints. */
    public static Options watchedBy(Listener listener) {
      return new Options(null, Long.MAX_VALUE, listener);
    }
  }

  /** Told of every step: progress bars, curves, previews. */
  @FunctionalInterface
  public interface Listener {
    /**
     * Called after a step.
     *
     * @param losses by objective; only those that were due
     */
    void stepped(Distiller distiller, long step, Map<String, Float> losses);
  }

  private final Distiller distiller;
  private final Batches batches;
  private final Options options;
  private final String fingerprint;

  /**
   * Prepares a run.
   *
   * @param fingerprint what identifies the run (seed, data): a checkpoint of another is refused
   */
  public Trainer(Distiller distiller, Batches batches, String fingerprint, Options options) {
    this.distiller = distiller;
    this.batches = batches;
    this.options = options;
    this.fingerprint = distiller.name() + " batch " + batches.size() + " " + fingerprint;
  }

  /** Trains to the last step, from the checkpoint if there is one. */
  public void run() {
    run(resume(), distiller.steps());
  }

  /** Takes the state from the checkpoint, if there is one; the number of steps done. */
  public long resume() {
    boolean saved = options.checkpoint != null && Files.exists(options.checkpoint);
    return saved ? Checkpoint.restore(options.checkpoint, distiller, fingerprint) : 0;
  }

  /** Trains the steps [from, to). */
  public void run(long from, long to) {
    for (long step = from; step < to; step++) {
      Map<String, Float> losses = step(step);
      options.listener.stepped(distiller, step, losses);
      long done = step + 1;
      if (options.checkpoint != null
          && (done % options.checkpointEvery == 0 || done == distiller.steps())) {
        Checkpoint.write(options.checkpoint, distiller, done, fingerprint);
      }
    }
  }

  private Map<String, Float> step(long step) {
    Map<String, Float> losses = new LinkedHashMap<>();
    try (Scope scope = Scope.open()) {
      StepInput input = batches.at(step);
      distiller.begin(input);
      for (Objective objective : distiller.objectives()) {
        if (objective.due(step)) {
          losses.put(objective.name(), train(objective, input));
        }
      }
    }
    return losses;
  }

  private float train(Objective objective, StepInput input) {
    List<Params> trained = new ArrayList<>();
    List<Parameter> parameters = new ArrayList<>();
    for (Optimizer optimizer : objective.optimizers()) {
      trained.add(optimizer.params());
      parameters.addAll(optimizer.params().list());
      optimizer.params().zeroGradients();
    }
    float value;
    try (Tape tape = Tape.open(parameters)) {
      Var loss = objective.loss(tape, input);
      value = loss.value().item();
      if (!Float.isFinite(value)) {
        throw notFinite(objective, input.step(), "loss is " + value, trained);
      }
      tape.backward(loss);
    }
    double square = 0;
    for (Params params : trained) {
      double part = params.globalNorm();
      square += part * part;
    }
    double norm = Math.sqrt(square);
    if (!Double.isFinite(norm)) {
      throw notFinite(objective, input.step(), "gradient has norm " + norm, trained);
    }
    double clip = Math.min(1, objective.clipNorm() / norm);
    float rate = (float) objective.learningRateScale(input.step());
    Ema average = objective.average();
    for (Optimizer optimizer : objective.optimizers()) {
      optimizer.step(rate, (float) clip, average);
      average = null;
    }
    return value;
  }

  private static TrainingException notFinite(
      Objective objective, long step, String what, List<Params> trained) {
    for (Params params : trained) {
      for (Parameter p : params.list()) {
        if (!allFinite(p.value().toFloats())) {
          return new TrainingException(
              message(objective, step, what) + "; the parameter " + p.name() + " is not finite");
        }
        if (!allFinite(p.gradient().toFloats())) {
          return new TrainingException(
              message(objective, step, what)
                  + "; the gradient of parameter "
                  + p.name()
                  + " is not finite");
        }
      }
    }
    return new TrainingException(
        message(objective, step, what) + "; every parameter is finite, so look at its input");
  }

  private static String message(Objective objective, long step, String what) {
    return "step " + step + ", objective " + objective.name() + ": the " + what;
  }

  private static boolean allFinite(float[] values) {
    for (float v : values) {
      if (!Float.isFinite(v)) {
        return false;
      }
    }
    return true;
  }
}
