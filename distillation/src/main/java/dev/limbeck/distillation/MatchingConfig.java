package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import java.util.Arrays;

/**
 * Settings of {@link DistributionMatching}, of which {@link DiffInstruct}, {@link Dmd} and {@link
 * Dmd2} are three choices.
 *
 * @param iterations of the loop; the generator steps in some of them, see {@link Critic#steps}
 * @param levels the generator's noise levels in descending order, one for a one-step generator
 * @param inputs what the generator is given
 */
public record MatchingConfig(
    long iterations,
    double[] levels,
    Inputs inputs,
    Match match,
    Critic critic,
    Adversarial adversarial,
    Regression regression,
    Transport transport,
    Training training) {

  /** Without a transport term. */
  public MatchingConfig(
      long iterations,
      double[] levels,
      Inputs inputs,
      Match match,
      Critic critic,
      Adversarial adversarial,
      Regression regression,
      Training training) {
    this(
        iterations,
        levels,
        inputs,
        match,
        critic,
        adversarial,
        regression,
        Transport.none(),
        training);
  }

  /** σ of Diff-Instruct's generator (released command). */
  private static final double NEAR_START = 1;

  /** What the levels of several steps fall towards on images: the width of a stroke. */
  private static final double NEAR_END = 0.25;

  /** Where later levels on points begin and end; the built-in mixtures' modes are 0.11 wide. */
  private static final double POINTS_START = 0.2;

  private static final double POINTS_END = 0.08;

  /**
   * What the generator is given. Noisy inputs are noise alone at the first level, and come from
   * there at later ones.
   */
  public enum Inputs {
    /** The generator's own results of the levels before, noised: no real data (DMD2, 4.5). */
    SIMULATED,
    /** Real data, noised (what DMD2 compares with). */
    NOISED_DATA,
    /**
     * The batches' samples as they are, without noise, at the one level: they are of another domain
     * than the teacher's, and the generator translates them (RDMD). Their classes are what it is
     * asked for. A batch is all that an iteration has of them, so that with {@link Rhythm#FRESH}
     * both networks train on the same ones.
     */
    SOURCE
  }

  /** What the difference of the two estimates, D_f − D_r, is divided by. */
  public enum Normaliser {
    /** Nothing: the gradient is σ² times that of the divergence (Diff-Instruct). */
    NONE,
    /** mean|x − D_r| of the sample (DMD equation 8; DMD2). */
    PER_SAMPLE,
    /**
     * σ σ_d/√(σ² + σ_d²), the error that a denoiser of normally distributed data expects: for
     * points of few coordinates, whose own error says little [ours].
     */
    EXPECTED
  }

  /**
   * w(σ) of the objective E w(σ) KL(p_G ∗ N(0, σ²) ‖ p ∗ N(0, σ²)), whose gradient is that of the
   * divergence, (D_f − D_r)/σ², times w: what the difference D_f − D_r is multiplied by is w/σ².
   */
  public enum SigmaWeight {
    /** σ²: the difference is left as it is (Diff-Instruct as released, DMD, DMD2, RDMD here). */
    SQUARED {
      @Override
      double factor(double sigma) {
        return 1;
      }
    },
    /** 1: the divergence itself; small levels outweigh all others. */
    UNIT {
      @Override
      double factor(double sigma) {
        return 1 / (sigma * sigma);
      }
    },
    /**
     * σ² λ(σ), λ = (σ² + σ_d²)/(σ σ_d)² being EDM's weight of a squared error: between the two
     * [ours].
     */
    EDM {
      @Override
      double factor(double sigma) {
        return new Preconditioning.Edm().lossWeight(sigma);
      }
    };

    /** w(σ)/σ². */
    abstract double factor(double sigma);
  }

  /** How the squared error of the gradient's target is brought to one number. */
  public enum Reduction {
    /** Mean over samples and coordinates (DMD, DMD2). */
    MEAN,
    /**
     * Mean over samples, sum over coordinates (Diff-Instruct); shows where gradients are clipped.
     */
    SUM
  }

  /** Which network trains on which samples of an iteration. */
  public enum Rhythm {
    /**
     * The critic steps in every iteration, on what the generator made before its own step in it;
     * the generator in every {@code steps}-th (as released with DMD2).
     */
    STALE_BATCH,
    /**
     * The generator steps in every {@code steps}-th iteration, the critic in the others (FastGen).
     */
    EITHER,
    /**
     * The critic steps first, in every iteration, on samples of its own; the generator in every
     * {@code steps}-th, on others (Diff-Instruct, with 1).
     */
    FRESH
  }

  /** Whose hidden features the classifier sees. */
  public enum Features {
    /** The critic's, which the classifier's loss trains along (DMD2, section 4.3). */
    CRITIC,
    /** The frozen teacher's (FastGen, which takes three resolutions; here it is the bottleneck). */
    TEACHER
  }

  /** The distance of the regression. */
  public enum Metric {
    /** Mean squared difference. */
    L2,
    /**
     * Mean squared difference of the teacher's hidden features, each position's scaled to length 1:
     * in place of the paper's LPIPS, whose weights do not come with Limbeck.
     */
    FEATURES
  }

  /**
   * The distribution-matching gradient.
   *
   * @param noise levels at which generated samples are compared
   * @param vpFactor whether the gradient is multiplied by α = 1/√(1+σ²), as DMD's equation 7 has it
   *     on the variance-preserving process; the codes of DMD and DMD2 leave it out
   * @param weight w(σ), before the normaliser
   */
  public record Match(
      SigmaDraw noise,
      Normaliser normaliser,
      boolean vpFactor,
      Reduction reduction,
      SigmaWeight weight) {
    /** With the weight σ². */
    public Match(SigmaDraw noise, Normaliser normaliser, boolean vpFactor, Reduction reduction) {
      this(noise, normaliser, vpFactor, reduction, SigmaWeight.SQUARED);
    }
  }

  /**
   * The critic's training.
   *
   * @param weighted whether its squared error has EDM's weight (the papers), or none (FastGen)
   * @param steps iterations for each step of the generator (DMD2: 5)
   * @param knowsLevel whether the critic of a generator with several levels is told, in the place
   *     of a weight of guidance, the number of the level that a sample comes from (DMD2: no) [ours]
   */
  public record Critic(
      SigmaDraw noise, boolean weighted, Rhythm rhythm, int steps, boolean knowsLevel) {
    /** A critic that is not told the level. */
    public Critic(SigmaDraw noise, boolean weighted, Rhythm rhythm, int steps) {
      this(noise, weighted, rhythm, steps, false);
    }
  }

  /**
   * The classifier of noised real and noised generated samples.
   *
   * @param generatorWeight g_w of the generator's term; 0 leaves the classifier out
   * @param classifierWeight d_w of the classifier's loss in the critic's
   * @param noise levels of the samples that it sees
   * @param penalty λ of the approximate R1 penalty λ (l(x) − l(x + s n))² on real samples; 0 for
   *     none (DMD2; FastGen has it as an option)
   * @param penaltyNoise its s (Lin et al. 2025, arXiv 2501.08316: λ = 100, s = 0.01)
   */
  public record Adversarial(
      double generatorWeight,
      double classifierWeight,
      Features features,
      SigmaDraw noise,
      double penalty,
      double penaltyNoise) {
    /** No classifier. */
    public static Adversarial none() {
      return none(karrasTable(0));
    }

    /** No classifier; one that is switched on sees samples of these levels. */
    public static Adversarial none(SigmaDraw noise) {
      return new Adversarial(0, 0, Features.CRITIC, noise, 0, 0.01);
    }

    /** The paper's for ImageNet-64 (3e-3, 1e-2), or with other weights. */
    public static Adversarial of(double generatorWeight, double classifierWeight) {
      return new Adversarial(
          generatorWeight, classifierWeight, Features.CRITIC, karrasTable(0), 0, 0.01);
    }

    public boolean isOn() {
      return generatorWeight > 0;
    }
  }

  /**
   * Regression of the generator on what the teacher's ODE makes of the same noise.
   *
   * @param weight of the term; 0 leaves it out (DMD2)
   * @param pairs number of pairs of noise and result, made once
   * @param levels the descending grid of the teacher's Heun steps; it ends in 0
   */
  public record Regression(double weight, int pairs, double[] levels, Metric metric) {
    /** No regression. */
    public static Regression none() {
      return new Regression(0, 0, new double[0], Metric.L2);
    }

    public boolean isOn() {
      return weight > 0;
    }
  }

  /**
   * What it costs to move a sample of the source: λ E ‖G(x) − x‖², which ties a translation to what
   * it is of. Without it whatever has the right distribution is as good; as λ falls to 0 the best
   * generator becomes the optimal transport.
   *
   * <p>The norm is reduced as the match's squared error is: with {@link Reduction#SUM} it is the
   * sum over coordinates, with {@link Reduction#MEAN} that sum and the match are both divided by
   * their number, so that λ means the same with either.
   *
   * @param weight λ; 0 leaves the term out; it needs {@link Inputs#SOURCE}
   * @paper Rakitin et al. 2024, arXiv 2406.14762
   */
  public record Transport(double weight) {
    /** No transport term. */
    public static Transport none() {
      return new Transport(0);
    }

    public Transport {
      if (!(weight >= 0 && weight < Double.POSITIVE_INFINITY)) {
        throw new IllegalArgumentException(
            "the transport term's weight has to be 0 or more, not " + weight);
      }
    }

    public boolean isOn() {
      return weight > 0;
    }
  }

  /**
   * Optimizers and averages.
   *
   * @param generatorRate learning rate of the generator
   * @param criticRate learning rate of critic and classifier
   * @param beta1 β₁ of Adam; Diff-Instruct has 0
   * @param warmUp iterations over which both rates rise
   * @param decay share of the run at whose end both rates begin to fall to 0; 1 for never (papers)
   * @param emaHalfLife half-life of the generator's average in samples; 0 for none (DMD, DMD2)
   * @param emaRampUp the half-life is at most this share of the samples seen
   * @param dropout rate while training, for networks with dropout; the two estimates of the
   *     gradient then see the same masks (Diff-Instruct)
   */
  public record Training(
      double generatorRate,
      double criticRate,
      double beta1,
      double weightDecay,
      double clipNorm,
      long warmUp,
      double decay,
      double emaHalfLife,
      double emaRampUp,
      double dropout) {
    double scale(long iteration, long iterations) {
      double rise = Math.min(1, (iteration + 1.0) / Math.max(1, warmUp));
      double start = decay * iterations;
      double fall = iteration < start ? 1 : (iterations - iteration) / (iterations - start);
      return rise * Math.max(0, fall);
    }
  }

  public MatchingConfig {
    if (levels.length == 0) {
      throw new IllegalArgumentException("distribution matching needs at least one noise level");
    }
    for (int i = 1; i < levels.length; i++) {
      if (!(levels[i] < levels[i - 1])) {
        throw new IllegalArgumentException(
            "the generator's noise levels must descend, not " + Arrays.toString(levels));
      }
    }
    if (critic.steps < 1 || critic.rhythm == Rhythm.EITHER && critic.steps < 2) {
      throw new IllegalArgumentException(
          "the rhythm "
              + critic.rhythm
              + " needs at least "
              + (critic.rhythm == Rhythm.EITHER ? 2 : 1)
              + " iterations for each step of the generator, not "
              + critic.steps);
    }
    if (adversarial.penalty > 0 && !adversarial.isOn()) {
      throw new IllegalArgumentException(
          "a penalty on the classifier needs a classifier: a generatorWeight above 0");
    }
    if (adversarial.generatorWeight > 0 != adversarial.classifierWeight > 0) {
      throw new IllegalArgumentException(
          "a classifier is trained and listened to, or there is none: generatorWeight and"
              + " classifierWeight are both above 0 or both 0, not "
              + adversarial.generatorWeight
              + " and "
              + adversarial.classifierWeight);
    }
    double[] grid = regression.levels;
    if (regression.isOn()
        && (grid.length < 2
            || grid[0] != levels[0]
            || grid[grid.length - 1] != 0
            || regression.pairs < 1)) {
      throw new IllegalArgumentException(
          "regression needs pairs, and levels of the teacher that lead from the generator's first, "
              + levels[0]
              + ", to 0; not "
              + regression.pairs
              + " pairs on "
              + Arrays.toString(grid));
    }
    checkSource(levels, inputs, adversarial, regression, transport);
  }

  private static void checkSource(
      double[] levels,
      Inputs inputs,
      Adversarial adversarial,
      Regression regression,
      Transport transport) {
    if (inputs != Inputs.SOURCE) {
      if (transport.isOn()) {
        throw new IllegalArgumentException(
            "a transport term says how far samples of a source are moved, and the inputs "
                + inputs
                + " have none: it needs the inputs SOURCE");
      }
      return;
    }
    if (levels.length > 1) {
      throw new IllegalArgumentException(
          "a generator with the inputs SOURCE takes one step, at one noise level, not at "
              + Arrays.toString(levels));
    }
    if (adversarial.isOn()) {
      throw new IllegalArgumentException(
          "with the inputs SOURCE the batches are of the source, which a classifier would take for"
              + " real data: its generatorWeight has to be 0, not "
              + adversarial.generatorWeight);
    }
    if (regression.isOn()) {
      throw new IllegalArgumentException(
          "regression has pairs that begin in noise, of which a generator with the inputs SOURCE is"
              + " given none: its weight has to be 0, not "
              + regression.weight);
    }
  }

  // ---- parts that several methods share ----

  /** A thousand of Karras et al.'s levels, as released with DMD2. */
  public static SigmaDraw karrasTable(double edge) {
    return new SigmaDraw.Table(NoiseLevels.karras(1000), edge);
  }

  /** Levels of a generator with n steps: n of Karras et al.'s levels, the smallest left out. */
  public static double[] levels(int n) {
    return Arrays.copyOf(NoiseLevels.karras(n + 1), n);
  }

  /** Levels of a generator with n steps from noise alone, for what a preset is for. */
  static double[] levels(Preset preset, int n) {
    return preset.isPoints()
        ? pointLevels(n)
        : Arrays.copyOf(NoiseLevels.shiftedCosine(n, preset.shift(), NoiseLevels.SIGMA_MAX), n);
  }

  /**
   * Levels that begin at twice the data's deviation (more for larger images), where Diff-Instruct's
   * generators do: the teacher's answer to noise of this level is spread already. In several steps
   * points begin at noise alone: the second step, at small noise, mends no mass.
   */
  static double[] nearLevels(Preset preset, int n) {
    return preset.isPoints() && n > 1
        ? pointLevels(n)
        : NoiseLevels.exponential(n, NEAR_END * preset.shift(), NEAR_START * preset.shift());
  }

  /** From noise alone to levels below a mode's width: wider noise hides the mode's shape anew. */
  private static double[] pointLevels(int n) {
    double start = n == 2 ? POINTS_END : POINTS_START;
    double[] later = n == 1 ? new double[0] : NoiseLevels.exponential(n - 1, POINTS_END, start);
    double[] all = new double[n];
    all[0] = NoiseLevels.SIGMA_MAX;
    System.arraycopy(later, 0, all, 1, n - 1);
    return all;
  }

  // ---- with another part ----

  public MatchingConfig withIterations(long other) {
    return new MatchingConfig(
        other, levels, inputs, match, critic, adversarial, regression, transport, training);
  }

  public MatchingConfig withLevels(double... other) {
    return new MatchingConfig(
        iterations, other, inputs, match, critic, adversarial, regression, transport, training);
  }

  public MatchingConfig withInputs(Inputs other) {
    return new MatchingConfig(
        iterations, levels, other, match, critic, adversarial, regression, transport, training);
  }

  public MatchingConfig withMatch(Match other) {
    return new MatchingConfig(
        iterations, levels, inputs, other, critic, adversarial, regression, transport, training);
  }

  public MatchingConfig withCritic(Critic other) {
    return new MatchingConfig(
        iterations, levels, inputs, match, other, adversarial, regression, transport, training);
  }

  public MatchingConfig withAdversarial(Adversarial other) {
    return new MatchingConfig(
        iterations, levels, inputs, match, critic, other, regression, transport, training);
  }

  public MatchingConfig withRegression(Regression other) {
    return new MatchingConfig(
        iterations, levels, inputs, match, critic, adversarial, other, transport, training);
  }

  public MatchingConfig withTransport(Transport other) {
    return new MatchingConfig(
        iterations, levels, inputs, match, critic, adversarial, regression, other, training);
  }

  public MatchingConfig withTraining(Training other) {
    return new MatchingConfig(
        iterations, levels, inputs, match, critic, adversarial, regression, transport, other);
  }
}
