package dev.limbeck.distillation.diffusion;

import static dev.limbeck.distillation.diffusion.Samplers.combine;

import dev.limbeck.distillation.diffusion.EulerSamplers.Split;
import dev.limbeck.distillation.diffusion.SamplingRun.History;
import dev.limbeck.tensor.Tensor;

/**
 * DPM-Solver++: exponential integrators that take D for the smooth part, in the variable λ = −ln σ.
 *
 * <p>With h = λ_t − λ_s the exact solution is x_t = e^{−h} x_s + ∫ e^{−(λ_t−λ)} D dλ; the methods
 * differ in how D is extrapolated. A step to σ = 0 has h = ∞ and returns D.
 *
 * @paper Lu et al. 2022, arXiv 2211.01095
 */
final class DpmPlusPlus {
  private DpmPlusPlus() {}

  /** The singlestep method 2S down to less noise than the next level has, and noise after it. */
  static Tensor singlestep2(SamplingRun run, Tensor x) {
    BrownianPath path = run.path(1);
    double r = run.get(Tuning.R);
    return run.walk(
        x,
        (scope, state, i) -> {
          double from = run.sigmas[i];
          Split split = Split.of(run, i);
          Tensor clean = run.denoise(state, from);
          if (split.down() == 0) {
            return split.add(run, path, clean, i);
          }
          double h = Math.log(from / split.down());
          double middle = from * Math.exp(-r * h);
          Tensor inside = exponential(state, clean, r * h);
          Tensor there = run.denoise(inside, middle);
          Tensor direction = extrapolate(clean, there, 1 / (2 * r));
          return split.add(run, path, exponential(state, direction, h), i);
        });
  }

  /**
   * DPM-Solver++ (SDE) with two evaluations a step: the stage in between carries the noise of the
   * path up to it.
   */
  static Tensor sde(SamplingRun run, Tensor x) {
    BrownianPath path = run.path(1);
    double eta = run.get(Tuning.ETA);
    double r = run.get(Tuning.R);
    return run.walk(
        x,
        (scope, state, i) -> {
          double from = run.sigmas[i];
          double to = run.sigmas[i + 1];
          Tensor clean = run.denoise(state, from);
          if (to == 0) {
            return clean;
          }
          double middle = from * Math.pow(to / from, r);
          Split first = Split.of(from, middle, eta);
          Tensor inside = exponential(state, clean, Math.log(from / first.down()));
          inside = noisy(run, path, inside, from, middle, first.up());
          Tensor there = run.denoise(inside, middle);
          Split whole = Split.of(from, to, eta);
          Tensor direction = extrapolate(clean, there, 1 / (2 * r));
          Tensor made = exponential(state, direction, Math.log(from / whole.down()));
          return noisy(run, path, made, from, to, whole.up());
        });
  }

  /** DPM-Solver++(2M): the last D is remembered; the first step is of first order. */
  static Tensor multistep2(SamplingRun run, Tensor x) {
    try (History cleans = new History(1)) {
      return run.walk(
          x,
          (scope, state, i) -> {
            Tensor clean = run.denoise(state, run.sigmas[i]);
            if (run.sigmas[i + 1] == 0) {
              return clean;
            }
            double r = run.sigmas[i + 1] / run.sigmas[i];
            Tensor direction = clean;
            if (cleans.size() > 0) {
              // r0 is the last step over this one.
              double r0 = Math.log(run.sigmas[i] / run.sigmas[i - 1]) / Math.log(r);
              direction = combine(1 + 1 / (2 * r0), clean, -1 / (2 * r0), cleans.get(0));
            }
            Tensor made = combine(r, state, 1 - r, direction);
            cleans.push(scope, clean);
            return made;
          });
    }
  }

  /** DPM-Solver++(2M) on the reverse SDE of stochasticity η. */
  static Tensor multistep2Sde(SamplingRun run, Tensor x) {
    boolean heun = run.settings.is(Tuning.SOLVER, "heun");
    return multistepSde(
        run,
        x,
        1,
        (made, clean, cleans, g, i) -> {
          double r = stepOver(run, i, 1) / stepOver(run, i, 0);
          double weight = (heun ? phi2(g) : -Math.expm1(-g) / 2) / r;
          return made.addInPlace((float) weight, combine(1, clean, -1, cleans.get(0)));
        });
  }

  /**
   * DPM-Solver++(3M) on the reverse SDE of stochasticity η, and on the ODE for η = 0.
   *
   * <p>The released codes take the second divided difference of D, which is half its second
   * derivative, for that derivative, and so are of second order; {@link Tuning#CURVATURE} says
   * which is meant.
   */
  static Tensor multistep3Sde(SamplingRun run, Tensor x) {
    return multistepSde(
        run, x, 2, (made, clean, cleans, g, i) -> third(run, made, clean, cleans, g, i));
  }

  private static Tensor third(
      SamplingRun run, Tensor made, Tensor clean, History cleans, double g, int i) {
    double h = stepOver(run, i, 0);
    double r0 = stepOver(run, i, 1) / h;
    Tensor newer = combine(1 / r0, clean, -1 / r0, cleans.get(0));
    if (cleans.size() < 2) {
      return made.addInPlace((float) phi2(g), newer);
    }
    double r1 = stepOver(run, i, 2) / h;
    Tensor older = combine(1 / r1, cleans.get(0), -1 / r1, cleans.get(1));
    Tensor change = combine(1, newer, -1, older);
    // Over the step, with s in units of it, D = D_0 + D' s + D'' s²/2, where D''/2 is the second
    // divided difference and D' the newer slope and r0 of them. s weighs φ2, and s²/2 −φ3.
    double second = run.settings.is(Tuning.CURVATURE, "released") ? 1 : 2;
    double phi3 = phi2(g) / g - 0.5;
    made.addInPlace((float) phi2(g), newer);
    return made.addInPlace((float) ((phi2(g) * r0 - second * phi3) / (r0 + r1)), change);
  }

  /** The correction of a multistep method to the first-order step, made in place. */
  @FunctionalInterface
  private interface Correction {
    Tensor add(Tensor made, Tensor clean, History cleans, double g, int i);
  }

  private static Tensor multistepSde(SamplingRun run, Tensor x, int memory, Correction correction) {
    double eta = run.get(Tuning.ETA);
    BrownianPath path = eta == 0 ? null : run.path(eta);
    try (History cleans = new History(memory)) {
      return run.walk(
          x,
          (scope, state, i) -> {
            double from = run.sigmas[i];
            double to = run.sigmas[i + 1];
            Tensor clean = run.denoise(state, from);
            if (to == 0) {
              return clean;
            }
            double h = Math.log(from / to);
            double g = h * (1 + eta);
            Tensor made = exponential(state, clean, g);
            if (cleans.size() > 0) {
              made = correction.add(made, clean, cleans, g, i);
            }
            cleans.push(scope, clean);
            double up = to * Math.sqrt(-Math.expm1(-2 * eta * h));
            return noisy(run, path, made, from, to, up);
          });
    }
  }

  private static Tensor noisy(
      SamplingRun run, BrownianPath path, Tensor x, double from, double to, double up) {
    double scale = up * run.get(Tuning.S_NOISE);
    return scale == 0 ? x : combine(1, x, scale, path.unit(x, from, to));
  }

  /** The step in λ that lies {@code back} steps before step i. */
  private static double stepOver(SamplingRun run, int i, int back) {
    return Math.log(run.sigmas[i - back] / run.sigmas[i - back + 1]);
  }

  /** e^{−h} x + (1 − e^{−h}) D. */
  private static Tensor exponential(Tensor x, Tensor clean, double h) {
    return combine(Math.exp(-h), x, -Math.expm1(-h), clean);
  }

  /** (1 − w) a + w b. */
  private static Tensor extrapolate(Tensor a, Tensor b, double w) {
    return w == 1 ? b : combine(1 - w, a, w, b);
  }

  /** (e^{−h} − 1)/h + 1, what a slope of D in λ over the step weighs; h/2 for small h. */
  private static double phi2(double h) {
    return Math.expm1(-h) / h + 1;
  }
}
