package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.distillation.ProgressiveDistillation.Solver;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.tensor.Tensor;

/** A teacher's steps, from one noise level to another of each sample's own. */
final class SolverSteps {
  /** Steps of {@link Solver#FINE_HEUN} for one of the first teacher's. */
  private static final int SUBSTEPS = 8;

  private SolverSteps() {}

  /** One step of a solver from one level to another for each sample. */
  static Tensor step(
      Denoiser d,
      Solver solver,
      Tensor x,
      double[] from,
      double[] to,
      StepInput in,
      Tensor labels) {
    if (solver == Solver.FINE_HEUN) {
      return fineStep(d, x, from, to, in, labels);
    }
    Tensor clean = d.denoise(x, in.perSample(from), labels);
    Tensor euler = towards(clean, x, from, to, in);
    if (solver == Solver.EULER) {
      return euler;
    }
    // Heun: half a step by the slope here, half by the slope there; a step to 0 stays Euler's.
    int n = from.length;
    double[] there = new double[n];
    double[] ofX = new double[n];
    double[] ofClean = new double[n];
    double[] ofSlope = new double[n];
    for (int i = 0; i < n; i++) {
      double h = (to[i] - from[i]) / 2;
      boolean toZero = to[i] == 0;
      there[i] = toZero ? from[i] : to[i];
      ofX[i] = toZero ? 0 : 1 + h / from[i];
      ofClean[i] = toZero ? 1 : -h / from[i];
      ofSlope[i] = toZero ? 0 : h / to[i];
    }
    Tensor corrected = d.denoise(euler, in.perSample(there), labels);
    Tensor half = RowOps.combine(in.perSample(ofX), x, in.perSample(ofClean), clean);
    Tensor slope = euler.sub(corrected);
    return RowOps.combine(Samplers.level(x, 1), half, in.perSample(ofSlope), slope);
  }

  private static Tensor fineStep(
      Denoiser d, Tensor x, double[] from, double[] to, StepInput in, Tensor labels) {
    Tensor state = x;
    double[] last = from;
    for (int k = 1; k <= SUBSTEPS; k++) {
      double[] next = new double[from.length];
      for (int i = 0; i < next.length; i++) {
        // Down to 0 with ρ = 7, half of the way would be one step.
        double rho = to[i] == 0 ? 2 : NoiseLevels.RHO;
        double high = Math.pow(from[i], 1 / rho);
        double low = Math.pow(to[i], 1 / rho);
        double at = (double) k / SUBSTEPS;
        next[i] = k == SUBSTEPS ? to[i] : Math.pow(high + at * (low - high), rho);
      }
      state = step(d, Solver.HEUN, state, last, next, in, labels);
      last = next;
    }
    return state;
  }

  /** x moved on the straight line to the clean estimate, from one noise level to another. */
  private static Tensor towards(Tensor clean, Tensor x, double[] from, double[] to, StepInput in) {
    double[] keep = new double[from.length];
    double[] move = new double[from.length];
    for (int i = 0; i < from.length; i++) {
      keep[i] = to[i] / from[i];
      move[i] = 1 - keep[i];
    }
    return RowOps.combine(in.perSample(keep), x, in.perSample(move), clean);
  }
}
