package dev.limbeck.distillation.diffusion;

import static dev.limbeck.distillation.diffusion.SamplerSettings.Tuned.upTo;
import static dev.limbeck.distillation.diffusion.SamplerSettings.Tuned.usually;
import static dev.limbeck.distillation.diffusion.Tuning.ETA;
import static dev.limbeck.distillation.diffusion.Tuning.ORDER;
import static dev.limbeck.distillation.diffusion.Tuning.S_NOISE;
import static dev.limbeck.distillation.diffusion.Tuning.TIME;

import dev.limbeck.distillation.diffusion.SamplerSettings.Tuned;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * Ways from noise to data along a descending grid of noise levels, by name.
 *
 * <p>Each takes the state at the first level, x = σ_0 n plus data, and returns the state at the
 * last; a grid that ends in 0 returns clean data. All of them work on the variance-exploding form
 * x_σ = x₀ + σ n; on it samplers of the variance-preserving process z = a x take the same steps, as
 * x = z/a and σ = b/a.
 *
 * <p>What methods of the kinds {@link Kind#ODE} and {@link Kind#SDE} add of noise, by η, by churn
 * or always, is what one {@link BrownianPath} of each sample does between the levels of a step. For
 * them the same seed gives the same picture for any number of steps or any tolerance, up to the
 * error of the steps, which is of order 1. Churn keeps this for one S_churn as long as no step's
 * share of it is capped.
 *
 * <p>It cannot hold for those of the kind {@link Kind#FLOW_MAP}, but for TCD with γ = 0, which adds
 * none: the noise of their steps does not become less with shorter steps, so that more steps add
 * more of it, and there is no picture that ever finer grids would lead to. Increments of a path
 * would be as new on each grid as any other noise. Step i of these draws noise of number i.
 */
public final class Samplers {
  private Samplers() {}

  /** A named sampler with its grid: what a student or a teacher is sampled with. */
  public interface Sampler {
    /**
     * Samples from unit normal noise.
     *
     * <p>Sample i of the result depends on row i of the noise, the stream and {@code firstRow + i},
     * not on the other rows.
     *
     * @param firstRow number of the sample that the first row is
     * @shape noise and the result: [N,…]; labels: [N] or null
     */
    Tensor sample(Denoiser denoiser, Tensor noise, Tensor labels, Rng rng, long firstRow);

    /** Samples from unit normal noise; the rows are samples 0, 1, …. */
    default Tensor sample(Denoiser denoiser, Tensor noise, Tensor labels, Rng rng) {
      return sample(denoiser, noise, labels, rng, 0);
    }

    /**
     * Evaluations of the denoiser for each sample. A sampler that chooses its own steps answers
     * those of the batch it made last, which are its slowest sample's, and 0 before the first.
     */
    int evaluations();

    /** Whether the work is the same for each batch, so that it can be recorded and replayed. */
    default boolean isRecordable() {
      return true;
    }

    /** What {@link Samplers#parse} reads. */
    String text();
  }

  /** Stochasticity of {@link #heun}: noise is added and removed between two noise levels. */
  public record Churn(double amount, double sigmaMin, double sigmaMax, double noise) {
    /** No stochasticity. */
    public static Churn none() {
      return new Churn(0, 0, Double.POSITIVE_INFINITY, 1);
    }
  }

  /** What a sampler is made for. */
  public enum Kind {
    /** Follows the probability-flow ODE of a denoiser, unless it is tuned to add noise. */
    ODE,
    /** Follows the reverse SDE of a denoiser, always with noise. */
    SDE,
    /**
     * For models whose answer is a sample itself: consistency models, distilled generators. Their
     * noise is each step's own.
     */
    FLOW_MAP
  }

  /** How a method goes from the state at the first level to that at the last. */
  @FunctionalInterface
  interface Solver {
    Tensor solve(SamplingRun run, Tensor x);
  }

  /** The evaluations that a method needs on a grid. */
  @FunctionalInterface
  interface Cost {
    int of(double[] sigmas, SamplerSettings settings);
  }

  /** Every method, by the name it has in texts and on the command line. */
  public enum Method {
    EULER(
        Kind.ODE,
        1,
        EulerSamplers::euler,
        Samplers::oneAStep,
        "Euler; DDIM with eta 0",
        Tuned.churn()),
    HEUN(
        Kind.ODE,
        2,
        EulerSamplers::heun,
        Samplers::twoAStep,
        "Heun, EDM's, with churn",
        Tuned.churn()),
    DPM_2(
        Kind.ODE,
        2,
        EulerSamplers::dpm2,
        Samplers::twoAStep,
        "DPM-Solver-2, midpoints",
        Tuned.churn()),
    DPM_FAST(
        Kind.ODE,
        2,
        DpmSolver::fast,
        Samplers::oneAStep,
        "DPM-Solver-fast, orders 3, 2, 1; the grid's ends count alone",
        List.of(upTo(1, ETA, 0), usually(S_NOISE, 1))),
    DPM_ADAPTIVE(
        Kind.ODE,
        0,
        AdaptiveDpmSolver::solve,
        null,
        "DPM-Solver-23 or -12 with its own step sizes; the grid's ends count alone",
        Tuned.adaptive()),
    DPM_SOLVER_2M(
        Kind.ODE, 2, DpmPlusPlus::multistep2, Samplers::oneAStep, "DPM-Solver++(2M)", List.of()),
    DPM_SOLVER_3M(
        Kind.ODE,
        3,
        DpmPlusPlus::multistep3Sde,
        Samplers::oneAStep,
        "DPM-Solver++(3M)",
        List.of(usually(Tuning.CURVATURE, 0))),
    LMS(
        Kind.ODE,
        4,
        MultistepSamplers::lms,
        Samplers::oneAStep,
        "linear multistep in sigma",
        List.of(usually(ORDER, 4))),
    DEIS(
        Kind.ODE,
        3,
        MultistepSamplers::deis,
        Samplers::oneAStep,
        "DEIS, multistep in the VP process's time (tAB)",
        List.of(upTo(3, ORDER, 3), usually(TIME, 0))),
    UNIPC(
        Kind.ODE,
        2,
        UniPc::solve,
        Samplers::oneAStep,
        "UniPC, multistep predictor and corrector",
        List.of(upTo(3, ORDER, 2), usually(Tuning.VARIANT, 0))),
    DDIM(
        Kind.ODE,
        1,
        EulerSamplers::ancestral,
        Samplers::oneAStep,
        "DDIM",
        List.of(upTo(1, ETA, 0), usually(S_NOISE, 1))),
    DDPM(
        Kind.SDE,
        1,
        EulerSamplers::ancestral,
        Samplers::oneAStep,
        "DDPM's ancestral sampling",
        List.of(upTo(1, ETA, 1), usually(S_NOISE, 1), usually(Tuning.VARIANCE, 0))),
    EULER_ANCESTRAL(
        Kind.SDE,
        1,
        EulerSamplers::ancestral,
        Samplers::oneAStep,
        "Euler with noise after each step",
        Tuned.noisy()),
    DPM_2_ANCESTRAL(
        Kind.SDE,
        2,
        EulerSamplers::dpm2Ancestral,
        Samplers::twoAStep,
        "DPM-Solver-2 with noise after each step",
        Tuned.noisy()),
    DPMPP_2S_ANCESTRAL(
        Kind.SDE,
        2,
        DpmPlusPlus::singlestep2,
        Samplers::twoAStep,
        "DPM-Solver++(2S) with noise after each step",
        Tuned.withR()),
    DPMPP_SDE(
        Kind.SDE, 2, DpmPlusPlus::sde, Samplers::twoAStep, "DPM-Solver++ (SDE)", Tuned.withR()),
    DPMPP_2M_SDE(
        Kind.SDE,
        2,
        DpmPlusPlus::multistep2Sde,
        Samplers::oneAStep,
        "DPM-Solver++(2M) on the SDE",
        List.of(usually(ETA, 1), usually(S_NOISE, 1), usually(Tuning.SOLVER, 0))),
    DPMPP_3M_SDE(
        Kind.SDE,
        3,
        DpmPlusPlus::multistep3Sde,
        Samplers::oneAStep,
        "DPM-Solver++(3M) on the SDE",
        List.of(usually(ETA, 1), usually(S_NOISE, 1), usually(Tuning.CURVATURE, 0))),
    RENOISING(
        Kind.FLOW_MAP,
        0,
        FewStepSamplers::renoise,
        Samplers::oneALevel,
        "denoises fully and adds noise of the next level, for distilled generators",
        List.of(usually(S_NOISE, 1))),
    LCM(
        Kind.FLOW_MAP,
        0,
        FewStepSamplers::renoise,
        Samplers::oneALevel,
        "latent consistency models' multistep sampling: renoising by another name",
        List.of(usually(S_NOISE, 1))),
    CONSISTENCY(
        Kind.FLOW_MAP,
        0,
        FewStepSamplers::consistency,
        Samplers::oneALevel,
        "consistency models' multistep sampling",
        List.of(usually(Tuning.EPSILON, NoiseLevels.SIGMA_MIN), usually(S_NOISE, 1))),
    TCD(
        Kind.FLOW_MAP,
        0,
        FewStepSamplers::tcd,
        Samplers::oneAStep,
        "strategic stochastic sampling of trajectory consistency models",
        List.of(usually(Tuning.GAMMA, 0.3), usually(S_NOISE, 1), upTo(2, TIME, 0))),
    DOUBLE_STEPS(
        Kind.SDE,
        1,
        FewStepSamplers::doubleSteps,
        Samplers::oneAStep,
        "Meng et al.'s stochastic sampler: DDIM over two steps, noise back up by one",
        List.of(usually(S_NOISE, 1)));

    private final Kind kind;
    private final int order;
    final Solver solver;
    final Cost cost;
    private final String summary;
    private final List<Tuned> tuned;

    Method(Kind kind, int order, Solver solver, Cost cost, String summary, List<Tuned> tuned) {
      this.kind = kind;
      this.order = order;
      this.solver = solver;
      this.cost = cost;
      this.summary = summary;
      List<Tuned> all = new ArrayList<>(tuned);
      all.add(usually(Tuning.START, 0));
      this.tuned = List.copyOf(all);
    }

    /** The name in texts. */
    public String text() {
      return name().toLowerCase(Locale.ROOT);
    }

    public Kind kind() {
      return kind;
    }

    /**
     * The order of convergence on the probability-flow ODE, without noise; 0 if there is none, as
     * for flow maps and adaptive steps. It is that of the steps after the first few, with which
     * multistep methods start up. With noise all methods converge to the path with order 1. Of the
     * flow maps' methods only {@link #TCD} with γ = 0 has one, whose steps are DDIM's.
     */
    public int order(SamplerSettings settings) {
      if (this == TCD) {
        return settings.get(Tuning.GAMMA) == 0 ? 1 : 0;
      }
      if (settings.is(Tuning.CURVATURE, "released")) {
        return 2;
      }
      return cost != null && tuned(ORDER) != null ? settings.whole(ORDER) : order;
    }

    /** One line about it. */
    public String summary() {
      return summary;
    }

    /** Whether a single level is a grid, as it is where each level is denoised fully. */
    boolean solvesOneLevel() {
      return this == RENOISING || this == LCM || this == CONSISTENCY;
    }

    /** The method as it is by default. */
    public SamplerSettings settings() {
      return SamplerSettings.of(this);
    }

    /** What can be changed about it. */
    public List<Tuning> tunings() {
      return tuned.stream().map(Tuned::tuning).toList();
    }

    Tuned tuned(Tuning tuning) {
      for (Tuned each : tuned) {
        if (each.tuning() == tuning) {
          return each;
        }
      }
      return null;
    }

    /**
     * The method of this name; upper case and hyphens are understood.
     *
     * @throws IllegalArgumentException if there is none, with the names of all
     */
    public static Method named(String name) {
      String wanted = name.trim().toLowerCase(Locale.ROOT).replace('-', '_');
      for (Method method : values()) {
        if (method.text().equals(wanted)) {
          return method;
        }
      }
      throw new IllegalArgumentException(
          "there is no sampler \""
              + wanted
              + "\", there are "
              + Arrays.stream(values()).map(Method::text).collect(Collectors.joining(", ")));
    }
  }

  // ---- what methods have in common ----

  private static int oneAStep(double[] sigmas, SamplerSettings settings) {
    return sigmas.length - 1;
  }

  /** A step to σ = 0 takes one. */
  private static int twoAStep(double[] sigmas, SamplerSettings settings) {
    int steps = sigmas.length - 1;
    return sigmas[steps] == 0 ? 2 * steps - 1 : 2 * steps;
  }

  private static int oneALevel(double[] sigmas, SamplerSettings settings) {
    return FewStepSamplers.above(sigmas, settings.get(Tuning.EPSILON));
  }

  // ---- samplers as values ----

  /** Euler on a fixed grid. */
  public static Sampler eulerOn(double... sigmas) {
    return of(Method.EULER, sigmas);
  }

  /** Heun without churn on a fixed grid; 2n − 1 evaluations where the grid ends in 0. */
  public static Sampler heunOn(double... sigmas) {
    return of(Method.HEUN, sigmas);
  }

  /** A method on a fixed grid. */
  public static Sampler of(Method method, double... sigmas) {
    return of(method.settings(), sigmas);
  }

  /**
   * A tuned method on a fixed grid.
   *
   * @throws IllegalArgumentException if the levels do not fall, or there is no step to make
   */
  public static Sampler of(SamplerSettings settings, double... sigmas) {
    return new GridSampler(settings, sigmas.clone());
  }

  /**
   * Reads what {@link Sampler#text} wrote, as in {@code euler 80.0 2.5 0.0} or {@code
   * euler_ancestral:eta=0.5 80.0 2.5 0.0}.
   *
   * @throws IllegalArgumentException if it is anything else
   */
  public static Sampler parse(String text) {
    String[] words = text.trim().split("\\s+");
    double[] sigmas = new double[words.length - 1];
    try {
      for (int i = 0; i < sigmas.length; i++) {
        sigmas[i] = Double.parseDouble(words[i + 1]);
      }
      return of(SamplerSettings.parse(words[0]), sigmas);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "\"" + text + "\" does not describe a sampler: " + e.getMessage(), e);
    }
  }

  /** The settings that a sampler's text begins with. */
  public static SamplerSettings settings(Sampler sampler) {
    return SamplerSettings.parse(sampler.text().split("\\s+", 2)[0]);
  }

  /** A line about each method: its name, what it is, and its tunings with their defaults. */
  public static List<String> list() {
    List<String> lines = new ArrayList<>();
    for (Method method : Method.values()) {
      String tunings =
          method.tuned.stream()
              .map(t -> t.tuning().key() + "=" + t.tuning().write(t.usual()))
              .collect(Collectors.joining(","));
      lines.add(
          String.format(Locale.ROOT, "%-18s %s [%s]", method.text(), method.summary, tunings));
    }
    return lines;
  }

  // ---- from a given state ----

  /** {@link Method#EULER} from a state at the first level. */
  public static Tensor euler(Denoiser denoiser, Tensor x, double[] sigmas, Tensor labels) {
    return solve(Method.EULER.settings(), denoiser, x, sigmas, labels, null, 0);
  }

  /** {@link Method#HEUN} from a state at the first level. */
  public static Tensor heun(
      Denoiser denoiser, Tensor x, double[] sigmas, Tensor labels, Churn churn, Rng rng) {
    SamplerSettings settings =
        Method.HEUN
            .settings()
            .with(Tuning.S_CHURN, churn.amount)
            .with(Tuning.S_TMIN, churn.sigmaMin)
            .with(Tuning.S_TMAX, churn.sigmaMax)
            .with(S_NOISE, churn.noise);
    return solve(settings, denoiser, x, sigmas, labels, rng, 0);
  }

  /** {@link Method#DPM_SOLVER_2M} from a state at the first level. */
  public static Tensor dpmSolver2M(Denoiser denoiser, Tensor x, double[] sigmas, Tensor labels) {
    return solve(Method.DPM_SOLVER_2M.settings(), denoiser, x, sigmas, labels, null, 0);
  }

  /**
   * Any method from a given state at the first level, for editing and continued runs.
   *
   * @param rng what the noise comes from; may be null for a sampler that adds none
   * @param firstRow number of the sample that the first row is
   * @shape x and the result: [N,…]; labels: [N] or null
   */
  public static Tensor solve(
      SamplerSettings settings,
      Denoiser denoiser,
      Tensor x,
      double[] sigmas,
      Tensor labels,
      Rng rng,
      long firstRow) {
    SamplingRun run = new SamplingRun(settings, sigmas, denoiser, labels, rng, firstRow);
    return settings.method().solver.solve(run, x);
  }

  /** One noise level for every sample of the batch. */
  public static Tensor level(Tensor like, double sigma) {
    float[] levels = new float[like.dim(0)];
    Arrays.fill(levels, (float) sigma);
    return Tensor.constant(like.device(), Shape.of(levels.length), levels);
  }

  /** a x + b y. */
  static Tensor combine(double a, Tensor x, double b, Tensor y) {
    return x.mul((float) a).addInPlace((float) b, y);
  }
}
