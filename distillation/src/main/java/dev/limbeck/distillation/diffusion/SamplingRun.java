package dev.limbeck.distillation.diffusion;

import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;

/**
 * One use of a sampler: what is sampled from, where its noise comes from, and the loop over the
 * grid.
 */
final class SamplingRun {
  /** The stream of the Brownian path; those of single steps are numbered from 0. */
  private static final long PATH = -1;

  final double[] sigmas;
  final SamplerSettings settings;
  private final Denoiser denoiser;
  private final Tensor labels;
  private final Rng rng;
  private final long firstRow;
  private int evaluations;

  /** One step: the state at level i + 1 from that at level i. */
  @FunctionalInterface
  interface Step {
    /**
     * Takes the step.
     *
     * @param scope what is kept past the step is kept from here
     */
    Tensor take(Scope scope, Tensor state, int i);
  }

  SamplingRun(
      SamplerSettings settings,
      double[] sigmas,
      Denoiser denoiser,
      Tensor labels,
      Rng rng,
      long firstRow) {
    this.settings = settings;
    this.sigmas = sigmas;
    this.denoiser = denoiser;
    this.labels = labels;
    this.rng = rng;
    this.firstRow = firstRow;
  }

  int steps() {
    return sigmas.length - 1;
  }

  double get(Tuning tuning) {
    return settings.get(tuning);
  }

  /** How often the denoiser has been asked. */
  int evaluations() {
    return evaluations;
  }

  Tensor denoise(Tensor x, double sigma) {
    return denoise(x, Samplers.level(x, sigma));
  }

  Tensor denoise(Tensor x, Tensor sigma) {
    evaluations++;
    return denoiser.denoise(x, sigma, labels);
  }

  /** Unit noise of a step, independent of that of all others; row i belongs to sample i. */
  Tensor noise(Tensor like, int step) {
    return rng.split(step).normalRows(like.device(), like.shape(), firstRow);
  }

  /** The path that drives this run where noise has to agree between grids. */
  BrownianPath path(double rate) {
    return rng == null ? null : new BrownianPath(rng.split(PATH), firstRow, rate);
  }

  /** All steps, one after the other; {@code x} is left alone. */
  Tensor walk(Tensor x, Step step) {
    return walk(x, steps(), step);
  }

  Tensor walk(Tensor x, int steps, Step step) {
    Tensor state = x;
    for (int i = 0; i < steps; i++) {
      try (Scope scope = Scope.open()) {
        Tensor made = step.take(scope, state, i);
        if (state != x && made != state) {
          state.close();
        }
        state = scope.keep(made);
      }
    }
    return state;
  }

  /** The last few denoised states, or whatever a multistep method remembers; newest first. */
  static final class History implements AutoCloseable {
    private final Deque<Tensor> kept = new ArrayDeque<>();
    private final int most;

    History(int most) {
      this.most = most;
    }

    int size() {
      return kept.size();
    }

    /** Entry {@code back}, 0 for the newest. */
    Tensor get(int back) {
      Iterator<Tensor> each = kept.iterator();
      for (int i = 0; i < back; i++) {
        each.next();
      }
      return each.next();
    }

    /** Takes over a tensor of the given scope, the innermost one. */
    void push(Scope scope, Tensor made) {
      kept.addFirst(scope.keep(made));
      if (kept.size() > most) {
        kept.removeLast().close();
      }
    }

    @Override
    public void close() {
      kept.forEach(Tensor::close);
      kept.clear();
    }
  }
}
