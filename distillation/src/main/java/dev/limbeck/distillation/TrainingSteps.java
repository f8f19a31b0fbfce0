package dev.limbeck.distillation;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Replay;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.op.ClipScale;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ObjLongConsumer;

/**
 * Steps of a run, for which the host does not wait: what it has to know of them is left on the
 * device until it is read.
 *
 * <p>Each kind of step is recorded where the device can do so. What differs from step to step is
 * uploaded in it.
 */
final class TrainingSteps implements AutoCloseable {
  private final Distiller distiller;
  private final Batches batches;
  private final Device device;
  private final int capacity;
  private final Map<Kind, Replay> replays = new HashMap<>();

  /** Loss and gradient norm of every objective that a step trained, since they were last read. */
  private final Tensor log;

  /** 1 from the first loss or gradient on that is not finite; see {@link ClipScale}. */
  private final Tensor stopped;

  private final List<Entry> entries = new ArrayList<>();
  private int steps;

  /** Steps of a kind do the same work. */
  private record Kind(int number, List<String> due) {}

  private record Entry(long step, Objective objective) {}

  /**
   * No steps yet.
   *
   * @param capacity steps that may be run before they are read
   */
  TrainingSteps(Distiller distiller, Batches batches, int capacity) {
    this.distiller = distiller;
    this.batches = batches;
    this.device = distiller.networks().values().iterator().next().device();
    this.capacity = capacity;
    log = own(2 * capacity * distiller.objectives().size());
    stopped = own(1);
  }

  /** Zeros that no scope closes. */
  private Tensor own(int length) {
    Tensor tensor = Tensor.zeros(device, Shape.of(length));
    tensor.buffer().hold();
    return tensor;
  }

  /** True if the steps must be read before another one is run. */
  boolean areFull() {
    return steps == capacity;
  }

  /** Runs a step; on a GPU, hands it over. */
  void run(long step) {
    distiller.begin(step);
    List<Objective> due =
        distiller.objectives().stream().filter(objective -> objective.due(step)).toList();
    Kind kind =
        new Kind(
            distiller.kind(step, batches.random(step)), due.stream().map(Objective::name).toList());
    int first = entries.size();
    replays
        .computeIfAbsent(kind, unused -> device.replay())
        .run(
            () -> {
              try (Scope scope = Scope.open()) {
                StepInput input = batches.at(step);
                for (int i = 0; i < due.size(); i++) {
                  train(due.get(i), input, first + i);
                }
              }
            });
    due.forEach(objective -> entries.add(new Entry(step, objective)));
    steps++;
  }

  private void train(Objective objective, StepInput input, int slot) {
    List<Params> trained = new ArrayList<>();
    for (Optimizer optimizer : objective.optimizers()) {
      trained.add(optimizer.params());
      optimizer.params().zeroGradients();
    }
    Tensor loss;
    try (Tape tape = Tape.open(parameters(objective))) {
      Var recorded = objective.loss(tape, input);
      tape.backward(recorded);
      loss = tape.keep(recorded).value();
    }
    int pitch = Buffer.SLICE_ALIGNMENT;
    Buffer norms = device.allocate(DType.F32, pitch * trained.size());
    for (int i = 0; i < trained.size(); i++) {
      trained.get(i).globalNorm(norms.slice(i * pitch, 1));
    }
    Tensor scale = Tensor.empty(device, Shape.of());
    device.execute(
        new ClipScale(
            norms,
            trained.size(),
            loss.buffer(),
            objective.clipNorm(),
            stopped.buffer(),
            log.buffer(),
            slot,
            scale.buffer()));
    float rate = (float) objective.learningRateScale(input.step());
    Ema average = objective.average();
    for (Optimizer optimizer : objective.optimizers()) {
      optimizer.step(rate, scale, average);
      average = null;
    }
  }

  private static List<Parameter> parameters(Objective objective) {
    List<Parameter> all = new ArrayList<>();
    objective.optimizers().forEach(optimizer -> all.addAll(optimizer.params().list()));
    return all;
  }

  /**
   * Waits for the steps and tells of each one's losses, by objective.
   *
   * @throws TrainingException if a loss or a gradient is not finite
   */
  void read(ObjLongConsumer<Map<String, Float>> reader) {
    float[] numbers = log.toFloats();
    Map<String, Float> losses = new LinkedHashMap<>();
    for (int i = 0; i < entries.size(); i++) {
      Entry entry = entries.get(i);
      float loss = numbers[2 * i];
      if (!Float.isFinite(loss)) {
        throw notFinite(entry, "loss is " + loss, false);
      }
      if (!Float.isFinite(numbers[2 * i + 1])) {
        compute(entry);
        throw notFinite(entry, "gradient has norm " + numbers[2 * i + 1], true);
      }
      losses.put(entry.objective.name(), loss);
      if (i + 1 == entries.size() || entries.get(i + 1).step != entry.step) {
        reader.accept(losses, entry.step);
        losses = new LinkedHashMap<>();
      }
    }
    entries.clear();
    steps = 0;
  }

  /** Computes the gradients of a step again, later ones having replaced them. */
  private void compute(Entry entry) {
    distiller.begin(entry.step);
    entry.objective.optimizers().forEach(optimizer -> optimizer.params().zeroGradients());
    try (Scope scope = Scope.open();
        Tape tape = Tape.open(parameters(entry.objective))) {
      tape.backward(entry.objective.loss(tape, batches.at(entry.step)));
    }
  }

  private static TrainingException notFinite(Entry entry, String what, boolean gradient) {
    String message =
        "step " + entry.step + ", objective " + entry.objective.name() + ": the " + what;
    for (Optimizer optimizer : entry.objective.optimizers()) {
      for (Parameter p : optimizer.params().list()) {
        if (!allFinite(p.value().toFloats())) {
          return new TrainingException(message + "; the parameter " + p.name() + " is not finite");
        }
      }
    }
    for (Optimizer optimizer : entry.objective.optimizers()) {
      for (Parameter p : optimizer.params().list()) {
        if (gradient && !allFinite(p.gradient().toFloats())) {
          return new TrainingException(
              message + "; the gradient of parameter " + p.name() + " is not finite");
        }
      }
    }
    return new TrainingException(message + "; every parameter is finite, so look at its input");
  }

  private static boolean allFinite(float[] values) {
    for (float v : values) {
      if (!Float.isFinite(v)) {
        return false;
      }
    }
    return true;
  }

  @Override
  public void close() {
    replays.values().forEach(Replay::close);
    log.close();
    stopped.close();
  }
}
