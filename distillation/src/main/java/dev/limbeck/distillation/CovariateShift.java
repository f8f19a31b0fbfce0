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
 * @param distance sliced Wasserstein-2 distance of the chain's states to noisy real data
 * @param floor that of other real data with other noise
 */
public record CovariateShift(double sigma, double distance, double floor) {
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
    try (Scope scope = Scope.open()) {
      int n = real.dim(0) / 2;
      Tensor first = real.slice(0, 0, n);
      Tensor second = real.slice(0, n, 2 * n);
      Chained chained = chain(method, student, step, first, labels, rng.split(1));
      List<CovariateShift> shifts = new ArrayList<>();
      for (int j = 0; j < chained.states.size(); j++) {
        double sigma = chained.levels[j];
        float[][] state = rows(chained.states.get(j));
        float[][] noisy = rows(noised(first, sigma, rng.split(2).split(j)));
        float[][] other = rows(noised(second, sigma, rng.split(3).split(j)));
        shifts.add(
            new CovariateShift(
                sigma,
                SlicedWasserstein.between(state, noisy, DIRECTIONS, j),
                SlicedWasserstein.between(other, noisy, DIRECTIONS, j)));
      }
      return shifts;
    }
  }

  private static Chained chain(
      InputDriven method, Denoiser student, long step, Tensor like, Tensor labels, Rng rng) {
    InputDriven.Chain chain = method.chain();
    boolean euler = chain.transition() == InputDriven.Transition.EULER;
    double[] levels = euler ? method.grid(step) : chain.levels();
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
