package dev.limbeck.distillation.diffusion;

import static dev.limbeck.distillation.diffusion.Samplers.combine;

import dev.limbeck.distillation.diffusion.SamplingRun.History;
import dev.limbeck.tensor.Tensor;

/**
 * Adams–Bashforth methods on dx/dσ = ε, ε = (x − D)/σ: ε is extrapolated by a polynomial through
 * its last values in a variable u(σ), and integrated over σ.
 *
 * <p>The first steps have lower orders, while there is nothing to remember.
 */
final class MultistepSamplers {
  private MultistepSamplers() {}

  /** Nodes of the Gauss–Legendre rule on (−1, 1), those above 0; the rule has 16. */
  private static final double[] NODES = {
    0.0950125098376374402, 0.2816035507792589132, 0.4580167776572273863, 0.6178762444026437484,
    0.7554044083550030339, 0.8656312023878317439, 0.9445750230732325761, 0.9894009349916499326
  };

  private static final double[] WEIGHTS = {
    0.1894506104550684963, 0.1826034150449235888, 0.1691565193950025382, 0.1495959888165767321,
    0.1246289712555338720, 0.0951585116824927848, 0.0622535239386478929, 0.0271524594117540949
  };

  /** Parts of a step that the rule is applied to. */
  private static final int PANELS = 4;

  /** Linear multistep in σ itself, to the last level too: with order 1 Euler's method. */
  static Tensor lms(SamplingRun run, Tensor x) {
    return adams(run, x, TimeScale.SIGMA, false);
  }

  /**
   * DEIS: with u the time of the VP process the paper's tAB. A step to σ = 0 returns D.
   *
   * @paper Zhang and Chen 2022, arXiv 2204.13902
   */
  static Tensor deis(SamplingRun run, Tensor x) {
    return adams(run, x, TimeScale.of(run.settings), true);
  }

  private static Tensor adams(SamplingRun run, Tensor x, TimeScale scale, boolean cleanEnd) {
    int order = run.settings.whole(Tuning.ORDER);
    double[] sigmas = run.sigmas;
    try (History slopes = new History(order)) {
      return run.walk(
          x,
          (scope, state, i) -> {
            double from = sigmas[i];
            Tensor clean = run.denoise(state, from);
            if (sigmas[i + 1] == 0 && (cleanEnd || order == 1)) {
              return clean;
            }
            slopes.push(scope, combine(1 / from, state, -1 / from, clean));
            Tensor made = state.copy();
            for (int j = 0; j < slopes.size(); j++) {
              double c = coefficient(sigmas, i, j, slopes.size(), scale);
              made.addInPlace((float) c, slopes.get(j));
            }
            return made;
          });
    }
  }

  /** ∫ Π_{k≠j} (u(σ) − u_{i−k})/(u_{i−j} − u_{i−k}) dσ over step i, for the slope j steps back. */
  static double coefficient(double[] sigmas, int i, int j, int order, TimeScale scale) {
    double[] times = new double[order];
    for (int k = 0; k < order; k++) {
      times[k] = scale.time(sigmas[i - k]);
    }
    // σ = sinh w: w is like ln σ for large levels, and regular at 0.
    double start = asinh(sigmas[i]);
    double width = (asinh(sigmas[i + 1]) - start) / PANELS;
    double sum = 0;
    for (int panel = 0; panel < PANELS; panel++) {
      double middle = start + (panel + 0.5) * width;
      for (int n = 0; n < NODES.length; n++) {
        double away = NODES[n] * width / 2;
        double both = integrand(middle + away, times, j, scale);
        both += integrand(middle - away, times, j, scale);
        sum += WEIGHTS[n] * both * width / 2;
      }
    }
    return sum;
  }

  private static double integrand(double w, double[] times, int j, TimeScale scale) {
    double u = scale.time(Math.sinh(w));
    double product = Math.cosh(w);
    for (int k = 0; k < times.length; k++) {
      if (k != j) {
        product *= (u - times[k]) / (times[j] - times[k]);
      }
    }
    return product;
  }

  private static double asinh(double x) {
    return Math.log(x + Math.sqrt(x * x + 1));
  }
}
