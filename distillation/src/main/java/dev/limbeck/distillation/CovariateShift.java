package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.metrics.SlicedWasserstein;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * How far a student's own states are from noisy real data, node by node: what a student meets when
 * it samples against what it is trained on.
 *
 * @param sigma the node's noise level
 * @param before the distance of the student as it starts, before its first training step, in the
 *     same chain; NaN where it was not measured
 * @param distance sliced Wasserstein-2 distance of the chain's states to noisy real data
 * @param floor that of other real data with other noise
 */
public record CovariateShift(double sigma, double before, double distance, double floor) {
  private static final int DIRECTIONS = 128;

  /** Where a chain was, and at which levels. */
  private record Chained(double[] levels, List<Tensor> states) {}

  /** The part of a method whose student is trained on noisy inputs, or null. */
  static InputDriven methodOf(Distiller distiller) {
    if (distiller instanceof Ddil ddil) {
      return ddil.base();
    }
    return distiller instanceof InputDriven driven ? driven : null;
  }

  /**
   * Measures a method's student at every node after the first: there both are noise.
   *
   * @param student as it is sampled: averaged, and told its weight of guidance
   * @param real clean data, half of which are the comparison's floor, [2N,…]
   * @param labels of the first half, [N], or null
   */
  public static List<CovariateShift> of(
      InputDriven method, Denoiser student, long step, Tensor real, Tensor labels, Rng rng) {
    boolean euler = method.chain().transition() == InputDriven.Transition.EULER;
    double[] levels = euler ? method.grid(step) : method.chain().levels();
    return of(method.chain().transition(), levels, student, real, labels, rng);
  }

  /**
   * The same for a chain of these levels.
   *
   * @param levels descending; the last of Euler's is the end of the chain
   */
  static List<CovariateShift> of(
      InputDriven.Transition transition,
      double[] levels,
      Denoiser student,
      Tensor real,
      Tensor labels,
      Rng rng) {
    try (Scope scope = Scope.open()) {
      int n = real.dim(0) / 2;
      Tensor first = real.slice(0, 0, n);
      Tensor second = real.slice(0, n, 2 * n);
      Chained chained = chain(transition, levels, student, first, labels, rng.split(1));
      List<CovariateShift> shifts = new ArrayList<>();
      for (int j = 0; j < chained.states.size(); j++) {
        double sigma = chained.levels[j];
        float[][] state = rows(chained.states.get(j));
        float[][] noisy = rows(noised(first, sigma, rng.split(2).split(j)));
        float[][] other = rows(noised(second, sigma, rng.split(3).split(j)));
        shifts.add(
            new CovariateShift(
                sigma,
                Double.NaN,
                SlicedWasserstein.between(state, noisy, DIRECTIONS, j),
                SlicedWasserstein.between(other, noisy, DIRECTIONS, j)));
      }
      return shifts;
    }
  }

  /** With what was measured of the student as it started, node by node. */
  static List<CovariateShift> after(List<CovariateShift> start, List<CovariateShift> now) {
    List<CovariateShift> both = new ArrayList<>();
    for (int j = 0; j < now.size(); j++) {
      CovariateShift n = now.get(j);
      both.add(new CovariateShift(n.sigma, start.get(j).distance, n.distance, n.floor));
    }
    return both;
  }

  private static Chained chain(
      InputDriven.Transition transition,
      double[] levels,
      Denoiser student,
      Tensor like,
      Tensor labels,
      Rng rng) {
    boolean euler = transition == InputDriven.Transition.EULER;
    // The end of a grid is where nobody steps from.
    int nodes = euler ? levels.length - 1 : levels.length;
    Tensor x = rng.normal(like.device(), like.shape()).mul((float) levels[0]);
    List<Tensor> states = new ArrayList<>();
    for (int j = 0; j + 1 < nodes; j++) {
      if (euler) {
        x = Samplers.euler(student, x, Arrays.copyOfRange(levels, j, j + 2), labels);
      } else {
        Tensor clean = student.denoise(x, Samplers.level(x, levels[j]), labels);
        x = noised(clean, levels[j + 1], rng.split(j));
      }
      states.add(x);
    }
    return new Chained(Arrays.copyOfRange(levels, 1, nodes), states);
  }

  private static Tensor noised(Tensor clean, double sigma, Rng rng) {
    Tensor noise = rng.normal(clean.device(), clean.shape());
    return RowOps.combine(Samplers.level(clean, 1), clean, Samplers.level(clean, sigma), noise);
  }

  private static float[][] rows(Tensor x) {
    float[] all = x.toFloats();
    int width = all.length / x.dim(0);
    float[][] rows = new float[x.dim(0)][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = Arrays.copyOfRange(all, i * width, (i + 1) * width);
    }
    return rows;
  }
}
