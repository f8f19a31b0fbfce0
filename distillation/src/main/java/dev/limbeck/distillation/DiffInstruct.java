package dev.limbeck.distillation;

import dev.limbeck.distillation.MatchingConfig.Adversarial;
import dev.limbeck.distillation.MatchingConfig.Critic;
import dev.limbeck.distillation.MatchingConfig.Inputs;
import dev.limbeck.distillation.MatchingConfig.Match;
import dev.limbeck.distillation.MatchingConfig.Normaliser;
import dev.limbeck.distillation.MatchingConfig.Reduction;
import dev.limbeck.distillation.MatchingConfig.Regression;
import dev.limbeck.distillation.MatchingConfig.Rhythm;
import dev.limbeck.distillation.MatchingConfig.Training;

/**
 * Diff-Instruct: a one-step generator is trained by the integral of the divergences of its noised
 * samples from the teacher's, over the noise levels that diffusion models are trained at.
 *
 * <p>Method card:
 *
 * <ul>
 *   <li>IKL = ∫ w(σ) KL(p_G,σ ‖ p_σ) dσ, its gradient E w (s_G − s_p) ∂x/∂θ, equation 5 and theorem
 *       1. In denoisers, s_G − s_p = (S_G − D)/σ²: the released code takes w = σ² times the
 *       lognormal density of EDM's training, which leaves (S_G − D) itself: {@link
 *       MatchingGradient#target} with {@link Normaliser#NONE}, summed over pixels.
 *   <li>Critic first, on samples of its own; then the generator on others, algorithm 1: {@link
 *       Rhythm#FRESH}, one step each.
 *   <li>Teacher and critic see the same dropout masks in the difference (released code): {@link
 *       Training#dropout}.
 *   <li>Both start as the teacher, at a single small noise level (released command: σ = 1).
 *   <li>The released code augments the critic's images; no augmentation is made here.
 *   <li>Curves: the critic's loss falls and stays. The generator's is half the squared difference
 *       of the estimates: 0 at first, up as the critic learns what the generator makes, and slowly
 *       down as samples improve; there is no normaliser to hide it.
 *   <li>What goes wrong: modes lost, the divergence being the reverse one and levels small;
 *       learning rates taken from methods that average over pixels where gradients are clipped; a
 *       generator faster than its critic.
 *   <li>Tests: {@code MatchingGradientTest}: the gradient is σ² ∂KL/∂(a, b) for a normal generator
 *       a z + b, and its flow ends at (√v, m).
 * </ul>
 *
 * @paper Luo et al. 2023, arXiv 2305.18455
 */
public final class DiffInstruct {
  /** Offered as {@code diff-instruct}. */
  public static final Method METHOD =
      new Method(
          "diff-instruct",
          "matching of noised distributions, critic and generator by turns",
          (preset, teacher) ->
              create(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher, preset.batch()));

  private DiffInstruct() {}

  /** Prepares training. */
  public static DistributionMatching create(Config config, Teacher teacher, int batch) {
    return new DistributionMatching("diff-instruct", config.loop, teacher, batch);
  }

  /** The loop's settings, as this method has them. */
  public record Config(MatchingConfig loop) {
    /**
     * The released settings for CIFAR-10, batch 128. The length is ours; gradients are not clipped,
     * and a run whose gradient is not finite ends (released: it goes on with zeros).
     */
    public static Config paper() {
      SigmaDraw edm = new SigmaDraw.Lognormal(-1.2, 1.2);
      return new Config(
          new MatchingConfig(
              50_000,
              new double[] {1},
              Inputs.SIMULATED,
              new Match(edm, Normaliser.NONE, false, Reduction.SUM),
              new Critic(edm, true, Rhythm.FRESH, 1),
              Adversarial.none(),
              Regression.none(),
              new Training(1e-5, 1e-5, 0, 0, Double.POSITIVE_INFINITY, 0, 1, 500_000, 0.05, 0.13)));
    }

    /**
     * Shorter, with larger rates that fall to 0, and divided by the expected error: without it,
     * what a small level says of fine detail weighs nothing beside what a large one says. Points
     * have Adam's β₁ = 0.9 and two steps of the critic for one of the generator: a single normal
     * distribution came to 1.6 times the floor, with 0 and one step to 3.2.
     */
    public static Config of(Preset preset) {
      boolean points = preset.isPoints();
      SigmaDraw edm = new SigmaDraw.Lognormal(-1.2 + Math.log(preset.shift()), 1.2);
      long own = points ? 13_000 : preset.patient() ? 3000 : 900;
      return new Config(
          paper()
              .loop
              .withIterations(preset.studentSteps(own))
              .withLevels(MatchingConfig.nearLevels(preset, preset.sampleSteps(1)))
              .withMatch(new Match(edm, Normaliser.EXPECTED, false, Reduction.MEAN))
              .withCritic(new Critic(edm, true, Rhythm.FRESH, points ? 2 : 1, true))
              .withAdversarial(Adversarial.none(edm))
              .withTraining(
                  points
                      ? new Training(
                          1e-3, 2e-3, 0.9, 0, 10, 20, 0.3, 1000.0 * preset.batch(), 0.05, 0)
                      : new Training(3e-4, 6e-4, 0, 0, 10, 20, 0.5, 2000, 1, 0)));
    }
  }
}
