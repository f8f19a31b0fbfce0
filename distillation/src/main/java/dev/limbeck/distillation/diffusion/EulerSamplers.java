package dev.limbeck.distillation.diffusion;

import static dev.limbeck.distillation.diffusion.Samplers.combine;

import dev.limbeck.tensor.Tensor;

/** One-step methods of first and second order, with noise that is added before or after a step. */
final class EulerSamplers {
  private EulerSamplers() {}

  /** x after noise has been added, and the level it is at. */
  private record Start(Tensor x, double sigma) {}

  /**
   * Euler's method on dx/dσ = (x − D)/σ.
   *
   * @paper Song et al. 2020, arXiv 2010.02502; Karras et al. 2022, arXiv 2206.00364
   */
  static Tensor euler(SamplingRun run, Tensor x) {
    BrownianPath path = run.path(1);
    return run.walk(
        x,
        (scope, state, i) -> {
          Start start = churn(run, path, state, i);
          Tensor clean = run.denoise(start.x, start.sigma);
          return towards(start.x, clean, start.sigma, run.sigmas[i + 1]);
        });
  }

  /**
   * Heun's method with churn.
   *
   * @paper Karras et al. 2022, arXiv 2206.00364, algorithm 2
   */
  static Tensor heun(SamplingRun run, Tensor x) {
    BrownianPath path = run.path(1);
    return run.walk(
        x,
        (scope, state, i) -> {
          Start start = churn(run, path, state, i);
          double from = start.sigma;
          double to = run.sigmas[i + 1];
          Tensor clean = run.denoise(start.x, from);
          Tensor euler = towards(start.x, clean, from, to);
          if (to == 0) {
            return euler;
          }
          Tensor corrected = run.denoise(euler, to);
          // x + (to − from)/2 · ((x − D)/from + (x' − D')/to)
          double h = (to - from) / 2;
          Tensor half = combine(1 + h / from, start.x, -h / from, clean);
          return combine(1, half, h / to, combine(1, euler, -1, corrected));
        });
  }

  /**
   * The midpoint method in ln σ with churn, which is DPM-Solver-2.
   *
   * @paper Lu et al. 2022, arXiv 2206.00927, algorithm 1
   */
  static Tensor dpm2(SamplingRun run, Tensor x) {
    BrownianPath path = run.path(1);
    return run.walk(
        x,
        (scope, state, i) -> {
          Start start = churn(run, path, state, i);
          return midpoint(run, start.x, start.sigma, run.sigmas[i + 1]);
        });
  }

  /** {@link #dpm2} down to less noise than the next level has, and noise to make up for it. */
  static Tensor dpm2Ancestral(SamplingRun run, Tensor x) {
    BrownianPath path = run.path(1);
    return run.walk(
        x,
        (scope, state, i) -> {
          Split split = Split.of(run, i);
          Tensor made = midpoint(run, state, run.sigmas[i], split.down);
          return split.add(run, path, made, i);
        });
  }

  private static Tensor midpoint(SamplingRun run, Tensor x, double from, double to) {
    Tensor clean = run.denoise(x, from);
    if (to == 0) {
      return clean;
    }
    double middle = Math.sqrt(from * to);
    Tensor inside = towards(x, clean, from, middle);
    Tensor there = run.denoise(inside, middle);
    // x + (to − from) (x' − D')/middle
    double slope = (to - from) / middle;
    return combine(1, x, slope, combine(1, inside, -1, there));
  }

  /**
   * Euler's method down to less noise than the next level has, and noise to make up for it: DDIM
   * with that η, and DDPM for η = 1.
   *
   * <p>On the variance-preserving process DDIM's variance is η² b_s²/b_t² (1 − a_t²/a_s²); divided
   * by a_s² that is η² σ_s² (σ_t² − σ_s²)/σ_t², the {@code up}² of {@link Split}.
   *
   * @paper Song et al. 2020, arXiv 2010.02502, equations 12 and 16; Ho et al. 2020, arXiv
   *     2006.11239, algorithm 2
   */
  static Tensor ancestral(SamplingRun run, Tensor x) {
    BrownianPath path = run.path(1);
    return run.walk(
        x,
        (scope, state, i) -> {
          Split split = Split.of(run, i);
          Tensor clean = run.denoise(state, run.sigmas[i]);
          return split.add(run, path, towards(state, clean, run.sigmas[i], split.down), i);
        });
  }

  /**
   * A step to less noise than the next level has, {@code down}, and the deviation {@code up} of
   * what is added then: down² + up² = to², unless more noise is asked for.
   */
  record Split(double down, double up) {
    static Split of(SamplingRun run, int i) {
      double from = run.sigmas[i];
      double to = run.sigmas[i + 1];
      Split split = of(from, to, run.get(Tuning.ETA));
      if (to > 0 && run.settings.is(Tuning.VARIANCE, "large")) {
        // β_t = 1 − a_t²/a_s² over a_s², with a² = 1/(1 + σ²).
        double beta = (1 + to * to) * (from * from - to * to) / (1 + from * from);
        return new Split(split.down, Math.sqrt(beta));
      }
      return split;
    }

    static Split of(double from, double to, double eta) {
      double up = Math.min(to, eta * to * Math.sqrt(1 - (to / from) * (to / from)));
      // to² − up² without cancellation for η = 1, where it is to⁴/from².
      double down = eta == 1 ? to * to / from : Math.sqrt(Math.max(0, (to - up) * (to + up)));
      return new Split(down, up);
    }

    /** The state with noise of the path between the two levels of step i. */
    Tensor add(SamplingRun run, BrownianPath path, Tensor made, int i) {
      if (up == 0 || run.get(Tuning.S_NOISE) == 0) {
        return made;
      }
      Tensor n = path.unit(made, run.sigmas[i], run.sigmas[i + 1]);
      return combine(1, made, up * run.get(Tuning.S_NOISE), n);
    }
  }

  /** Euler's step r x + (1 − r) D with r = to/from. */
  static Tensor towards(Tensor x, Tensor clean, double from, double to) {
    if (to == 0) {
      return clean;
    }
    double r = to / from;
    return combine(r, x, 1 - r, clean);
  }

  /**
   * Karras et al.'s churn: noise up from σ_i to σ_i (1 + γ), of deviation σ_i √(γ (2 + γ)).
   *
   * <p>With γ = S_churn/N and ever more steps it is the noise of a reverse SDE, of variance 2 γ σ²
   * in each step. The noises of a grid's steps have to be independent, and those of a finer grid
   * have to add up to them: both hold for what the path does from σ_i to σ_{i+1}. They would not
   * for its way from σ_i (1 + γ) to σ_i, which can overlap that of the step before, or leave gaps.
   * A step to σ = 0, where the path's clock has no end, takes the way to σ_i / (1 + γ).
   */
  private static Start churn(SamplingRun run, BrownianPath path, Tensor state, int i) {
    double sigma = run.sigmas[i];
    double amount = run.get(Tuning.S_CHURN);
    boolean inRange = sigma >= run.get(Tuning.S_TMIN) && sigma <= run.get(Tuning.S_TMAX);
    double gamma = inRange ? Math.min(amount / run.steps(), Math.sqrt(2) - 1) : 0;
    if (gamma == 0) {
      return new Start(state, sigma);
    }
    double from = sigma * (1 + gamma);
    double added = Math.sqrt(from * from - sigma * sigma) * run.get(Tuning.S_NOISE);
    double to = run.sigmas[i + 1] > 0 ? run.sigmas[i + 1] : sigma / (1 + gamma);
    return new Start(combine(1, state, added, path.unit(state, sigma, to)), from);
  }
}
