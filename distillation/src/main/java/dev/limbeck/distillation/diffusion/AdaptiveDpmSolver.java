package dev.limbeck.distillation.diffusion;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.distillation.diffusion.EulerSamplers.Split;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.function.IntToDoubleFunction;

/**
 * DPM-Solver-12 or -23: every sample chooses its own steps, by the difference of two orders and a
 * PID control.
 *
 * <p>Of the grid only the first level and the last that is not 0 matter; a final 0 is one more
 * evaluation, whose answer is the sample. Step sizes are the samples' own, so that a sample does
 * not depend on its batch; those that are done wait for the slowest. The errors are read from the
 * device after each trial: this sampler cannot be recorded.
 *
 * <p>Whether a step counts is told before its noise is added, and the noise is what the sample's
 * {@link BrownianPath} does over the step: a step that is tried again shorter goes along the same
 * path, and other tolerances lead to nearly the same picture.
 *
 * @cost with noise, some twenty small operations for each sample of each step, since every sample
 *     is at another place of its path: for thousands of points at once it is slow
 * @paper Lu et al. 2022, arXiv 2206.00927, appendix; Söderlind 2003, "Digital filters in adaptive
 *     time-stepping"
 */
final class AdaptiveDpmSolver {
  /** Trials after which the denoiser is thought to be at fault; usual runs need tens. */
  private static final int MOST_TRIALS = 10_000;

  /** Sizes below this in λ are no step. */
  private static final double END = 1e-5;

  private final SamplingRun run;
  private final BrownianPath path;
  private final int rows;
  private final int width;
  private final int order;
  private final double end;
  private final double[] at;
  private final double[] to;
  private final Control[] controls;

  /** The PID control of one sample's step in λ. */
  private final class Control {
    private double h = run.get(Tuning.H_INIT);
    private double[] inverse;

    /** Takes the error of a trial in, and tells whether the step counts. */
    boolean accepts(double error) {
      // Where noise is added, the difference of the orders falls off like h^1.5.
      double power = run.get(Tuning.ETA) == 0 ? order : 1.5;
      double p = run.get(Tuning.PCOEFF);
      double i = run.get(Tuning.ICOEFF);
      double d = run.get(Tuning.DCOEFF);
      double now = 1 / (error + 1e-8);
      if (inverse == null) {
        inverse = new double[] {now, now, now};
      }
      inverse[0] = now;
      double factor =
          Math.pow(inverse[0], (p + i + d) / power)
              * Math.pow(inverse[1], -(p + 2 * d) / power)
              * Math.pow(inverse[2], d / power);
      factor = 1 + Math.atan(factor - 1);
      boolean accept = factor >= run.get(Tuning.SAFETY);
      if (accept) {
        inverse[2] = inverse[1];
        inverse[1] = inverse[0];
      }
      h *= factor;
      return accept;
    }
  }

  private AdaptiveDpmSolver(SamplingRun run, Tensor x) {
    this.run = run;
    path = run.path(1);
    rows = x.dim(0);
    width = x.size() / rows;
    order = run.settings.whole(Tuning.ORDER);
    double last = run.sigmas[run.steps()];
    end = -Math.log(last > 0 ? last : run.sigmas[run.steps() - 1]);
    at = new double[rows];
    to = new double[rows];
    controls = new Control[rows];
    for (int i = 0; i < rows; i++) {
      at[i] = -Math.log(run.sigmas[0]);
      controls[i] = new Control();
    }
  }

  static Tensor solve(SamplingRun run, Tensor x) {
    return new AdaptiveDpmSolver(run, x).solve(x);
  }

  private Tensor solve(Tensor x) {
    Tensor state = x;
    Tensor previous = x;
    for (int trial = 0; !done(); trial++) {
      if (trial == MOST_TRIALS) {
        throw new IllegalStateException(
            "dpm_adaptive has not arrived after " + trial + " trials; try a larger rtol or atol");
      }
      try (Scope scope = Scope.open()) {
        Tensor[] made = trial(state, previous);
        close(x, state, previous);
        state = scope.keep(made[0]);
        previous = scope.keep(made[1]);
      }
    }
    if (run.sigmas[run.steps()] > 0) {
      if (previous != x) {
        previous.close();
      }
      return state;
    }
    try (Scope scope = Scope.open()) {
      Tensor clean = run.denoise(state, Math.exp(-end));
      close(x, state, previous);
      return scope.keep(clean);
    }
  }

  private static void close(Tensor given, Tensor state, Tensor previous) {
    if (state != given) {
      state.close();
    }
    if (previous != given) {
      previous.close();
    }
  }

  private boolean done() {
    for (double each : at) {
      if (each < end - END) {
        return false;
      }
    }
    return true;
  }

  private boolean done(int i) {
    return at[i] >= end - END;
  }

  /** One trial of every sample: the states after it, and the lower-order estimates. */
  private Tensor[] trial(Tensor state, Tensor previous) {
    double[] up = new double[rows];
    double[] h = new double[rows];
    double[] arrival = new double[rows];
    for (int i = 0; i < rows; i++) {
      // A sample that is done takes a step of no consequence.
      to[i] = done(i) ? at[i] + END : Math.min(end, at[i] + controls[i].h);
      Split split = Split.of(Math.exp(-at[i]), Math.exp(-to[i]), run.get(Tuning.ETA));
      arrival[i] = Math.min(end + END, -Math.log(split.down()));
      double reached = Math.exp(-2 * arrival[i]);
      up[i] = Math.sqrt(Math.max(0, Math.exp(-2 * to[i]) - reached));
      h[i] = arrival[i] - at[i];
    }
    Tensor[] both = estimates(state, h, arrival);
    boolean[] accepted = judge(both[0], both[1], previous);
    Tensor high = both[1];
    double noise = run.get(Tuning.S_NOISE);
    if (run.get(Tuning.ETA) > 0 && noise > 0) {
      high = rowSum(i -> 1, high, i -> up[i] * noise, noise(high, accepted));
    }
    Tensor next = choose(accepted, high, state);
    Tensor low = choose(accepted, both[0], previous);
    for (int i = 0; i < rows; i++) {
      if (accepted[i]) {
        at[i] = to[i];
      }
    }
    return new Tensor[] {next, low};
  }

  /** What each sample's path does in the step that it takes; nothing for those that take none. */
  private Tensor noise(Tensor like, boolean[] accepted) {
    Tensor all = Tensor.zeros(like.device(), like.shape());
    for (int i = 0; i < rows; i++) {
      if (accepted[i]) {
        Tensor row = like.slice(0, i, i + 1);
        all.copySlice(0, i, path.from(i).unit(row, Math.exp(-at[i]), Math.exp(-to[i])));
      }
    }
    return all;
  }

  private static Tensor choose(boolean[] accepted, Tensor yes, Tensor no) {
    return rowSum(i -> accepted[i] ? 1 : 0, yes, i -> accepted[i] ? 0 : 1, no);
  }

  /** The estimates of order p − 1 and p at the end of the steps. */
  private Tensor[] estimates(Tensor x, double[] h, double[] arrival) {
    Tensor slope = slope(x, i -> at[i]);
    IntToDoubleFunction whole = i -> -Math.exp(-arrival[i]) * Math.expm1(h[i]);
    Tensor first = rowSum(i -> 1, x, whole, slope);
    double r = order == 2 ? 1.0 / 2 : 1.0 / 3;
    Tensor inside = stage(x, slope, h, r);
    Tensor change = Samplers.combine(1, slope(inside, i -> at[i] + r * h[i]), -1, slope);
    Tensor second = rowSum(i -> 1, first, i -> whole.applyAsDouble(i) / (2 * r), change);
    if (order == 2) {
      return new Tensor[] {first, second};
    }
    double far = 2 * r;
    Tensor there =
        rowSum(
            i -> 1,
            stage(x, slope, h, far),
            i -> -Math.exp(-at[i] - far * h[i]) * 2 * DpmSolver.phi2(far * h[i]),
            change);
    Tensor wide = Samplers.combine(1, slope(there, i -> at[i] + far * h[i]), -1, slope);
    Tensor third =
        rowSum(i -> 1, first, i -> -Math.exp(-arrival[i]) * DpmSolver.phi2(h[i]) / far, wide);
    return new Tensor[] {second, third};
  }

  /** The state at a share r of the step, to first order. */
  private Tensor stage(Tensor x, Tensor slope, double[] h, double r) {
    return rowSum(i -> 1, x, i -> -Math.exp(-at[i] - r * h[i]) * Math.expm1(r * h[i]), slope);
  }

  /** Which samples take the step; reads the errors from the device. */
  private boolean[] judge(Tensor low, Tensor high, Tensor previous) {
    float rtol = (float) run.get(Tuning.RTOL);
    float atol = (float) run.get(Tuning.ATOL);
    Tensor allowed = low.abs().maximum(previous.abs()).mul(rtol).clamp(atol, Float.MAX_VALUE);
    Tensor relative = Samplers.combine(1, low, -1, high).div(allowed);
    float[] squares = relative.square().reshape(rows, width).mean(1, false).toFloats();
    boolean[] accepted = new boolean[rows];
    for (int i = 0; i < rows; i++) {
      if (!Float.isFinite(squares[i])) {
        throw new IllegalStateException(
            "dpm_adaptive: the denoiser's answers for sample "
                + i
                + " of the batch are not finite");
      }
      accepted[i] = !done(i) && controls[i].accepts(Math.sqrt(squares[i]));
    }
    return accepted;
  }

  /** ε = (x − D)/σ at each sample's own λ. */
  private Tensor slope(Tensor x, IntToDoubleFunction lambda) {
    Tensor clean = run.denoise(x, column(x, i -> Math.exp(-lambda.applyAsDouble(i))));
    IntToDoubleFunction inverse = i -> Math.exp(lambda.applyAsDouble(i));
    return rowSum(inverse, x, i -> -inverse.applyAsDouble(i), clean);
  }

  private static Tensor rowSum(IntToDoubleFunction a, Tensor x, IntToDoubleFunction b, Tensor y) {
    return RowOps.combine(column(x, a), x, column(y, b), y);
  }

  private static Tensor column(Tensor like, IntToDoubleFunction f) {
    float[] values = new float[like.dim(0)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) f.applyAsDouble(i);
    }
    return Tensor.constant(like.device(), Shape.of(values.length), values);
  }
}
