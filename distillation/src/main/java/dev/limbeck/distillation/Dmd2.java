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
import dev.limbeck.distillation.diffusion.NoiseLevels;
import java.util.Arrays;

/**
 * Improved distribution matching distillation: {@link Dmd} without its regression; the critic takes
 * several steps for each of the generator's (two time scales), a classifier on the critic's
 * features sees real data (GAN), and generators of several steps learn from their own intermediate
 * results (backward simulation).
 *
 * <p>Method card:
 *
 * <ul>
 *   <li>∇ = E (D_f − D_r)/mean|x − D_r| ∂x/∂θ, section 4.1: {@link MatchingGradient#target};
 *       against closed forms in {@code MatchingGradientTest}.
 *   <li>Five critic steps for each of the generator's, section 4.2: {@link Critic}. A generator's
 *       mean b that moves by its critic's c, b' = −g (c − m), which follows, c' = κ (b − c),
 *       oscillates about the teacher's m where κ &lt; 4g, κ² − 4gκ being the discriminant.
 *   <li>GAN on noised samples, section 4.3: {@link Adversarial}; {@code Dmd2MixtureTest} has it
 *       correct a wrong teacher.
 *   <li>Backward simulation, section 4.5: {@link Inputs#SIMULATED}; a test has it ignore real data.
 *   <li>Switches for what others ship: {@link Rhythm#EITHER}, an unweighted critic and {@link
 *       MatchingConfig.Features#TEACHER} are FastGen's; {@code Dmd2SwitchesTest} has what each
 *       changes.
 *   <li>Curves: the critic's loss falls within the first hundred iterations and stays; the
 *       generator's is 0 at first (critic and teacher agree), rises, and then says nothing: the
 *       normaliser divides by what improves. With a classifier, the generator's share rises while
 *       the classifier's falls. Look at samples.
 *   <li>What goes wrong: a critic too slow for its generator (oscillation, colours that drift); a
 *       classifier weight that spoils the critic; no real data and long training (oversaturation);
 *       modes lost by the reverse divergence where noise levels are small only.
 * </ul>
 *
 * @paper Yin et al. 2024, arXiv 2405.14867
 */
public final class Dmd2 {
  /** Offered as {@code dmd2}. */
  public static final Method METHOD =
      new Method(
          "dmd2",
          "distribution matching with a faster critic, and a classifier where it is switched on",
          (preset, teacher) ->
              create(
                  preset.settings(Config.class, () -> Config.of(preset)), teacher, preset.batch()));

  private Dmd2() {}

  /** Prepares training. */
  public static DistributionMatching create(Config config, Teacher teacher, int batch) {
    return new DistributionMatching("dmd2", config.loop, teacher, batch);
  }

  /** The loop's settings, as this method has them. */
  public record Config(MatchingConfig loop) {
    /**
     * The paper's settings for a one-step generator on ImageNet-64, GAN from the start: 200,000
     * iterations, a fifth of which are the generator's.
     */
    public static Config paper() {
      return new Config(
          new MatchingConfig(
              200_000,
              new double[] {NoiseLevels.SIGMA_MAX},
              Inputs.SIMULATED,
              new Match(
                  MatchingConfig.karrasTable(0.02), Normaliser.PER_SAMPLE, false, Reduction.MEAN),
              new Critic(MatchingConfig.karrasTable(0), true, Rhythm.STALE_BATCH, 5),
              Adversarial.of(3e-3, 1e-2),
              Regression.none(),
              new Training(2e-6, 2e-6, 0.9, 0.01, 10, 500, 1, 0, 1, 0)));
    }

    /**
     * One step, without the adversarial term: the digits' teacher leaves it little to correct. Of
     * several steps the critic is told which: where it sees their mixture, as in the paper, the
     * last step makes up for what the first lack (on digits, four steps, 1,800 iterations: a
     * Fréchet distance of 24.6, and of 1.6 when it is told). Points are divided by the expected
     * error instead of their own, of which two coordinates say too little.
     */
    public static Config of(Preset preset) {
      if (preset.isPoints()) {
        return points(preset);
      }
      boolean patient = preset.patient();
      double[] noise =
          Arrays.copyOf(
              NoiseLevels.shiftedCosine(1000, preset.shift(), NoiseLevels.SIGMA_MAX), 1000);
      int steps = preset.sampleSteps(1);
      MatchingConfig images =
          new MatchingConfig(
              preset.studentSteps(patient ? 5000 : 1800),
              MatchingConfig.levels(preset, steps),
              Inputs.SIMULATED,
              new Match(
                  new SigmaDraw.Table(noise, 0.02), Normaliser.PER_SAMPLE, false, Reduction.MEAN),
              new Critic(new SigmaDraw.Table(noise, 0), true, Rhythm.STALE_BATCH, 3, true),
              Adversarial.none(new SigmaDraw.Table(noise, 0)),
              Regression.none(),
              new Training(3e-4, 6e-4, 0.9, 0.01, 10, 20, 1, patient ? 5000 : 2000, 1, 0));
      return new Config(images);
    }

    /**
     * Levels as EDM draws them, two thirds of which are within three times the width of a mode (of
     * the published ones a fifth); a critic that knows the level; rates that fall to 0 and an
     * average over a twentieth of the run, since what is measured is a hundredth of the data.
     */
    private static Config points(Preset preset) {
      SigmaDraw edm = new SigmaDraw.Lognormal(-1.2, 1.2);
      return new Config(
          new MatchingConfig(
              preset.studentSteps(17_000),
              MatchingConfig.levels(preset, preset.sampleSteps(1)),
              Inputs.SIMULATED,
              new Match(edm, Normaliser.EXPECTED, false, Reduction.MEAN),
              new Critic(edm, true, Rhythm.STALE_BATCH, 2, true),
              Adversarial.none(edm),
              Regression.none(),
              new Training(1e-3, 2e-3, 0.9, 0, 10, 100, 0.3, 1000.0 * preset.batch(), 0.05, 0)));
    }
  }
}
