package dev.limbeck.distillation;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.AdamW;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.Optimizer;
import dev.limbeck.tensor.Rng;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Distribution backtracking: on samples of an untrained generator the teacher's scores are wrong,
 * having never been trained there; so the teacher is first degraded towards that generator, and
 * distillation then follows the way back, each point of which is a teacher for a while.
 *
 * <p>Stage one, degradation: s' starts as the teacher and is trained, by denoising, on samples of
 * the initial generator G₀, which stands still; at N equal intervals its weights are recorded: s'₁
 * … s'_N ≈ the score of G₀. Stage two, backtracking: the critic starts as s'_N, and the base method
 * runs with s'_{N−1}, …, s'₁ in the teacher's place for a number of iterations each, and with the
 * teacher itself for all others. Nothing else changes at a switch: generator, critic and classifier
 * keep their weights and their optimizers' states. With N = 0 it is the base method, bit for bit.
 *
 * <p>In a run with a folder the recorded weights are its files {@code node-1-disback+….safetensors}
 * and so on, each read when its turn comes; a checkpoint then holds their checksums, and a run that
 * goes on needs the files. Without a folder they stay in memory, and a checkpoint holds them.
 *
 * <p>It is made from the paper's equations. The released code loads the recorded weights under
 * names that fit no network, so that its teacher never changes.
 *
 * <p>Method card:
 *
 * <ul>
 *   <li>min over s' of E λ(σ) ‖D'(x + σ n, σ) − x‖², x = G₀(z), algorithm 1: the objective {@code
 *       degradation}, on the critic's own weights, which thereby are s'_N when stage two begins.
 *   <li>∇ = E (s_φ − s'_i) ∂x/∂θ, algorithm 2: {@link DistributionMatching}, whose teacher is
 *       switched.
 *   <li>Curves: that of {@code degradation} falls to the critic's loss on G₀; in stage two the
 *       critic's then has no first fall. The generator's rises at each switch and falls again.
 *   <li>What goes wrong: nodes that are left too early (each is a harder teacher than the last),
 *       and no gain where the teacher is right on the generator's samples to begin with, as an
 *       exact one is; the degradation costs its iterations all the same.
 *   <li>Tests: {@code DisBackTest}; gains are measured with {@link Convergence}.
 * </ul>
 *
 * @paper Zhang et al. 2024, arXiv 2408.15991
 */
public final class DisBack implements Distiller {
  /** Offered as {@code disback+…}. */
  public static final Variation VARIATION =
      new Variation(
          "disback",
          "goes back the way that the teacher was degraded on",
          List.of(DiffInstruct.METHOD.name(), Dmd2.METHOD.name()),
          (base, preset, teacher) ->
              new DisBack(
                  preset.settings(Config.class, () -> Config.of(preset)), base, preset, teacher));

  /**
   * Settings of the way there and back.
   *
   * @param nodes N, points recorded on the way; 0 for the base method alone
   * @param interval iterations of degradation between two of them
   * @param iterationsPerNode iterations of the base method with each node as its teacher
   * @param learningRate of the degradation
   */
  public record Config(int nodes, long interval, long iterationsPerNode, double learningRate) {
    /** Five nodes; the released script has 100 iterations between nodes and 1,000 with each. */
    public static Config paper() {
      return new Config(5, 100, 1000, 5e-7);
    }

    /** Shorter, at the base's learning rate for critics. */
    public static Config of(Preset preset) {
      if (preset.isPoints()) {
        return new Config(5, 100, 200, 2e-3);
      }
      return preset.patient() ? new Config(5, 60, 100, 6e-4) : new Config(5, 30, 30, 6e-4);
    }

    public Config {
      if (nodes < 0 || nodes > 0 && (interval < 1 || iterationsPerNode < 1)) {
        throw new IllegalArgumentException(
            "disback needs 0 nodes or more, with at least one iteration before and with each, not "
                + nodes
                + " with "
                + interval
                + " and "
                + iterationsPerNode);
      }
    }

    /** Iterations of stage one. */
    public long degradation() {
      return nodes * interval;
    }

    /** Which node is the teacher at an iteration of stage two; 0 is the teacher itself. */
    public int target(long iteration) {
      return (int) Math.max(0, nodes - 1 - iteration / Math.max(1, iterationsPerNode));
    }
  }

  private final Config config;
  private final DistributionMatching base;
  private final Teacher teacher;
  private final SwitchedDenoiser switched;

  /** Recorded weights s'₁ … s'_{N−1}. */
  private final DegradationPath path;

  /** The fixed network that recorded weights are put into, and as what it stands in. */
  private final NetworkDenoiser node;

  private final Denoiser standIn;
  private final AdamW degradation;

  /** The node whose weights {@link #node} has; 0 for none. */
  private int loaded;

  /**
   * Prepares a run.
   *
   * @throws IllegalArgumentException if the teacher has no weights that could be degraded
   */
  public DisBack(Config config, Method base, Preset preset, Teacher teacher) {
    if (config.nodes > 0 && teacher.initial() == null) {
      throw new IllegalArgumentException(
          "disback degrades the teacher's weights, and this teacher has none; one that is a network,"
              + " or has a network fitted to it, does, and so does disback with 0 nodes");
    }
    this.config = config;
    this.teacher = teacher;
    this.switched = new SwitchedDenoiser(teacher.denoiser());
    Teacher changed =
        new Teacher(
            switched,
            teacher.initial(),
            teacher.blueprint(),
            teacher.preconditioning(),
            teacher.sample(),
            teacher.classes());
    this.base = (DistributionMatching) base.create(preset, changed);
    this.node = config.nodes > 1 ? this.base.freshCritic(teacher) : null;
    this.standIn = node == null ? null : teacher.guidedAlike(node);
    Params critic = this.base.critic().network().params();
    this.path = new DegradationPath(name(), Math.max(0, config.nodes - 1), critic);
    this.degradation = new AdamW(critic, AdamW.Config.of((float) config.learningRate));
  }

  @Override
  public String name() {
    return "disback+" + base.name();
  }

  @Override
  public long steps() {
    return config.degradation() + base.steps();
  }

  /** What stands in the teacher's place. */
  SwitchedDenoiser switched() {
    return switched;
  }

  DistributionMatching base() {
    return base;
  }

  /** The base's own iteration, negative in stage one. */
  private long iteration(long step) {
    return step - config.degradation();
  }

  @Override
  public void keepIn(Path folder) {
    base.keepIn(folder);
    path.keepIn(folder);
  }

  @Override
  public void begin(long step) {
    long iteration = iteration(step);
    if (iteration < 0) {
      record(step);
      switched.switchTo(teacher.denoiser());
    } else {
      int target = config.target(iteration);
      if (target != loaded && target > 0) {
        path.load(target, node.network().params());
        loaded = target;
      }
      switched.switchTo(target == 0 ? teacher.denoiser() : standIn);
    }
    base.begin(iteration);
  }

  /** Keeps the critic's weights where a node is due. */
  private void record(long step) {
    if (step > 0 && step % config.interval == 0) {
      path.record((int) (step / config.interval));
    }
  }

  @Override
  public int kind(long step, Rng random) {
    long iteration = iteration(step);
    int stage = iteration < 0 ? 0 : config.target(iteration) == 0 ? 1 : 2;
    return 3 * base.kind(iteration, random) + stage;
  }

  @Override
  public List<Objective> objectives() {
    List<Objective> all = new ArrayList<>();
    if (config.nodes > 0) {
      all.add(new Degradation());
    }
    base.objectives().forEach(objective -> all.add(new Later(objective)));
    return all;
  }

  /** Denoising of the initial generator's samples. */
  private final class Degradation implements Objective {
    @Override
    public String name() {
      return "degradation";
    }

    @Override
    public List<Optimizer> optimizers() {
      return List.of(degradation);
    }

    @Override
    public boolean due(long step) {
      return iteration(step) < 0;
    }

    @Override
    public double clipNorm() {
      return base.config().training().clipNorm();
    }

    @Override
    public Var loss(Tape tape, StepInput input) {
      return base.denoisingLoss(tape, input);
    }
  }

  /** An objective of the base, whose steps are counted from the end of stage one. */
  private final class Later implements Objective {
    private final Objective whole;

    Later(Objective whole) {
      this.whole = whole;
    }

    @Override
    public String name() {
      return whole.name();
    }

    @Override
    public List<Optimizer> optimizers() {
      return whole.optimizers();
    }

    @Override
    public boolean due(long step) {
      return iteration(step) >= 0 && whole.due(iteration(step));
    }

    @Override
    public Var loss(Tape tape, StepInput input) {
      return whole.loss(tape, input);
    }

    @Override
    public double learningRateScale(long step) {
      return whole.learningRateScale(iteration(step));
    }

    @Override
    public double clipNorm() {
      return whole.clipNorm();
    }

    @Override
    public Ema average() {
      return whole.average();
    }
  }

  @Override
  public Map<String, Params> networks() {
    Map<String, Params> all = new LinkedHashMap<>(base.networks());
    all.putAll(path.networks());
    return all;
  }

  @Override
  public NetworkDenoiser student() {
    return base.student();
  }

  @Override
  public Sampler sampler() {
    return base.sampler();
  }

  @Override
  public List<Result> results() {
    return base.results();
  }

  @Override
  public Optional<Sampler> sampler(int steps) {
    return base.sampler(steps);
  }
}
