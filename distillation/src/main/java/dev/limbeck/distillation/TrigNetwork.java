package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.Preconditioning;

/**
 * How a network behind a denoiser D(x, σ) = cos²t · x + (−sign) σ_d sin t · output(x cos t/σ_d,
 * number), tan t = σ/σ_d, is one of TrigFlow's F: its output is sign · F.
 *
 * @param sign 1 of TrigFlow's own, −1 of EDM's
 * @param angular whether the number that tells it the noise is t; else it is ln(σ)/4
 * @paper Lu and Song 2024, arXiv 2410.11081, section 3
 */
record TrigNetwork(double sigmaData, double sign, boolean angular) {
  /**
   * Of a preconditioning.
   *
   * @param method which asks, for the message
   * @throws IllegalArgumentException if a network of this preconditioning is none of these
   */
  static TrigNetwork of(String method, Preconditioning p) {
    if (p instanceof Preconditioning.Edm edm) {
      return new TrigNetwork(edm.sigmaData(), -1, false);
    }
    if (p instanceof Preconditioning.TrigFlow trig) {
      return new TrigNetwork(trig.sigmaData(), 1, true);
    }
    throw new IllegalArgumentException(
        method
            + " needs a teacher with the preconditioning edm (as limbeck train makes them) or"
            + " trigflow, this one has \""
            + p.text()
            + "\"; pd and dmd2 take any");
  }

  /** The derivative of the number by the angle t, times cos t sin t. */
  double numberSlope(double sigma) {
    return angular ? sigmaData * sigma / (sigma * sigma + sigmaData * sigmaData) : 0.25;
  }
}
