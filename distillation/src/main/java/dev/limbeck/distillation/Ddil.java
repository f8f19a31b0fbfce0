package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.distillation.diffusion.Thresholding.Rule;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Init;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Imitation learning for diffusion distillation: trains another method's student on the states that
 * it meets when it samples, besides noisy real data.
 *
 * <p>At inference a student starts each step from the end of its own last one, which is not quite
 * where real data with noise would be (covariate shift). As in DAgger, the noisy inputs of each
 * training step come from one of three sources: forward diffusion of data, with probability β_F;
 * the student's own chain, β_S; the teacher's chain, β_T. The target is the base method's in every
 * case: what its teacher says of that input. β_F falls from 1 to its last value over the first part
 * of the run; the remaining probability is shared in fixed proportion.
 *
 * <p>States of the chains are kept in a buffer of some batches. A step that takes them makes a
 * batch anew with a certain probability and puts it in place of an older one: data are aggregated,
 * and a chain costs a part of its evaluations a step; the teacher's, which does not change and may
 * have many nodes, is seldom made anew. No gradient passes through a chain.
 *
 * <p>Where the student's sampler renoises, a state of a node is the clean estimate from the last of
 * the sampler's levels above it, with noise of the node's level; above the first there is noise
 * alone. The teacher's states lie on the nodes themselves.
 *
 * <p>A generator of one step starts from noise alone, with or without imitation: {@code ddil+dmd2}
 * with one step is {@code dmd2} with one step, number by number. Unless the preset names a number
 * ({@link Preset#sampleSteps()}), {@code ddil+dmd2} therefore trains one of four steps.
 *
 * <p><b>Card.</b> z = F, S or T: {@link Mixture#at}; β(k): {@link Config#forwardShare}; student's
 * chain: {@link Mixture#studentChain}; teacher's: {@link Mixture#teacherChain}. Tests: {@code
 * DdilTest} (shares, states against samplers, no change at β_F = 1). The loss is the base method's
 * and rises a little as β_F falls: the student's own states are harder. What goes wrong: without
 * real data the student may forget them; buffers older than many steps train on states that no
 * longer occur.
 *
 * @paper Garrepalli et al. 2024, arXiv 2410.11971; the shares and the buffer are this project's,
 *     the paper names no values. Ross et al. 2011, arXiv 1011.0686 (DAgger)
 */
public final class Ddil implements Distiller {
  /** Of a generator for which no number of steps is asked: with one it would meet no states. */
  private static final int GENERATOR_STEPS = 4;

  /** Offered as {@code ddil+…}. */
  public static final Variation VARIATION =
      new Variation(
          "ddil",
          "also trains on the states that student and teacher meet when they sample",
          List.of("pd", "cd", "lcm", "dmd2"),
          (base, preset, teacher) -> {
            Config config = preset.settings(Config.class, () -> Config.of(preset));
            Teacher source = teacher.thresholded(config.teacherRule);
            Distiller wrapped = base.create(ofSeveralSteps(base, preset), source);
            return new Ddil(config, wrapped, preset.batch(), teacher);
          });

  /**
   * The variation's settings.
   *
   * @param forward β_F at the end: the share of noisy real data
   * @param fall the part of the run over which β_F falls from 1 to that
   * @param student β_S : (β_S + β_T), the student's part of the rest
   * @param refresh probability that a step on the student's states makes a batch of them anew
   * @param teacherRefresh the same for the teacher's
   * @param batches how many batches of each chain are kept
   * @param teacherSteps the least number of the teacher's Euler steps over the whole grid
   * @param teacherRule how the teacher's estimates, and those of students that teach, are brought
   *     into [−1, 1], which is where images lie (for the paper's reflected form); latents lie
   *     elsewhere
   * @param studentRule how the student's in its chain are, as befits one that is sampled so
   */
  public record Config(
      double forward,
      double fall,
      double student,
      double refresh,
      double teacherRefresh,
      int batches,
      int teacherSteps,
      Rule teacherRule,
      Rule studentRule) {
    /**
     * Half of all steps on real data, 35 % on the student's states, 15 % on the teacher's; points
     * may lie anywhere, a teacher's images are clipped. Between a point student's few levels the
     * noise falls by factors of hundreds: with 8 steps the teacher's states were no data any more,
     * and dmd2's student of four steps ended 5.3 times as far as fresh draws on the ring; without
     * them 1.5.
     */
    public static Config of(Preset preset) {
      Rule rule = preset.isPoints() ? Rule.NONE : Rule.STATIC;
      int teacherSteps = preset.isPoints() ? 64 : 8;
      return new Config(.5, .2, .7, .5, .1, 4, teacherSteps, rule, Rule.NONE);
    }

    /** Without bounds, for samples that are no images in [−1, 1]. */
    Config unbounded() {
      return thresholded(Rule.NONE, Rule.NONE);
    }

    /** With other rules. */
    public Config thresholded(Rule ofTeacher, Rule ofStudent) {
      return new Config(
          forward,
          fall,
          student,
          refresh,
          teacherRefresh,
          batches,
          teacherSteps,
          ofTeacher,
          ofStudent);
    }

    public Config {
      if (teacherRule == null || studentRule == null) {
        throw new IllegalArgumentException(
            "ddil: teacher and student each have a rule of thresholding; Rule.NONE is one, null is"
                + " not");
      }
      boolean shares =
          share(forward)
              && share(fall)
              && share(student)
              && share(refresh)
              && share(teacherRefresh);
      if (!shares || batches < 1 || teacherSteps < 1) {
        throw new IllegalArgumentException(
            "ddil: shares lie between 0 and 1, batches and steps are at least 1; given are "
                + "forward "
                + forward
                + ", fall "
                + fall
                + ", student "
                + student
                + ", refresh "
                + refresh
                + " and "
                + teacherRefresh
                + ", batches "
                + batches
                + ", steps "
                + teacherSteps);
      }
    }

    private static boolean share(double value) {
      return value >= 0 && value <= 1;
    }

    /** β_F at this step of a run. */
    public double forwardShare(long step, long steps) {
      double part = fall == 0 ? 1 : Math.min(1, step / (fall * steps));
      return 1 - part * (1 - forward);
    }
  }

  /** A preset whose samples are no images in [−1, 1]. */
  static Preset unbounded(Preset preset) {
    Config own = preset.settings(Config.class, () -> Config.of(preset));
    return preset.with(own.unbounded());
  }

  /** Where a step's inputs come from. */
  enum Source {
    FORWARD,
    STUDENT,
    TEACHER
  }

  /** What a step does: its source, and the buffer's place that it writes, or −1 for none. */
  record Choice(Source source, int slot) {
    private int number(int batches) {
      return source.ordinal() * (batches + 1) + slot + 1;
    }
  }

  private static final String CHOICE = "ddil";

  private static Preset ofSeveralSteps(Method base, Preset preset) {
    boolean free = base.name().equals("dmd2") && preset.sampleSteps() == null;
    return free ? preset.withSampleSteps(GENERATOR_STEPS) : preset;
  }

  private final Config config;
  private final InputDriven base;
  private final int batch;
  private final int classes;
  private final Shape sample;
  private final Params buffer;
  private final int places;
  private final Mixture mixture = new Mixture();

  /**
   * Wraps a method.
   *
   * @throws IllegalArgumentException if the method takes no inputs from elsewhere
   */
  public Ddil(Config config, Distiller base, int batch, Teacher teacher) {
    if (!(base instanceof InputDriven driven)) {
      throw new IllegalArgumentException(
          "ddil does not fit " + base.name() + ", which takes no noisy inputs from elsewhere");
    }
    this.config = config;
    this.base = driven;
    this.batch = batch;
    this.classes = teacher.classes();
    this.sample = teacher.sample();
    double[] levels = driven.chain().levels();
    int nodes = Math.max(driven.grid(0).length, driven.grid(base.steps() - 1).length);
    places = Math.max(nodes, levels == null ? 0 : levels.length);
    Shape states = Shape.of(config.batches * places * batch, sample.size());
    buffer =
        Params.builder()
            .add("student", states, Init.zeros())
            .add("teacher", states, Init.zeros())
            .build(driven.networks().values().iterator().next().device(), Rng.of(0));
    driven.drawFrom(mixture);
  }

  @Override
  public GuidanceWeights guidance() {
    return base.guidance();
  }

  /** Where the base takes its inputs from. */
  NoisyInputs inputs() {
    return mixture;
  }

  /** The method whose student is trained. */
  public InputDriven base() {
    return base;
  }

  @Override
  public String name() {
    return "ddil+" + base.name();
  }

  @Override
  public List<Objective> objectives() {
    return base.objectives();
  }

  @Override
  public long steps() {
    return base.steps();
  }

  @Override
  public void keepIn(Path folder) {
    base.keepIn(folder);
  }

  @Override
  public void begin(long step) {
    base.begin(step);
    boolean other = step == 0 || base.grid(step).length != base.grid(step - 1).length;
    if (other) {
      // The buffer's states belong to the nodes of this grid.
      Rng rng = Rng.of(step).split(CHOICE.hashCode());
      for (int slot = 0; slot < config.batches; slot++) {
        try (Scope scope = Scope.open()) {
          int[] batchShape = new int[sample.rank() + 1];
          batchShape[0] = batch;
          System.arraycopy(sample.toArray(), 0, batchShape, 1, sample.rank());
          Tensor any = Tensor.zeros(buffer.device(), Shape.of(batchShape));
          StepInput in = new StepInput(step, rng.split(slot), any, null);
          mixture.studentChain(in, base.grid(step), slot);
          mixture.teacherChain(in, base.grid(step), slot);
        }
      }
    }
  }

  /** What the step does, from its randomness alone. */
  Choice choice(long step, Rng random) {
    float[] u = new float[3];
    random.split(CHOICE.hashCode()).uniform(u);
    double forward = config.forwardShare(step, steps());
    if (u[0] < forward) {
      return new Choice(Source.FORWARD, -1);
    }
    boolean student = u[0] < forward + (1 - forward) * config.student;
    double refresh = student ? config.refresh : config.teacherRefresh;
    int slot = u[1] < refresh ? (int) (u[2] * config.batches) : -1;
    return new Choice(student ? Source.STUDENT : Source.TEACHER, slot);
  }

  @Override
  public int kind(long step, Rng random) {
    int choices = Source.values().length * (config.batches + 1);
    return base.kind(step, random) * choices + choice(step, random).number(config.batches);
  }

  @Override
  public Map<String, Params> networks() {
    Map<String, Params> all = new LinkedHashMap<>(base.networks());
    // Not a network, but what later steps depend on: it belongs in a checkpoint.
    all.put("ddil", buffer);
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
  public Optional<Sampler> sampler(int steps) {
    return base.sampler(steps);
  }

  @Override
  public List<Result> results() {
    return base.results();
  }

  // ---- inputs ----

  /** The three sources. */
  private final class Mixture implements NoisyInputs {
    @Override
    public Noisy at(StepInput in, double[] grid, int[] node, double[] guidance) {
      Choice choice = choice(in.step(), in.rng());
      if (choice.source == Source.FORWARD) {
        return FORWARD.at(in, grid, node, guidance);
      }
      boolean student = choice.source == Source.STUDENT;
      if (choice.slot >= 0) {
        if (student) {
          studentChain(in, grid, choice.slot);
        } else {
          teacherChain(in, grid, choice.slot);
        }
      }
      return kept(in, grid, node, student);
    }

    /** For each sample of the batch a state of its node, from any of the batches kept. */
    private Noisy kept(StepInput in, double[] grid, int[] node, boolean student) {
      int n = node.length;
      boolean renoises = student && base.chain().transition() == InputDriven.Transition.RENOISING;
      int[] slot = in.integers("ddil slot", config.batches);
      int[] member = in.integers("ddil member", batch);
      int[] row = new int[n];
      int[] label = new int[n];
      double[] weight = new double[n];
      double[] seen = new double[n];
      for (int i = 0; i < n; i++) {
        int place = renoises ? estimateAbove(grid[node[i]]) : node[i];
        seen[i] = place < 0 ? 0 : 1;
        row[i] = (slot[i] * places + Math.max(0, place)) * batch + member[i];
        label[i] = label(slot[i], member[i]);
        weight[i] = weight(slot[i], member[i]);
      }
      Tensor rows = Tensor.constant(in.device(), Shape.of(n), row);
      Tensor x = states(student).gather(rows).reshape(in.images().shape().toArray());
      if (renoises) {
        x = NoisyInputs.noised(in, in.perSample(seen), x, grid, node);
      }
      Tensor labels = classes == 0 ? null : Tensor.constant(in.device(), Shape.of(n), label);
      return new Noisy(x, labels, base.chain().guidance() == null ? null : weight);
    }

    /** The last of the sampler's levels above σ, whose estimate gets that noise; or −1. */
    private int estimateAbove(double sigma) {
      double[] levels = base.chain().levels();
      int above = -1;
      while (above + 1 < levels.length && levels[above + 1] > sigma) {
        above++;
      }
      return above;
    }

    private Tensor states(boolean student) {
      return buffer.get(student ? "student" : "teacher").value();
    }

    /** Classes and weights belong to the buffer's rows, so that they need not be kept. */
    private int label(int slot, int member) {
      return classes == 0 ? 0 : (slot * batch + member) % classes;
    }

    private double weight(int slot, int member) {
      GuidanceWeights weights = base.chain().guidance();
      if (weights == null) {
        return 0;
      }
      double golden = (slot * batch + member) * 0.6180339887498949;
      return weights.quantile(golden - Math.floor(golden));
    }

    private Tensor labels(StepInput in, int slot) {
      if (classes == 0) {
        return null;
      }
      int[] labels = new int[batch];
      for (int i = 0; i < batch; i++) {
        labels[i] = label(slot, i);
      }
      return Tensor.constant(in.device(), Shape.of(batch), labels);
    }

    private double[] weights(int slot) {
      if (base.chain().guidance() == null) {
        return null;
      }
      double[] weights = new double[batch];
      for (int i = 0; i < batch; i++) {
        weights[i] = weight(slot, i);
      }
      return weights;
    }

    private void keep(boolean student, int slot, int place, Tensor state) {
      int from = (slot * places + place) * batch;
      states(student).copySlice(0, from, state.reshape(batch, sample.size()));
    }

    /** Runs the student's sampler from noise; keeps its states, or its clean estimates. */
    void studentChain(StepInput in, double[] grid, int slot) {
      try (Scope scope = Scope.open()) {
        InputDriven.Chain chain = base.chain();
        Denoiser student = config.studentRule.around(chain.estimates().student(weights(slot)));
        Tensor labels = labels(in, slot);
        if (chain.transition() == InputDriven.Transition.EULER) {
          eulerChain(in, student, grid, 1, slot, true, labels);
          return;
        }
        double[] levels = chain.levels();
        Tensor x = in.noise("ddil start").mul((float) levels[0]);
        // The last node is where nobody steps from.
        int estimates = 1 + estimateAbove(grid[grid.length - 2]);
        for (int j = 0; j < estimates; j++) {
          Tensor clean = student.denoise(x, Samplers.level(x, levels[j]), labels);
          keep(true, slot, j, clean);
          if (j + 1 < estimates) {
            Tensor ones = Samplers.level(x, 1);
            Tensor level = Samplers.level(x, levels[j + 1]);
            x = RowOps.combine(ones, clean, level, in.noise("ddil step " + j));
          }
        }
      }
    }

    /** Runs the teacher's Euler steps over the grid; keeps its states at the nodes. */
    void teacherChain(StepInput in, double[] grid, int slot) {
      try (Scope scope = Scope.open()) {
        Denoiser teacher = base.chain().estimates().teacher(in.step(), weights(slot));
        int intervals = grid.length - 1;
        int parts = (config.teacherSteps + intervals - 1) / intervals;
        eulerChain(in, teacher, grid, parts, slot, false, labels(in, slot));
      }
    }

    private void eulerChain(
        StepInput in,
        Denoiser denoiser,
        double[] grid,
        int parts,
        int slot,
        boolean student,
        Tensor labels) {
      Tensor x = in.noise("ddil start").mul((float) grid[0]);
      keep(student, slot, 0, x);
      // The end of the chain, where nobody steps from, is not kept.
      for (int j = 0; j + 2 < grid.length; j++) {
        double[] part = between(grid[j], grid[j + 1], parts);
        x = Samplers.euler(denoiser, x, part, labels);
        keep(student, slot, j + 1, x);
      }
    }
  }

  /** Levels of equal ratios. */
  static double[] between(double high, double low, int parts) {
    double[] levels = new double[parts + 1];
    for (int i = 0; i <= parts; i++) {
      levels[i] = high * Math.pow(low / high, (double) i / parts);
    }
    return levels;
  }
}
