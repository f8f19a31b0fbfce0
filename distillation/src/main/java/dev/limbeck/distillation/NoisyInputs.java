package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.tensor.Tensor;

/**
 * Where the noisy samples come from that a student is trained on: real data with noise, or states
 * of a sampler's own chain.
 */
@FunctionalInterface
public interface NoisyInputs {
  /** Real data with noise, x₀ + σ n: what the methods have by themselves. */
  NoisyInputs FORWARD =
      (in, grid, node, guidance) ->
          new Noisy(noised(in, in.images(), grid, node), in.labels(), guidance);

  /**
   * Noisy samples, and what they are to become.
   *
   * @param labels classes, or null
   * @param guidance a weight for each sample, or null
   * @shape x: [N,…]; labels: [N]
   */
  @SuppressWarnings("ArrayRecordComponent") // Samples are trained on, never compared.
  record Noisy(Tensor x, Tensor labels, double[] guidance) {}

  /**
   * One noisy sample at a node of the grid for each sample of the batch.
   *
   * @param grid the student's descending noise levels
   * @param node for each sample, which of them
   * @param guidance a weight for each sample, or null; the source may answer with others
   */
  Noisy at(StepInput in, double[] grid, int[] node, double[] guidance);

  /** Clean samples with noise of their nodes' levels. */
  static Tensor noised(StepInput in, Tensor clean, double[] grid, int[] node) {
    return noised(in, Samplers.level(clean, 1), clean, grid, node);
  }

  /**
   * The same with a factor on each clean sample.
   *
   * @shape factor: [N]
   */
  static Tensor noised(StepInput in, Tensor factor, Tensor clean, double[] grid, int[] node) {
    double[] sigma = new double[node.length];
    for (int i = 0; i < sigma.length; i++) {
      sigma[i] = grid[node[i]];
    }
    return RowOps.combine(factor, clean, in.perSample(sigma), in.noise("noise"));
  }
}
