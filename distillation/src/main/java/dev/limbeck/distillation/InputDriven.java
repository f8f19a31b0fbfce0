package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.Denoiser;

/**
 * A method whose student is trained on noisy samples at the nodes of a grid, which may come from
 * elsewhere than from noise on real data.
 */
public interface InputDriven extends Distiller {
  /** Takes the noisy inputs from there from now on. */
  void drawFrom(NoisyInputs inputs);

  /**
   * The descending noise levels of the nodes at this step; the last may be the end of the chain.
   */
  double[] grid(long step);

  /** How the student samples while it is trained. */
  Chain chain();

  /** How a chain goes on from a clean estimate. */
  enum Transition {
    /** On the straight line from the state to the estimate, to the next node's level. */
    EULER,
    /** By fresh noise of the next level on the estimate. */
    RENOISING
  }

  /**
   * A sampler's chain.
   *
   * @param levels the noise levels of a sampler that renoises; null where the chain visits the
   *     nodes of the grid
   * @param guidance the weights of guidance that the student is trained for, or null
   */
  @SuppressWarnings("ArrayRecordComponent") // A chain is run, never compared.
  record Chain(
      Transition transition, double[] levels, GuidanceWeights guidance, Estimates estimates) {}

  /** What student and teacher believe a noisy sample to be, without history. */
  interface Estimates {
    /**
     * The student's estimate as it stands.
     *
     * @param guidance a weight for each sample, or null
     */
    Denoiser student(double[] guidance);

    /** What the student learns from at this step. */
    Denoiser teacher(long step, double[] guidance);
  }
}
