package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * How a map from noise to data is sampled in one or several steps: denoising fully, and adding
 * noise of the next level.
 *
 * @param levels descending σ for up to so many steps; n steps take every (length/n)-th
 * @param steps that the result is meant for
 * @paper Song et al. 2023, arXiv 2303.01469, algorithm 1
 */
@SuppressWarnings("ArrayRecordComponent") // Settings are read, never compared.
public record Renoising(double[] levels, int steps) {
  /** Angles atan(σ/σ_d) below the first: two steps take 1.1 alone, as in sCM's section 5. */
  private static final double[] ANGLES = {1.35, 1.1, 0.7};

  /** Up to four steps from σ = 80. */
  public static Renoising of(double sigmaData, int steps) {
    return of(NoiseLevels.SIGMA_MAX, sigmaData, steps);
  }

  /**
   * Up to four steps.
   *
   * @param top the first level; beyond the levels that are trained a network answers anything
   * @param sigmaData σ_d, in units of which the angles are meant
   */
  static Renoising of(double top, double sigmaData, int steps) {
    double[] levels = new double[ANGLES.length + 1];
    levels[0] = top;
    for (int i = 0; i < ANGLES.length; i++) {
      levels[i + 1] = sigmaData * Math.tan(ANGLES[i]);
    }
    return new Renoising(levels, steps);
  }

  /**
   * For points: what a second step can mend lies between the width of their modes and half their
   * distance, 0.1 and 0.4.
   */
  static Renoising ofPoints(double top, int steps) {
    return new Renoising(new double[] {top, .8, .2, .12}, steps);
  }

  public Renoising {
    if (steps < 1 || steps > levels.length) {
      throw new IllegalArgumentException(
          "this student samples with 1 to " + levels.length + " steps, not " + steps);
    }
  }

  /**
   * The level that normally distributed ln σ rarely exceed, at most 80: where more than some tens
   * of the data's deviation are noise, noise alone is as good a start as any.
   */
  static double top(double logMean, double logDeviation) {
    return Math.min(NoiseLevels.SIGMA_MAX, Math.exp(logMean + 3 * logDeviation));
  }

  /** For the steps that the result is meant for. */
  Sampler sampler() {
    return sampler(steps).orElseThrow();
  }

  /** For so many steps, if there are levels for them. */
  Optional<Sampler> sampler(int n) {
    if (n < 1 || n > levels.length) {
      return Optional.empty();
    }
    double[] chosen = new double[n];
    for (int i = 0; i < n; i++) {
      chosen[i] = levels[i * levels.length / n];
    }
    return Optional.of(Samplers.of(Samplers.Method.RENOISING, chosen));
  }

  /** A student in one step, in two, and so on. */
  List<Distiller.Result> results(NetworkDenoiser student) {
    List<Distiller.Result> all = new ArrayList<>();
    for (int n = 1; n <= levels.length; n *= 2) {
      all.add(new Distiller.Result(student, sampler(n).orElseThrow()));
    }
    return all;
  }
}
