package dev.limbeck.distillation.diffusion;

import static dev.limbeck.distillation.diffusion.EulerSamplers.towards;
import static dev.limbeck.distillation.diffusion.Samplers.combine;

import dev.limbeck.tensor.Tensor;

/** Samplers of distilled models, which go to clean data, or a long way, in each step. */
final class FewStepSamplers {
  private FewStepSamplers() {}

  /**
   * Denoises fully, adds fresh noise of the next level, and so on: x = f(x, σ_i) + σ_{i+1} n. A
   * final 0 in the grid is where nothing is left to denoise.
   *
   * <p>On the variance-preserving process this is LCM's step √ᾱ f + √(1−ᾱ) n, divided by √ᾱ.
   *
   * @paper Luo et al. 2023, arXiv 2310.04378; Yin et al. 2024, arXiv 2405.14867
   */
  static Tensor renoise(SamplingRun run, Tensor x) {
    return renoise(run, x, 0);
  }

  /**
   * Multistep consistency sampling: x = f(x, σ_i) + √(σ_{i+1}² − ε²) n, with ε the level at which f
   * is the identity.
   *
   * @paper Song et al. 2023, arXiv 2303.01469, algorithm 1
   */
  static Tensor consistency(SamplingRun run, Tensor x) {
    return renoise(run, x, run.get(Tuning.EPSILON));
  }

  private static Tensor renoise(SamplingRun run, Tensor x, double epsilon) {
    int evaluations = above(run.sigmas, epsilon);
    return run.walk(
        x,
        evaluations,
        (scope, state, i) -> {
          Tensor clean = run.denoise(state, run.sigmas[i]);
          if (i + 1 == evaluations) {
            return clean;
          }
          double next = run.sigmas[i + 1];
          double added = Math.sqrt((next - epsilon) * (next + epsilon));
          return combine(1, clean, added * run.get(Tuning.S_NOISE), run.noise(state, i));
        });
  }

  /** How many levels are above one; the first counts always. */
  static int above(double[] sigmas, double level) {
    int count = 1;
    while (count < sigmas.length && sigmas[count] > level) {
      count++;
    }
    return count;
  }

  /**
   * Strategic stochastic sampling: a step of DDIM beyond the next level, to the time (1 − γ) t, and
   * noise back up to it.
   *
   * @paper Zheng et al. 2024, arXiv 2402.19159
   */
  static Tensor tcd(SamplingRun run, Tensor x) {
    double gamma = run.get(Tuning.GAMMA);
    TimeScale scale = TimeScale.of(run.settings);
    return run.walk(
        x,
        (scope, state, i) -> {
          double from = run.sigmas[i];
          double to = run.sigmas[i + 1];
          double low = gamma == 0 ? to : gamma == 1 ? 0 : scale.sigma((1 - gamma) * scale.time(to));
          Tensor made = towards(state, run.denoise(state, from), from, low);
          double added = between(low, to) * run.get(Tuning.S_NOISE);
          return to > low ? combine(1, made, added, run.noise(made, i)) : made;
        });
  }

  /**
   * Meng et al.'s stochastic N-step sampler: a step of DDIM of double length, and noise back up by
   * one level; the last step is an ordinary one.
   *
   * <p>On even steps in ln σ these are the steps of {@link EulerSamplers#ancestral} with η = 1; on
   * others they tend to them, so that both lead to one picture of a {@link BrownianPath}, with
   * order 1. The last step but one to σ = 0 adds noise to clean data, and the last to any other
   * level adds none: each leaves an error of the size of the last level's noise.
   *
   * <p>Their deterministic sampler is {@link EulerSamplers#euler}.
   *
   * @paper Meng et al. 2023, arXiv 2210.03142
   */
  static Tensor doubleSteps(SamplingRun run, Tensor x) {
    BrownianPath path = run.path(1);
    return run.walk(
        x,
        (scope, state, i) -> {
          double from = run.sigmas[i];
          double to = run.sigmas[i + 1];
          double low = run.sigmas[Math.min(i + 2, run.steps())];
          Tensor made = towards(state, run.denoise(state, from), from, low);
          double added = between(low, to) * run.get(Tuning.S_NOISE);
          return added > 0 ? combine(1, made, added, path.unit(made, from, to)) : made;
        });
  }

  /** The deviation of the noise between two levels. */
  private static double between(double low, double high) {
    return Math.sqrt((high - low) * (high + low));
  }
}
