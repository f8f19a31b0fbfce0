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
      (in, grid, node, guidance) -> {
        double[] sigma = new double[node.length];
        for (int i = 0; i < sigma.length; i++) {
          sigma[i] = grid[node[i]];
        }
        Tensor ones = Samplers.level(in.images(), 1);
        Tensor x = RowOps.combine(ones, in.images(), in.perSample(sigma), in.noise("noise"));
        return new Noisy(x, in.labels());
      };

  /**
   * Noisy samples, and the classes that they are to become.
   *
   * @shape x: [N,…]; labels: [N] or null
   */
  record Noisy(Tensor x, Tensor labels) {}

  /**
   * One noisy sample at a node of the grid for each sample of the batch.
   *
   * @param grid the student's descending noise levels
   * @param node for each sample, which of them
   * @param guidance weights of guidance, [N], or null
   */
  Noisy at(StepInput in, double[] grid, int[] node, Tensor guidance);
}
