package dev.limbeck.nn.optim;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.op.Copy;
import dev.limbeck.kernels.op.MovingAverage;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * An exponential moving average of a network's parameters, in an arena of its own.
 *
 * <p>average ← β·average + (1 − β)·values, β by one of three {@linkplain Kind kinds}. Several
 * averages of one network may exist side by side.
 */
public final class Ema implements AutoCloseable {
  private final Params source;
  private final Params params;
  private final Kind kind;
  private final int batch;
  private final Tensor counted;
  private long updates;

  /** How β depends on the number of updates and of samples seen. */
  @FunctionalInterface
  public interface Kind {
    /** β of update number {@code update} (from 1), after {@code samples} samples in all. */
    double beta(long update, double samples, int batch);

    /** A constant β. */
    static Kind rate(double beta) {
      return (update, samples, batch) -> beta;
    }

    /**
     * β = ½^(batch/halfLife), the half-life in samples; it is at most {@code rampUp} times the
     * samples seen, so that early values are soon forgotten.
     *
     * @param rampUp 0.05 in EDM; infinity for none
     * @paper Karras et al. 2022, 2206.00364
     */
    static Kind halfLife(double halfLife, double rampUp) {
      return (update, samples, batch) -> {
        double life = Math.min(halfLife, rampUp * samples);
        return life > 0 ? Math.pow(0.5, batch / life) : 0;
      };
    }

    /**
     * β = (1 − 1/t)^(γ+1): a profile that is a power of time, the same shape at every length.
     *
     * @paper Karras et al. 2024, 2312.02696, equation 9
     */
    static Kind power(double gamma) {
      return (update, samples, batch) -> Math.pow(1 - 1.0 / update, gamma + 1);
    }

    /** {@link #power} by the width of the profile relative to the training time, such as 0.05. */
    static Kind powerWidth(double relativeDeviation) {
      return power(gammaOf(relativeDeviation));
    }

    /**
     * Solves σ² = (γ+1)/((γ+2)²(γ+3)) for γ; σ falls as γ grows, so bisection does.
     *
     * @throws IllegalArgumentException if the width is not in (0, 0.28]
     */
    static double gammaOf(double relativeDeviation) {
      if (!(relativeDeviation > 0 && relativeDeviation <= 0.28)) {
        throw new IllegalArgumentException(
            "ema: the relative width " + relativeDeviation + " is not in (0, 0.28]");
      }
      double low = 0;
      double high = 1e6;
      for (int i = 0; i < 200; i++) {
        double g = 0.5 * (low + high);
        double width = Math.sqrt((g + 1) / ((g + 2) * (g + 2) * (g + 3)));
        if (width > relativeDeviation) {
          low = g;
        } else {
          high = g;
        }
      }
      return 0.5 * (low + high);
    }
  }

  /**
   * An average that starts at the source's present values.
   *
   * @param batch samples per update
   */
  public Ema(Params source, Kind kind, int batch) {
    this.source = source;
    this.kind = kind;
    this.batch = batch;
    this.params = source.copy();
    this.counted = Tensor.of(source.device(), Shape.of(1), 0);
    // Held, so that no scope closes it.
    counted.buffer().hold();
  }

  /** As {@link #Ema(Params, Kind, int)} for kinds that do not ask for the batch size. */
  public Ema(Params source, Kind kind) {
    this(source, kind, 1);
  }

  /** The averaged parameters; a network of the same structure can take them over. */
  public Params params() {
    return params;
  }

  /** The parameters that are averaged. */
  public Params source() {
    return source;
  }

  /** Number of updates made. */
  public long updates() {
    return updates;
  }

  /** Moves the average towards the source's present values. */
  public void update() {
    float rate = nextRate(this);
    source.device().execute(new MovingAverage(rate, source.values(), params.values()));
    params.touch();
  }

  /** Counts an update and returns its 1 − β; 0 for no average. */
  static float nextRate(Ema average) {
    if (average == null) {
      return 0f;
    }
    average.updates++;
    double samples = (double) average.updates * average.batch;
    return (float) (1 - average.kind.beta(average.updates, samples, average.batch));
  }

  /** The arena that the step of these parameters is to update. */
  Buffer arenaFor(Params stepped) {
    if (stepped != source) {
      throw new IllegalArgumentException("ema: it averages other parameters than the optimizer's");
    }
    return params.values();
  }

  /** Writes the average over another network's parameters of the same names and shapes. */
  public void copyTo(Params target) {
    target.copyFrom(params);
  }

  /** Exchanges the average and the source's values; a second call undoes the first. */
  public void swap() {
    Buffer spare = source.newArena();
    try {
      source.device().execute(new Copy(source.values(), spare));
      source.device().execute(new Copy(params.values(), source.values()));
      source.device().execute(new Copy(spare, params.values()));
    } finally {
      spare.close();
    }
    source.touch();
    params.touch();
  }

  /** Everything a later run needs to continue bit for bit: live views, not copies. */
  public Map<String, Tensor> state() {
    counted.buffer().upload(new int[] {Math.toIntExact(updates)}, 0);
    Map<String, Tensor> state = new LinkedHashMap<>();
    state.put("updates", counted);
    params.viewsOf(params.values()).forEach((name, t) -> state.put("average." + name, t));
    return state;
  }

  /**
   * Continues from a {@link #state} of the same parameters.
   *
   * @throws IllegalArgumentException if a tensor is missing or has another shape
   */
  public void restore(Map<String, Tensor> state) {
    state().forEach((name, t) -> States.copy(state, name, t));
    updates = counted.toInts()[0];
    params.touch();
  }

  /** Gives the arena back. */
  @Override
  public void close() {
    params.close();
    counted.close();
  }
}
