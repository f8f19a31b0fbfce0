package dev.limbeck.distillation;

import dev.limbeck.distillation.MatchingConfig.Adversarial;
import dev.limbeck.distillation.MatchingConfig.Critic;
import dev.limbeck.distillation.MatchingConfig.Inputs;
import dev.limbeck.distillation.MatchingConfig.Match;
import dev.limbeck.distillation.MatchingConfig.Metric;
import dev.limbeck.distillation.MatchingConfig.Normaliser;
import dev.limbeck.distillation.MatchingConfig.Reduction;
import dev.limbeck.distillation.MatchingConfig.Regression;
import dev.limbeck.distillation.MatchingConfig.Rhythm;
import dev.limbeck.distillation.MatchingConfig.Training;
import dev.limbeck.distillation.diffusion.NoiseLevels;

/**
 * Distribution matching distillation: a one-step generator is moved against the difference of the
 * critic's and the teacher's estimates, and held to what the teacher's ODE makes of the same noise.
 *
 * <p>Method card:
 *
 * <ul>
 *   <li>∇ = E w_t α_t (s_f − s_r) ∂x/∂θ with w_t = (σ_t²/α_t) · C S/‖μ_r − x‖₁, equations 7 and 8:
 *       the difference of the denoisers' answers over its mean distance, {@link
 *       MatchingGradient#target}. On the variance-preserving process equation 7 has a factor α_t
 *       besides ({@link Match#vpFactor}), which the released code leaves out; on EDM's it is 1.
 *   <li>L_reg = E d(G(z), y), y the teacher's result for z, equation 9: {@link TeacherPairs}. The
 *       paper's d is LPIPS; here {@link Metric}.
 *   <li>Critic: denoising of generated samples, one step for each of the generator's, equation 6.
 *   <li>Curves: the regression's part of the generator's loss falls and flattens at what one step
 *       cannot do; the matching part starts at 0 and then says nothing. The critic's falls and
 *       stays.
 *   <li>What goes wrong: blur where the regression outweighs the matching; modes lost without it,
 *       and oscillation, the critic having but one step; pairs of another teacher or guidance.
 *   <li>Tests: {@code MatchingGradientTest}, {@code TeacherPairsTest}, {@code Dmd2MixtureTest}.
 * </ul>
 *
 * @paper Yin et al. 2023, arXiv 2311.18828
 */
public final class Dmd {
  /** Offered as {@code dmd}. */
  public static final Method METHOD =
      new Method(
          "dmd",
          "distribution matching with regression on the teacher's own results",
          (preset, teacher) ->
              create(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher, preset.batch()));

  /** Ten times the points' deviation: 0.5 % of the variance there is the data's. */
  private static final double POINTS_START = 5;

  private Dmd() {}

  /** Prepares training. */
  public static DistributionMatching create(Config config, Teacher teacher, int batch) {
    return new DistributionMatching("dmd", config.loop, teacher, batch);
  }

  /** The loop's settings, as this method has them. */
  public record Config(MatchingConfig loop) {
    /**
     * The paper's settings for CIFAR-10 with an EDM teacher: 100,000 pairs by 18 steps of Heun,
     * weight 0.25, batch 392. The length is ours.
     */
    public static Config paper() {
      return new Config(
          new MatchingConfig(
              200_000,
              new double[] {NoiseLevels.SIGMA_MAX},
              Inputs.SIMULATED,
              new Match(
                  MatchingConfig.karrasTable(0.02), Normaliser.PER_SAMPLE, false, Reduction.MEAN),
              new Critic(MatchingConfig.karrasTable(0), true, Rhythm.STALE_BATCH, 1),
              Adversarial.none(),
              new Regression(
                  0.25, 100_000, NoiseLevels.toZero(NoiseLevels.karras(18)), Metric.FEATURES),
              new Training(5e-5, 5e-5, 0.9, 0.01, 10, 500, 1, 0, 1, 0)));
    }

    /**
     * The settings of {@link Dmd2} for this preset, with pairs, and a critic step each. The first
     * level is large: to the ODE's start data and noise must look like noise alone.
     */
    public static Config of(Preset preset) {
      MatchingConfig like = Dmd2.Config.of(preset).loop();
      Critic c = like.critic();
      double largest = preset.isPoints() ? POINTS_START : NoiseLevels.SIGMA_MAX;
      // Eight of Heun's steps on these levels draw as well as eighteen on Karras et al.'s.
      double[] grid =
          preset.isPoints()
              ? NoiseLevels.toZero(
                  NoiseLevels.karras(12, NoiseLevels.SIGMA_MIN, largest, NoiseLevels.RHO))
              : NoiseLevels.shiftedCosine(8, preset.shift(), largest);
      double[] levels = like.levels().clone();
      levels[0] = grid[0];
      long own = preset.isPoints() ? 9500 : preset.patient() ? 3000 : 900;
      long iterations = preset.studentSteps(own);
      // No more pairs than are looked at.
      int pairs = (int) Math.min(4096, iterations * preset.batch());
      return new Config(
          like.withCritic(new Critic(c.noise(), c.weighted(), c.rhythm(), 1, c.knowsLevel()))
              .withLevels(levels)
              .withIterations(iterations)
              .withRegression(new Regression(0.25, pairs, grid, Metric.L2)));
    }
  }
}
