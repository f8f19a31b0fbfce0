package dev.limbeck.distillation.diffusion;

import static dev.limbeck.distillation.diffusion.Samplers.combine;

import dev.limbeck.distillation.diffusion.SamplingRun.History;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Tensor;

/**
 * From data to noise: the probability-flow ODE dx/dσ = (x − D)/σ along a rising grid.
 *
 * <p>What comes out, sampled down the same grid by the method of the same name, is the data again
 * up to the method's error; with another label it is their translation into that class. The unit
 * noise of a code at level σ is x/σ.
 *
 * @paper Song et al. 2020, arXiv 2010.02502, section 4.3; Meng et al. 2023, arXiv 2210.03142
 */
public final class Encoding {
  private Encoding() {}

  /**
   * Euler's method, DDIM inversion: the error is of first order.
   *
   * @param sigmas rising levels; from 0, where ε = (x − D)/σ has no value, the first step takes
   *     that of the next level
   * @shape x and the result: [N,…]; labels: [N] or null
   */
  public static Tensor euler(Denoiser denoiser, Tensor x, double[] sigmas, Tensor labels) {
    SamplingRun run = run(denoiser, sigmas, labels);
    return run.walk(
        x,
        (scope, state, i) -> {
          double to = sigmas[i + 1];
          Tensor slope = slope(run, state, sigmas[i] == 0 ? to : sigmas[i]);
          return combine(1, state, to - sigmas[i], slope);
        });
  }

  /**
   * Heun's method: the error is of second order, with two evaluations a step.
   *
   * @param sigmas rising levels; a first step from 0 is Euler's
   * @shape x and the result: [N,…]; labels: [N] or null
   */
  public static Tensor heun(Denoiser denoiser, Tensor x, double[] sigmas, Tensor labels) {
    SamplingRun run = run(denoiser, sigmas, labels);
    return run.walk(
        x,
        (scope, state, i) -> {
          double to = sigmas[i + 1];
          double h = to - sigmas[i];
          Tensor slope = slope(run, state, sigmas[i] == 0 ? to : sigmas[i]);
          Tensor euler = combine(1, state, h, slope);
          if (sigmas[i] == 0) {
            return euler;
          }
          Tensor half = combine(1, state, h / 2, slope);
          return half.addInPlace((float) (h / 2), slope(run, euler, to));
        });
  }

  /**
   * Two-step Adams–Bashforth: the error is of second order, with one evaluation a step.
   *
   * @param sigmas rising levels; the first step is Euler's
   * @shape x and the result: [N,…]; labels: [N] or null
   */
  public static Tensor multistep(Denoiser denoiser, Tensor x, double[] sigmas, Tensor labels) {
    SamplingRun run = run(denoiser, sigmas, labels);
    try (History slopes = new History(2)) {
      return run.walk(x, (scope, state, i) -> step(scope, run, slopes, state, i));
    }
  }

  private static Tensor step(Scope scope, SamplingRun run, History slopes, Tensor state, int i) {
    double[] sigmas = run.sigmas;
    double h = sigmas[i + 1] - sigmas[i];
    slopes.push(scope, slope(run, state, sigmas[i] == 0 ? sigmas[i + 1] : sigmas[i]));
    Tensor euler = combine(1, state, h, slopes.get(0));
    // The slope of a first step from 0 belongs to the level after it: no line through two points.
    if (slopes.size() < 2 || (i == 1 && sigmas[0] == 0)) {
      return euler;
    }
    double r = h / (2 * (sigmas[i] - sigmas[i - 1]));
    Tensor change = combine(1, slopes.get(0), -1, slopes.get(1));
    return euler.addInPlace((float) (h * r), change);
  }

  private static SamplingRun run(Denoiser denoiser, double[] sigmas, Tensor labels) {
    for (int i = 0; i < sigmas.length; i++) {
      if (i == 0 ? !(sigmas[0] >= 0) : !(sigmas[i] > sigmas[i - 1])) {
        throw new IllegalArgumentException(
            "encoding goes up a grid of noise levels, but number " + (i + 1) + " is " + sigmas[i]);
      }
    }
    return new SamplingRun(Samplers.Method.EULER.settings(), sigmas, denoiser, labels, null, 0);
  }

  private static Tensor slope(SamplingRun run, Tensor x, double sigma) {
    return combine(1 / sigma, x, -1 / sigma, run.denoise(x, sigma));
  }
}
