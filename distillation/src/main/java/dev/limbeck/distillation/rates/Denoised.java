package dev.limbeck.distillation.rates;

/** The conditional mean E[x₀ | x₀ + σ n = x] of one point, in double precision. */
@FunctionalInterface
interface Denoised {
  /** Writes the conditional mean at x into {@code out}, which is another array. */
  void at(double[] x, double sigma, double[] out);

  /** The flow of dx/dσ = (x − D)/σ along descending levels, by Euler's or Heun's steps. */
  default double[] flow(double[] start, double[] sigmas, boolean heun) {
    int d = start.length;
    double[] x = start.clone();
    double[] clean = new double[d];
    double[] moved = new double[d];
    double[] corrected = new double[d];
    for (int i = 0; i + 1 < sigmas.length; i++) {
      double s = sigmas[i];
      double t = sigmas[i + 1];
      at(x, s, clean);
      for (int j = 0; j < d; j++) {
        moved[j] = x[j] + (t - s) * (x[j] - clean[j]) / s;
      }
      if (heun && t > 0) {
        at(moved, t, corrected);
        for (int j = 0; j < d; j++) {
          double here = (x[j] - clean[j]) / s;
          double there = (moved[j] - corrected[j]) / t;
          moved[j] = x[j] + (t - s) * (here + there) / 2;
        }
      }
      System.arraycopy(moved, 0, x, 0, d);
    }
    return x;
  }
}
