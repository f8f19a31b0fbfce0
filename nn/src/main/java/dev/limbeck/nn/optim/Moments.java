package dev.limbeck.nn.optim;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.op.AdamStep;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;

/** The first and second moments of the Adam family, and the number of steps. */
final class Moments implements AutoCloseable {
  private final Params params;
  private final Buffer first;
  private final Buffer second;
  private final Tensor steps;
  long count;

  Moments(Params params) {
    this.params = params;
    first = params.newArena();
    second = params.newArena();
    steps = Tensor.of(params.device(), Shape.of(1), 0);
    // Held, so that no scope closes it.
    steps.buffer().hold();
  }

  /**
   * Takes a step.
   *
   * @param scale of the gradient, in place of the coefficient, or null
   */
  void run(AdamStep.Coefficients at, Tensor scale, Ema average) {
    Buffer averaged = average == null ? null : average.arenaFor(params);
    params
        .device()
        .execute(
            new AdamStep(
                at,
                scale == null ? null : scale.buffer(),
                params.values(),
                params.gradients(),
                first,
                second,
                averaged,
                params.rounded()));
    // The step has written the rounded values too.
    params.values().changed();
    if (average != null) {
      average.params().touch();
    }
  }

  Map<String, Tensor> state() {
    steps.buffer().upload(new int[] {Math.toIntExact(count)}, 0);
    Map<String, Tensor> state = new LinkedHashMap<>();
    state.put("steps", steps);
    params.viewsOf(first).forEach((name, t) -> state.put("m." + name, t));
    params.viewsOf(second).forEach((name, t) -> state.put("v." + name, t));
    return state;
  }

  void restore(Map<String, Tensor> state) {
    Map<String, Tensor> mine = state();
    mine.forEach((name, t) -> States.copy(state, name, t));
    count = steps.toInts()[0];
  }

  @Override
  public void close() {
    first.close();
    second.close();
    steps.close();
  }
}
