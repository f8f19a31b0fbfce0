package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.MatchingConfig.Critic;
import dev.limbeck.distillation.MatchingConfig.Match;
import dev.limbeck.distillation.MatchingConfig.Normaliser;
import dev.limbeck.distillation.MatchingConfig.Reduction;
import dev.limbeck.distillation.MatchingConfig.Rhythm;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Backtracking where everything has a closed form: a network whose last layer is 0 is EDM's c_skip
 * x, the exact denoiser of N(0, ½²); as a generator at σ = ½ it makes N(0, ¼²).
 */
class DisBackTest {
  private static final double LEVEL = .5;
  private static final double[] ZEROS = {0, 0};
  private static final Denoiser TEACHER = gaussian(.25);

  /** Of what the initial generator makes: c_skip(½)·½ z = z/4. */
  private static final Denoiser INITIAL = gaussian(.0625);

  private static final int BATCH = 128;

  private static Denoiser gaussian(double variance) {
    return ExactDenoisers.gaussian(ZEROS, new double[] {variance, variance});
  }

  private static Teacher teacher(CpuDevice device) {
    Teacher.Blueprint blueprint =
        guided -> new Mlp(Mlp.Config.toy(2, 0).withGuidanceInput(guided), device, Rng.of(4));
    Network network = blueprint.create(false);
    network.params().list().stream()
        .filter(p -> p.name().startsWith("last"))
        .forEach(p -> p.value().fill(0));
    network.params().touch();
    NetworkDenoiser model = new NetworkDenoiser(network, new Preconditioning.Edm());
    return Teacher.of(model, blueprint, Shape.of(2), 0);
  }

  private static Preset preset(long iterations, DisBack.Config config) {
    SigmaDraw noise = new SigmaDraw.Lognormal(-1.2, 1.2);
    MatchingConfig loop =
        DiffInstruct.Config.paper()
            .loop()
            .withIterations(iterations)
            .withLevels(LEVEL)
            .withMatch(new Match(noise, Normaliser.EXPECTED, false, Reduction.MEAN))
            .withCritic(new Critic(noise, true, Rhythm.FRESH, 1))
            .withTraining(new MatchingConfig.Training(5e-4, 2e-3, 0, 0, 10, 1, 1, 0, 1, 0));
    Preset all = Preset.points().withBatch(BATCH).with(new DiffInstruct.Config(loop));
    return config == null ? all : all.with(config);
  }

  /** Batches without data: none of this asks for any. */
  private record Nothing(CpuDevice device) implements Batches {
    @Override
    public int size() {
      return BATCH;
    }

    @Override
    public Rng random(long step) {
      return Rng.of(31).split(step);
    }

    @Override
    public StepInput at(long step) {
      return new StepInput(step, random(step), Tensor.zeros(device, Shape.of(BATCH, 2)), null);
    }
  }

  private static DisBack disback(CpuDevice device, long iterations, DisBack.Config config) {
    return (DisBack)
        Methods.of("disback+diff-instruct").create(preset(iterations, config), teacher(device));
  }

  private static Trainer trainer(Distiller method, CpuDevice device) {
    Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
    return new Trainer(method, new Nothing(device), "test", quiet);
  }

  private static float[] values(Params params) {
    float[] all = new float[params.values().length()];
    params.values().download(all, 0);
    return all;
  }

  /** The root mean square of the difference of two denoisers on noised samples of G₀. */
  private static double distance(CpuDevice device, Denoiser a, Denoiser b) {
    double sum = 0;
    try (Scope scope = Scope.open()) {
      for (double sigma : new double[] {.1, .3, .6}) {
        float deviation = (float) Math.sqrt(.0625 + sigma * sigma);
        Tensor x = Rng.of(8).normal(device, Shape.of(500, 2)).mul(deviation);
        Tensor level = Samplers.level(x, sigma);
        for (float d : a.denoise(x, level, null).sub(b.denoise(x, level, null)).toFloats()) {
          sum += d * d / 3000;
        }
      }
    }
    return Math.sqrt(sum);
  }

  /** The path leads from the teacher's score to the one of what the initial generator makes. */
  @Test
  void degradationEndsAtTheScoreOfTheInitialGenerator() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      // So small a rate that nodes lie farther apart than the noise of single steps.
      DisBack.Config config = new DisBack.Config(4, 20, 1, 3e-4);
      DisBack method = disback(device, 9, config);
      double start = distance(device, TEACHER, INITIAL);
      assertEquals(start, distance(device, method.base().critic(), INITIAL), 1e-6);
      float[] generator = values(method.networks().get("generator"));
      trainer(method, device).run(0, config.degradation());
      assertArrayEquals(generator, values(method.networks().get("generator")), "G₀ stands still");
      NetworkDenoiser node = teacher(device).student();
      double last = start;
      for (int i = 1; i < config.nodes(); i++) {
        node.network().params().copyFrom(method.networks().get("path" + i));
        double next = distance(device, node, INITIAL);
        assertTrue(next < last, "node " + i + ": from " + last + " to " + next);
        last = next;
      }
      double end = distance(device, method.base().critic(), INITIAL);
      // Eighty steps leave a fifth of the way or less.
      assertTrue(end < .2 * start, "from " + start + " to " + end);
    }
  }

  @Test
  void nodesTakeTurnsFromTheLastButOneToTheTeacher() {
    DisBack.Config config = new DisBack.Config(3, 10, 5, 1e-3);
    int[] found = new int[12];
    int[] expected = {2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0, 0};
    for (int i = 0; i < found.length; i++) {
      found[i] = config.target(i);
    }
    assertArrayEquals(expected, found);
    assertEquals(30, config.degradation());
  }

  /** A switch changes the teacher, and nothing that is trained. */
  @Test
  void aSwitchTouchesTheTeacherAlone() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      DisBack.Config config = new DisBack.Config(3, 15, 5, 5e-4);
      DisBack method = disback(device, 20, config);
      trainer(method, device).run(0, 50);
      List<float[]> before = state(method);
      SwitchedDenoiser asked = method.switched();
      double node2 = distance(device, asked, INITIAL);
      method.begin(50);
      double node1 = distance(device, asked, INITIAL);
      method.begin(55);
      double teacher = distance(device, asked, INITIAL);
      assertTrue(node2 < node1 && node1 < teacher, node2 + ", " + node1 + ", " + teacher);
      assertEquals(distance(device, TEACHER, INITIAL), teacher, 1e-6);
      List<float[]> after = state(method);
      for (int i = 0; i < before.size(); i++) {
        assertArrayEquals(before.get(i), after.get(i));
      }
    }
  }

  /** Weights and optimizers' moments. */
  private static List<float[]> state(Distiller method) {
    List<float[]> all = new ArrayList<>();
    method.networks().values().forEach(params -> all.add(values(params)));
    for (Objective objective : method.objectives()) {
      objective
          .optimizers()
          .get(0)
          .state()
          .values()
          .forEach(t -> all.add(t.type() == DType.F32 ? t.toFloats() : null));
    }
    all.removeIf(a -> a == null);
    return all;
  }

  /** The error of the deviation of what is generated, evaluated every so often. */
  private static Convergence.Curve curve(Distiller method, CpuDevice device, long from) {
    int every = 20;
    int count = (int) ((method.steps() - from) / every);
    Convergence.Cost[] spent = new Convergence.Cost[count];
    double[] error = new double[count];
    Trainer trainer = trainer(method, device);
    trainer.run(0, from);
    for (int i = 0; i < count; i++) {
      trainer.run(from + (long) i * every, from + (i + 1L) * every);
      spent[i] = new Convergence.Cost((i + 1L) * every, 1);
      error[i] = .02 + Math.abs(deviation(method, device) - .5);
    }
    return new Convergence.Curve(spent, error);
  }

  private static double deviation(Distiller method, CpuDevice device) {
    try (Scope scope = Scope.open()) {
      Tensor z = Rng.of(9).normal(device, Shape.of(2000, 2));
      Tensor x = method.sampler().sample(method.student(), z, null, Rng.of(1));
      double sum = 0;
      for (float v : x.toFloats()) {
        sum += v * v / x.size();
      }
      return Math.sqrt(sum);
    }
  }

  /**
   * Control: an exact teacher is right on every sample, and the way back only delays. The error
   * counts from a floor of .02, what the critic's noise leaves.
   */
  @Test
  void anExactTeacherLeavesNothingToGain() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Distiller base = Methods.of("diff-instruct").create(preset(300, null), teacher(device));
      DisBack.Config config = new DisBack.Config(4, 15, 25, 1e-3);
      DisBack method = disback(device, 300, config);
      Convergence.Cost before = new Convergence.Cost(config.degradation(), 1);
      Convergence found =
          Convergence.of(
              curve(base, device, 0), curve(method, device, config.degradation()), before);
      assertTrue(found.baseline().isReached() && found.other().isReached(), found.toString());
      assertTrue(found.gain().iterations() <= 1, found.toString());
      assertTrue(found.gainWithCost().iterations() < found.gain().iterations());
    }
  }

  @Test
  void whatHasNoWeightsCannotBeDegraded() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Teacher network = teacher(device);
      Teacher exact =
          new Teacher(
              TEACHER, null, network.blueprint(), network.preconditioning(), network.sample(), 0);
      Preset preset = preset(9, new DisBack.Config(2, 1, 1, 1e-3));
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class,
              () -> Methods.of("disback+diff-instruct").create(preset, exact));
      assertTrue(e.getMessage().contains("has a network fitted to it"), e.getMessage());
    }
    assertThrows(IllegalArgumentException.class, () -> new DisBack.Config(-1, 1, 1, 1));
    assertThrows(IllegalArgumentException.class, () -> new DisBack.Config(2, 0, 1, 1));
    assertThrows(IllegalArgumentException.class, () -> Methods.of("disback+pd"));
  }
}
