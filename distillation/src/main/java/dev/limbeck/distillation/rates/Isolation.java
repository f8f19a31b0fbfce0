package dev.limbeck.distillation.rates;

/**
 * The optimum of consistency training on a mixture on the line: with f₀ = identity at the smallest
 * level, f_{n+1}(x) = E[f_n(x₀ + σ_n z) | x₀ + σ_{n+1} z = x].
 *
 * <p>Given x and the component, x₀ is normal, so that the expectation is Gauss-Hermite quadrature
 * of f_n, which is kept on a fine grid and interpolated linearly.
 *
 * @paper Song et al. 2023, arXiv 2303.01469, section 5
 */
final class Isolation {
  private static final int CELLS = 4000;

  /** The grid reaches so many deviations of x_σ to either side. */
  private static final double REACH = 7;

  /** Nodes and weights of Gauss-Hermite quadrature for the standard normal distribution. */
  private static final double[][] NODES = hermite(20);

  private final double reach;
  private final double[] values;

  private Isolation(double reach, double[] values) {
    this.reach = reach;
    this.values = values;
  }

  /** The optimum at the first of the descending levels. */
  static Isolation optimum(Mixture data, double[] sigmas) {
    int last = sigmas.length - 1;
    Isolation f = identity(reach(data, sigmas[last]));
    for (int i = last; i > 0; i--) {
      f = above(f, data, sigmas[i], sigmas[i - 1]);
    }
    return f;
  }

  private static double reach(Mixture data, double sigma) {
    return 1 + REACH * Math.sqrt(data.variance() + sigma * sigma);
  }

  private static Isolation identity(double reach) {
    double[] values = new double[CELLS + 1];
    for (int i = 0; i <= CELLS; i++) {
      values[i] = place(i, reach);
    }
    return new Isolation(reach, values);
  }

  private static double place(int i, double reach) {
    return reach * (2.0 * i / CELLS - 1);
  }

  private static Isolation above(Isolation f, Mixture data, double low, double high) {
    double reach = reach(data, high);
    double[] values = new double[CELLS + 1];
    double v = data.variance();
    double shrink = v / (v + high * high);
    double deviation = high * Math.sqrt(shrink);
    double r = low / high;
    double[] x = new double[1];
    for (int i = 0; i <= CELLS; i++) {
      x[0] = place(i, reach);
      double[] share = data.responsibilities(x, high);
      for (int k = 0; k < share.length; k++) {
        double m = data.means()[k][0];
        double centre = m + shrink * (x[0] - m);
        double sum = 0;
        for (int q = 0; q < NODES[0].length; q++) {
          double clean = centre + deviation * NODES[0][q];
          sum += NODES[1][q] * f.at(clean + r * (x[0] - clean));
        }
        values[i] += share[k] * sum;
      }
    }
    return new Isolation(reach, values);
  }

  /** f(x); beyond the grid on the straight line of its last cell. */
  double at(double x) {
    double place = (x / reach + 1) / 2 * CELLS;
    int i = (int) Math.max(0, Math.min(CELLS - 1.0, Math.floor(place)));
    return values[i] + (place - i) * (values[i + 1] - values[i]);
  }

  /** By Newton's method on the normalised Hermite polynomials. */
  private static double[][] hermite(int n) {
    double[][] rule = new double[2][n];
    for (int i = 0; i < n; i++) {
      // Chebyshev-like first guesses in order, polished with the roots already found divided out.
      double x = Math.sqrt(2.0 * n + 1) * Math.cos(Math.PI * (i + .75) / (n + .5));
      double slope = 0;
      for (int step = 0; step < 200; step++) {
        double previous = 0;
        double value = Math.pow(2 * Math.PI, -.25);
        for (int k = 1; k <= n; k++) {
          double next = (x * value - Math.sqrt(k - 1.0) * previous) / Math.sqrt(k);
          previous = value;
          value = next;
        }
        slope = Math.sqrt(n) * previous;
        double deflation = 0;
        for (int j = 0; j < i; j++) {
          deflation += 1 / (x - rule[0][j]);
        }
        double change = value / (slope - value * deflation);
        x -= change;
        if (Math.abs(change) < 1e-14) {
          break;
        }
      }
      rule[0][i] = x;
      rule[1][i] = 1 / (slope * slope);
    }
    double total = 0;
    for (double w : rule[1]) {
      total += w;
    }
    for (int i = 0; i < n; i++) {
      rule[1][i] /= total;
    }
    return rule;
  }
}
