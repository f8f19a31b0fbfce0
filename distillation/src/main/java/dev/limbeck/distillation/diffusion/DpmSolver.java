package dev.limbeck.distillation.diffusion;

import static dev.limbeck.distillation.diffusion.Samplers.combine;

import dev.limbeck.distillation.diffusion.EulerSamplers.Split;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;

/**
 * DPM-Solver's singlestep methods of orders 1 to 3 in ε = (x − D)/σ on steps of equal length in λ =
 * −ln σ, where the solution is x_t = x_s − σ_t ∫ e^{λ_t−λ} ε dλ.
 *
 * @paper Lu et al. 2022, arXiv 2206.00927, algorithms 1 and 2 and section 3.4
 */
final class DpmSolver {
  private DpmSolver() {}

  /**
   * DPM-Solver-fast: between the first level of the grid and the last that is not 0, as many
   * evaluations as the grid has steps there, in methods of order 3 as far as they go. The levels in
   * between are its own. A final 0 in the grid is one more evaluation, whose answer is the sample.
   */
  static Tensor fast(SamplingRun run, Tensor x) {
    int budget = run.steps();
    double last = run.sigmas[budget];
    if (last == 0) {
      budget--;
      last = run.sigmas[budget];
    }
    int end = budget;
    double first = run.sigmas[0];
    double lowest = last;
    int[] orders = orders(budget);
    double h = orders.length == 0 ? 0 : Math.log(first / last) / orders.length;
    boolean toZero = end < run.steps();
    BrownianPath path = run.path(1);
    return run.walk(
        x,
        orders.length + (toZero ? 1 : 0),
        (scope, state, i) -> {
          double from = i == orders.length ? lowest : first * Math.exp(-i * h);
          if (i == orders.length) {
            return run.denoise(state, from);
          }
          double to = i + 1 == orders.length ? lowest : first * Math.exp(-(i + 1) * h);
          Split split = Split.of(from, to, run.get(Tuning.ETA));
          Tensor made = step(run, state, from, split.down(), orders[i]);
          double up = split.up() * run.get(Tuning.S_NOISE);
          return up == 0 ? made : combine(1, made, up, path.unit(made, from, to));
        });
  }

  /** Orders that sum to a number of evaluations, 3 as often as possible. */
  static int[] orders(int evaluations) {
    if (evaluations == 0) {
      return new int[0];
    }
    int steps = evaluations / 3 + 1;
    int[] orders = new int[steps];
    Arrays.fill(orders, 3);
    if (evaluations % 3 == 0) {
      orders[steps - 2] = 2;
      orders[steps - 1] = 1;
    } else {
      orders[steps - 1] = evaluations % 3;
    }
    return orders;
  }

  private static Tensor step(SamplingRun run, Tensor x, double from, double to, int order) {
    double h = Math.log(from / to);
    Tensor slope = slope(run, x, from);
    if (order == 1) {
      return combine(1, x, -to * Math.expm1(h), slope);
    }
    double r = order == 2 ? 1.0 / 2 : 1.0 / 3;
    double near = from * Math.exp(-r * h);
    Tensor inside = combine(1, x, -near * Math.expm1(r * h), slope);
    Tensor change = combine(1, slope(run, inside, near), -1, slope);
    if (order == 2) {
      Tensor euler = combine(1, x, -to * Math.expm1(h), slope);
      return euler.addInPlace((float) (-to * Math.expm1(h) / (2 * r)), change);
    }
    double far = from * Math.exp(-2 * r * h);
    Tensor second = combine(1, x, -far * Math.expm1(2 * r * h), slope);
    second.addInPlace((float) (-far * 2 * phi2(2 * r * h)), change);
    Tensor wide = combine(1, slope(run, second, far), -1, slope);
    Tensor euler = combine(1, x, -to * Math.expm1(h), slope);
    return euler.addInPlace((float) (-to * phi2(h) / (2 * r)), wide);
  }

  /** (e^h − 1)/h − 1. */
  static double phi2(double h) {
    return Math.expm1(h) / h - 1;
  }

  private static Tensor slope(SamplingRun run, Tensor x, double sigma) {
    return combine(1 / sigma, x, -1 / sigma, run.denoise(x, sigma));
  }
}
