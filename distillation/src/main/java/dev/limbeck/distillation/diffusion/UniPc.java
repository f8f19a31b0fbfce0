package dev.limbeck.distillation.diffusion;

import static dev.limbeck.distillation.diffusion.Samplers.combine;

import dev.limbeck.distillation.diffusion.SamplingRun.History;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Tensor;

/**
 * UniPC in data prediction: a multistep predictor, and a corrector that uses the next step's
 * evaluation, so that a step costs one.
 *
 * <p>The evaluation is made at the predicted state and not repeated at the corrected one. The first
 * steps have lower orders; where the grid ends in 0, so do the last ones, and the last returns D.
 * The last step has no corrector.
 *
 * @paper Zhao et al. 2023, arXiv 2302.04867, algorithms 1 and 2
 */
final class UniPc {
  private final SamplingRun run;
  private final double[] sigmas;
  private final int most;
  private final boolean bh1;

  private UniPc(SamplingRun run) {
    this.run = run;
    sigmas = run.sigmas;
    most = run.settings.whole(Tuning.ORDER);
    bh1 = run.settings.is(Tuning.VARIANT, "bh1");
  }

  static Tensor solve(SamplingRun run, Tensor x) {
    return new UniPc(run).solve(x);
  }

  private Tensor solve(Tensor x) {
    int last = run.steps() - 1;
    // Of order p: the newest D, and p − 1 before it.
    try (History cleans = new History(most)) {
      try (Scope scope = Scope.open()) {
        cleans.push(scope, run.denoise(x, sigmas[0]));
      }
      return run.walk(
          x,
          (scope, state, i) -> {
            if (sigmas[i + 1] == 0) {
              return cleans.get(0).copy();
            }
            int order = order(i);
            Step step = new Step(i, order);
            Tensor base = step.base(state, cleans.get(0));
            Tensor predicted = base.copy();
            step.predict(predicted, cleans);
            if (i == last) {
              return predicted;
            }
            Tensor clean = run.denoise(predicted, sigmas[i + 1]);
            step.correct(base, cleans, clean);
            cleans.push(scope, clean);
            return base;
          });
    }
  }

  private int order(int i) {
    int order = Math.min(most, i + 1);
    return sigmas[run.steps()] == 0 ? Math.min(order, run.steps() - i) : order;
  }

  /** The coefficients of one step from level i, with h the step in −ln σ and B as of B(h). */
  private final class Step {
    private final int order;
    private final double h;
    private final double b;
    private final double[] r;
    private final double[] right;

    Step(int i, int order) {
      this.order = order;
      h = Math.log(sigmas[i] / sigmas[i + 1]);
      double big = Math.expm1(-h);
      b = bh1 ? -h : big;
      r = new double[order];
      for (int k = 0; k < order - 1; k++) {
        r[k] = -Math.log(sigmas[i - 1 - k] / sigmas[i]) / h;
      }
      r[order - 1] = 1;
      right = new double[order];
      double phi = big / -h - 1;
      double factorial = 1;
      for (int k = 1; k <= order; k++) {
        right[k - 1] = phi * factorial / b;
        factorial *= k + 1;
        phi = phi / -h - 1 / factorial;
      }
    }

    /** e^{−h} x + (1 − e^{−h}) D. */
    Tensor base(Tensor x, Tensor clean) {
      return combine(Math.exp(-h), x, -Math.expm1(-h), clean);
    }

    void predict(Tensor base, History cleans) {
      if (order > 1) {
        // For order 2 the paper takes ½ in place of the solution.
        double[] rho = order == 2 ? new double[] {0.5} : solve(order - 1);
        add(base, cleans, rho);
      }
    }

    void correct(Tensor base, History cleans, Tensor clean) {
      double[] rho = order == 1 ? new double[] {0.5} : solve(order);
      add(base, cleans, rho);
      base.addInPlace((float) (-b * rho[order - 1]), combine(1, clean, -1, cleans.get(0)));
    }

    /** Subtracts B Σ ρ_k (D_{−k} − D_0)/r_k over the remembered steps. */
    private void add(Tensor base, History cleans, double[] rho) {
      for (int k = 0; k < order - 1; k++) {
        Tensor change = combine(1, cleans.get(k + 1), -1, cleans.get(0));
        base.addInPlace((float) (-b * rho[k] / r[k]), change);
      }
    }

    /** Σ_j r_j^{k−1} ρ_j = right_k for k = 1…n, by elimination with the largest pivot. */
    private double[] solve(int n) {
      double[][] rows = new double[n][n + 1];
      for (int k = 0; k < n; k++) {
        for (int j = 0; j < n; j++) {
          rows[k][j] = Math.pow(r[j], k);
        }
        rows[k][n] = right[k];
      }
      for (int c = 0; c < n; c++) {
        int pivot = c;
        for (int k = c + 1; k < n; k++) {
          pivot = Math.abs(rows[k][c]) > Math.abs(rows[pivot][c]) ? k : pivot;
        }
        double[] swapped = rows[c];
        rows[c] = rows[pivot];
        rows[pivot] = swapped;
        for (int k = 0; k < n; k++) {
          double factor = k == c ? 0 : rows[k][c] / rows[c][c];
          for (int j = c; factor != 0 && j <= n; j++) {
            rows[k][j] -= factor * rows[c][j];
          }
        }
      }
      double[] rho = new double[n];
      for (int k = 0; k < n; k++) {
        rho[k] = rows[k][n] / rows[k][k];
      }
      return rho;
    }
  }
}
