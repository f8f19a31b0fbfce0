package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Thresholding.Rule;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

class DdilTest {
  static final int BATCH = 256;
  static final Denoiser EXACT =
      ExactDenoisers.gaussian(new double[] {0, 0}, new double[] {.25, .25});

  /** Real data that no chain could have made: a single point, far away. */
  record FarAway(CpuDevice device, float place) implements Batches {
    FarAway(CpuDevice device) {
      this(device, 1000);
    }

    @Override
    public int size() {
      return BATCH;
    }

    @Override
    public Rng random(long step) {
      return Rng.of(7).split(step);
    }

    @Override
    public StepInput at(long step) {
      Tensor x = Tensor.full(device, Shape.of(BATCH, 2), place);
      return new StepInput(step, random(step), x, null);
    }
  }

  private static Teacher teacher(CpuDevice device) {
    return teacher(device, EXACT);
  }

  static Teacher teacher(CpuDevice device, Denoiser denoiser) {
    return teacher(device, denoiser, 0);
  }

  static Teacher teacher(CpuDevice device, Denoiser denoiser, int classes) {
    return new Teacher(
        denoiser,
        null,
        guided -> new Mlp(Mlp.Config.toy(2, classes).withGuidanceInput(guided), device, Rng.of(4)),
        new Preconditioning.Edm(),
        Shape.of(2),
        classes);
  }

  static ProgressiveDistillation pd(Teacher teacher) {
    return new ProgressiveDistillation(
        new ProgressiveDistillation.Config(
            NoiseLevels.cosine(8),
            4,
            10,
            1e-3,
            1,
            ProgressiveDistillation.Solver.EULER,
            ProgressiveDistillation.Weighting.TRUNCATED_SNR),
        teacher);
  }

  private static List<Float> losses(Distiller distiller, CpuDevice device) {
    return losses(distiller, new FarAway(device));
  }

  static List<Float> losses(Distiller distiller, Batches data) {
    List<Float> all = new ArrayList<>();
    Trainer.Options options =
        Trainer.Options.watchedBy((d, step, losses) -> all.addAll(losses.values()));
    new Trainer(distiller, data, "test", options).run();
    return all;
  }

  @Test
  void shareOfRealDataFalls() {
    Ddil.Config config = Ddil.Config.of(Preset.points());
    assertEquals(1, config.forwardShare(0, 1000));
    assertEquals(.75, config.forwardShare(100, 1000));
    assertEquals(.5, config.forwardShare(200, 1000));
    assertEquals(.5, config.forwardShare(999, 1000));
  }

  /** With nothing but real data it is the method that it wraps, bit for bit. */
  @Test
  void realDataAloneChangeNothing() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      List<Float> base = losses(pd(teacher(device)), device);
      Ddil.Config real = new Ddil.Config(1, 0, .5, .5, .5, 2, 8, Rule.NONE, Rule.NONE);
      assertEquals(
          base, losses(new Ddil(real, pd(teacher(device)), BATCH, teacher(device)), device));
    }
  }

  /** Without real data, their place does not matter: at 1,000 they would make a loss of 10^5. */
  @Test
  void chainsDoNotDependOnRealData() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      for (double student : new double[] {0, 1}) {
        Ddil.Config chains = new Ddil.Config(0, 0, student, .5, .5, 2, 8, Rule.NONE, Rule.NONE);
        Ddil ddil = new Ddil(chains, pd(teacher(device)), BATCH, teacher(device));
        for (float loss : losses(ddil, device)) {
          assertTrue(loss < 100, "loss " + loss);
        }
      }
    }
  }

  /** What leaves the range is the guided estimate, so that clipping comes after guidance. */
  @Test
  void guidedEstimatesAreClipped() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Denoiser either =
          (x, sigma, labels) -> Tensor.full(device, x.shape(), labels == null ? -.5f : .75f);
      Teacher plain = teacher(device, either);
      Tensor x = Tensor.zeros(device, Shape.of(2, 2));
      Tensor level = Samplers.level(x, 1);
      Tensor labels = Tensor.constant(device, Shape.of(2), new int[] {0, 0});
      Tensor weights = Tensor.constant(device, Shape.of(2), new float[] {.1f, 3});
      Teacher clipped = plain.guided(4).thresholded(Rule.STATIC);
      assertEquals(4, clipped.cfgScale());
      float[] found = clipped.guidedBy(weights).denoise(x, level, labels).toFloats();
      // 1.1 · 0.75 + 0.1 · 0.5, and 4 · 0.75 + 3 · 0.5, which is 4.5.
      assertArrayEquals(new float[] {.875f, .875f, 1, 1}, found, 1e-6f);
      float[] alike = clipped.guidedAlike(either).denoise(x, level, labels).toFloats();
      assertArrayEquals(new float[] {1, 1, 1, 1}, alike);
    }
  }

  /**
   * The teacher's chain on N(0, 0.25) is linear: its states have the deviation 10^-4..σ₀ times the
   * product of the Euler factors (v + σσ')/(v + σ²).
   */
  @Test
  void teachersStatesHaveTheDeviationOfItsSteps() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Ddil.Config chains = new Ddil.Config(0, 0, 0, 0, 0, 2, 8, Rule.NONE, Rule.NONE);
      ProgressiveDistillation base = pd(teacher(device));
      Ddil ddil = new Ddil(chains, base, BATCH, teacher(device));
      ddil.begin(0);
      double[] grid = base.grid(0);
      float[] states = ddil.networks().get("ddil").get("teacher").value().toFloats();
      int places = grid.length;
      double expected = grid[0];
      for (int node = 0; node + 1 < places; node++) {
        double sum = 0;
        for (int slot = 0; slot < 2; slot++) {
          int from = (slot * places + node) * BATCH * 2;
          for (int i = from; i < from + 2 * BATCH; i++) {
            sum += states[i] * states[i];
          }
        }
        // 1,024 numbers: the deviation is known to 2.2 %, three times that is allowed.
        assertEquals(1, Math.sqrt(sum / 1024) / expected, .066, "node " + node);
        double[] part = Ddil.between(grid[node], grid[node + 1], 2);
        for (int k = 0; k + 1 < part.length; k++) {
          expected *= (.25 + part[k] * part[k + 1]) / (.25 + part[k] * part[k]);
        }
      }
    }
  }

  /**
   * Where the sampler renoises, a node's state is the estimate from the last of the sampler's
   * levels above it: told apart here by a student who believes every sample to be its noise level.
   */
  @Test
  void renoisedStatesComeFromTheLevelAbove() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      double[] nodes = {10, 4, 2, 1, .5, .25, 0};
      double[] expected = {0, 10, 10, 2, 2, .5};
      Denoiser believer = (x, sigma, labels) -> Tensor.full(device, x.shape(), sigma.toFloats()[0]);
      ProgressiveDistillation pd = pd(teacher(device));
      InputDriven.Transition how = InputDriven.Transition.RENOISING;
      Driven base = Driven.of(pd, nodes, how, new double[] {10, 2, .5}, believer);
      Ddil.Config chains = new Ddil.Config(0, 0, 1, .5, .5, 2, 8, Rule.NONE, Rule.NONE);
      Ddil ddil = new Ddil(chains, base, BATCH, teacher(device));
      ddil.begin(0);
      StepInput in = new FarAway(device).at(3);
      int[] drawn = new int[BATCH];
      for (int i = 0; i < BATCH; i++) {
        drawn[i] = i % expected.length;
      }
      float[] x = base.given.get(0).at(in, nodes, drawn, null).x().toFloats();
      float[] noise = in.noise("noise").toFloats();
      for (int i = 0; i < x.length; i++) {
        int node = drawn[i / 2];
        // Rounding of numbers up to 50 in F32.
        assertEquals(expected[node], x[i] - nodes[node] * noise[i], 1e-5, "node " + node);
      }
    }
  }

  /** States of chains have the weights that real data have, the share without guidance too. */
  @Test
  void keptStatesHaveTheWeightsOfTheMethod() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      double[] nodes = {10, 1, 0};
      GuidanceWeights weights = new GuidanceWeights(1, 4, .5);
      InputDriven.Transition how = InputDriven.Transition.EULER;
      Driven base = Driven.of(pd(teacher(device)), nodes, how, null, EXACT).guidedBy(weights);
      Ddil.Config chains = new Ddil.Config(0, 0, .5, .5, .5, 2, 8, Rule.NONE, Rule.NONE);
      Ddil ddil = new Ddil(chains, base, BATCH, teacher(device));
      ddil.begin(0);
      StepInput in = new FarAway(device).at(3);
      double[] none = new double[BATCH];
      double[] found = base.given.get(0).at(in, nodes, new int[BATCH], none).guidance();
      double[] guided = Arrays.stream(found).filter(w -> w > 1).toArray();
      // Drawn at random: the share is known to 0.03, the mean of the guided to 0.08.
      assertEquals(.5, guided.length / (double) BATCH, .1);
      assertEquals(2.5, Arrays.stream(guided).average().orElseThrow(), .2);
      assertEquals(BATCH - guided.length, Arrays.stream(found).filter(w -> w == 1).count());
    }
  }

  /**
   * An exact student's chain of Euler steps falls short of real data with noise by the factors of
   * its steps: on N(0, 0.25) the sliced distance is the difference of the deviations. The floor is
   * what 4,096 points leave.
   */
  @Test
  void covariateShiftOfTheTeachersOwnSteps() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      ProgressiveDistillation base = pd(teacher(device));
      double[] grid = base.grid(0);
      InputDriven exact = Driven.of(base, grid, InputDriven.Transition.EULER, null, EXACT);
      Tensor real = Rng.of(5).normal(device, Shape.of(2 * 4096, 2)).mul(.5f);
      List<CovariateShift> found = CovariateShift.of(exact, EXACT, 0, real, null, Rng.of(6));
      assertEquals(grid.length - 2, found.size());
      double chain = grid[0];
      for (int j = 0; j < found.size(); j++) {
        chain *= (.25 + grid[j] * grid[j + 1]) / (.25 + grid[j] * grid[j]);
        CovariateShift shift = found.get(j);
        assertEquals(grid[j + 1], shift.sigma(), 1e-12);
        double marginal = Math.sqrt(.25 + grid[j + 1] * grid[j + 1]);
        // 4,096 points leave a distance of some hundredths of the deviation.
        assertEquals(Math.abs(marginal - chain), shift.distance(), .06 * marginal, "node " + j);
        assertTrue(shift.floor() < .06 * marginal);
      }
    }
  }

  /** A method with a chain of its own; it keeps the inputs that it is given. */
  record Driven(
      ProgressiveDistillation method, double[] nodes, Chain chain, List<NoisyInputs> given)
      implements InputDriven {
    /** Student and teacher are the same. */
    static Driven of(
        ProgressiveDistillation method,
        double[] nodes,
        Transition how,
        double[] levels,
        Denoiser d) {
      return of(method, nodes, how, levels, guidance -> d);
    }

    static Driven of(
        ProgressiveDistillation method,
        double[] nodes,
        Transition how,
        double[] levels,
        Function<double[], Denoiser> d) {
      Estimates estimates =
          new Estimates() {
            @Override
            public Denoiser student(double[] guidance) {
              return d.apply(guidance);
            }

            @Override
            public Denoiser teacher(long step, double[] guidance) {
              return d.apply(guidance);
            }
          };
      return new Driven(method, nodes, new Chain(how, levels, null, estimates), new ArrayList<>());
    }

    Driven guidedBy(GuidanceWeights weights) {
      Chain own = new Chain(chain.transition(), chain.levels(), weights, chain.estimates());
      return new Driven(method, nodes, own, given);
    }

    @Override
    public void drawFrom(NoisyInputs inputs) {
      given.add(inputs);
    }

    @Override
    public double[] grid(long step) {
      return nodes;
    }

    @Override
    public String name() {
      return method.name();
    }

    @Override
    public List<Objective> objectives() {
      return method.objectives();
    }

    @Override
    public long steps() {
      return method.steps();
    }

    @Override
    public Map<String, Params> networks() {
      return method.networks();
    }

    @Override
    public NetworkDenoiser student() {
      return method.student();
    }

    @Override
    public Samplers.Sampler sampler() {
      return method.sampler();
    }
  }

  @Test
  void levelsInBetween() {
    assertArrayEquals(new double[] {4, 2, 1}, Ddil.between(4, 1, 2), 1e-12);
  }

  @Test
  void onlyMethodsThatTakeInputs() {
    String unknown = refused(() -> Methods.of("ddil+nothing"));
    assertTrue(unknown.contains("no method \"nothing\""), unknown);
    String named = refused(() -> Methods.of("ddil+ct"));
    assertTrue(named.contains("ddil does not fit ct; it fits pd, cd, lcm, dmd2"), named);
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Teacher teacher = teacher(device);
      Distiller ct = Methods.of("ct").create(Preset.points(), teacher);
      String said = refused(() -> new Ddil(Ddil.Config.of(Preset.points()), ct, BATCH, teacher));
      assertTrue(said.contains("ddil does not fit ct, which takes no noisy inputs"), said);
    }
    assertThrows(
        IllegalArgumentException.class,
        () -> new Ddil.Config(1.5, 0, 0, 0, 0, 1, 1, Rule.NONE, Rule.NONE));
  }

  private static String refused(Executable what) {
    return assertThrows(IllegalArgumentException.class, what).getMessage();
  }
}
