package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.distillation.MatchingConfig.Critic;
import dev.limbeck.distillation.MatchingConfig.Features;
import dev.limbeck.distillation.MatchingConfig.Inputs;
import dev.limbeck.distillation.MatchingConfig.Metric;
import dev.limbeck.distillation.MatchingConfig.Rhythm;
import dev.limbeck.distillation.data.Mixture;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DistributionMatchingTest {
  private static final double V = .25;
  private static final Denoiser TEACHER =
      ExactDenoisers.gaussian(new double[] {-.5}, new double[] {V});

  private static MatchingConfig small() {
    return Dmd2.Config.paper()
        .loop()
        .withIterations(9)
        .withAdversarial(MatchingConfig.Adversarial.none())
        .withTraining(Matchings.quick(0));
  }

  private static StepInput input(Device device, long step, float brightness) {
    Tensor images = Tensor.full(device, Shape.of(8, 8, 8, 1), brightness);
    Tensor labels = Tensor.of(device, Shape.of(8), new int[8]);
    return new StepInput(step, Rng.of(1).split(step), images, labels);
  }

  private static DistributionMatching method(MatchingConfig config, Device device) {
    DistributionMatching method =
        new DistributionMatching("test", config, new Toys(device).teacher(), 8);
    // The critic starts as the teacher: let it differ, or the loss is zero.
    Matchings.disturb(method, "critic");
    return method;
  }

  /** Losses of the first six steps of an objective, on batches of the given brightness. */
  private static List<Float> losses(
      Device device, MatchingConfig config, String objective, float brightness) {
    DistributionMatching method = method(config, device);
    List<Float> losses = new ArrayList<>();
    for (int step = 0; step < 6; step++) {
      try (Scope scope = Scope.open()) {
        StepInput in = input(device, step, brightness);
        method.begin(step);
        for (Objective o : method.objectives()) {
          if (o.name().equals(objective)) {
            try (Tape tape = Tape.open(o.optimizers().get(0).params().list())) {
              losses.add(o.loss(tape, in).value().item());
            }
          }
        }
      }
    }
    return losses;
  }

  /** Backward simulation needs no data: what the generator is given comes from itself. */
  @Test
  void simulatedInputsDoNotDependOnRealData() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      MatchingConfig simulated = small().withLevels(MatchingConfig.levels(3));
      for (String objective : List.of("generator", "critic")) {
        assertEquals(
            losses(device, simulated, objective, -1), losses(device, simulated, objective, 1));
        MatchingConfig noised = simulated.withInputs(Inputs.NOISED_DATA);
        assertNotEquals(
            losses(device, noised, objective, -1), losses(device, noised, objective, 1));
      }
    }
  }

  /** Sum and mean differ by the number of coordinates, and α scales what it says. */
  @Test
  void reductionsAndFactorsScaleTheLoss() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      MatchingConfig.Match mean = small().match();
      SigmaDraw one = new SigmaDraw.Table(new double[] {2}, 0);
      float usual =
          losses(device, small().withMatch(match(mean, one, false)), "generator", 0).get(0);
      MatchingConfig.Match sum =
          new MatchingConfig.Match(one, mean.normaliser(), false, MatchingConfig.Reduction.SUM);
      assertEquals(
          64 * usual, losses(device, small().withMatch(sum), "generator", 0).get(0), 1e-4f * usual);
      assertEquals(
          usual / Math.sqrt(5),
          losses(device, small().withMatch(match(mean, one, true)), "generator", 0).get(0),
          1e-5f * usual);
    }
  }

  private static MatchingConfig.Match match(
      MatchingConfig.Match like, SigmaDraw noise, boolean vpFactor) {
    return new MatchingConfig.Match(noise, like.normaliser(), vpFactor, like.reduction());
  }

  /** Which objectives train in the first steps, in their order. */
  private static List<String> schedule(Device device, Rhythm rhythm, int ratio) {
    Critic c = small().critic();
    DistributionMatching method =
        method(small().withCritic(new Critic(c.noise(), true, rhythm, ratio)), device);
    List<String> due = new ArrayList<>();
    for (int step = 0; step < 4; step++) {
      StringBuilder names = new StringBuilder();
      for (Objective o : method.objectives()) {
        names.append(o.due(step) ? o.name().charAt(0) : '-');
      }
      due.add(names.toString());
    }
    return due;
  }

  @Test
  void rhythmsSayWhoTrainsWhen() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      assertEquals(List.of("gc", "-c", "-c", "gc"), schedule(device, Rhythm.STALE_BATCH, 3));
      assertEquals(List.of("g-", "-c", "-c", "g-"), schedule(device, Rhythm.EITHER, 3));
      assertEquals(List.of("cg", "cg", "cg", "cg"), schedule(device, Rhythm.FRESH, 1));
    }
  }

  /** Positions 20 to 980 of the table's thousand, and with lognormal levels their moments. */
  @Test
  void levelsAreDrawnAsThePapersHaveThem() {
    SigmaDraw.Table inner = (SigmaDraw.Table) MatchingConfig.karrasTable(.02);
    assertEquals(.00323159, inner.smallest(), 1e-8);
    assertEquals(72.053899, inner.largest(), 1e-6);
    int n = 20_000;
    try (Scope scope = Scope.open()) {
      Tensor images = Tensor.zeros(Device.cpu(), Shape.of(n, 1));
      StepInput in = new StepInput(0, Rng.of(3), images, null);
      double sum = 0;
      double squares = 0;
      for (double sigma : new SigmaDraw.Lognormal(-1.2, 1.2).draw(in, "a")) {
        sum += Math.log(sigma) / n;
        squares += Math.log(sigma) * Math.log(sigma) / n;
      }
      // Four deviations of a mean of so many.
      assertEquals(-1.2, sum, 4 * 1.2 / Math.sqrt(n));
      assertEquals(1.2, Math.sqrt(squares - sum * sum), 4 * 1.2 / Math.sqrt(2 * n));
      double least = 100;
      double most = 0;
      for (double sigma : inner.draw(in, "b")) {
        least = Math.min(least, sigma);
        most = Math.max(most, sigma);
      }
      // 20,000 draws of 961 miss an end with probability e^−20.
      assertEquals(inner.smallest(), least);
      assertEquals(inner.largest(), most);
    }
  }

  /**
   * Noise is added under the name that its levels are drawn by: they must not be the same numbers.
   */
  @Test
  void levelsAreIndependentOfTheNoise() {
    try (Scope scope = Scope.open()) {
      int n = 5000;
      StepInput in = new StepInput(0, Rng.of(3), Tensor.zeros(Device.cpu(), Shape.of(n, 1)), null);
      float[] noise = in.noise("critic").toFloats();
      double[] sigma = new SigmaDraw.Lognormal(0, 1).draw(in, "critic");
      double[] levels = {1, Math.exp(-1)};
      double[] table = new SigmaDraw.Table(levels, 0).draw(in, "critic");
      double normal = 0;
      double uniform = 0;
      for (int i = 0; i < n; i++) {
        normal += Math.log(sigma[i]) * noise[i] / n;
        uniform += (2 * Math.log(table[i]) + 1) * noise[i] / n;
      }
      // Five deviations of a mean of products of unit numbers.
      assertEquals(0, normal, 5 / Math.sqrt(n));
      assertEquals(0, uniform, 5 / Math.sqrt(n));
    }
  }

  /** What each method chooses for each preset makes sense for any number of steps. */
  @Test
  void everyPresetHasSettingsForAnyNumberOfSteps() {
    for (Preset preset : List.of(Preset.quick(), Preset.full(), Preset.points())) {
      for (int steps : new int[] {1, 2, 4}) {
        Preset asked = preset.withSampleSteps(steps);
        for (MatchingConfig config :
            List.of(
                Dmd2.Config.of(asked).loop(),
                Dmd.Config.of(asked).loop(),
                DiffInstruct.Config.of(asked).loop())) {
          assertEquals(steps, config.levels().length);
        }
        double[] grid = Dmd.Config.of(asked).loop().regression().levels();
        for (int i = 1; i < grid.length; i++) {
          assertTrue(grid[i] < grid[i - 1], "a step of the teacher leads nowhere");
        }
      }
    }
  }

  /** A chain of three levels may be broken off after one or two, not gone on with. */
  @Test
  void fewerStepsThanTrainedForAreThoseOfTheChain() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      DistributionMatching method = method(small().withLevels(80, 5, 1), device);
      assertEquals(3, method.sampler().evaluations());
      assertEquals("renoising 80.0 5.0", method.sampler(2).orElseThrow().text());
      assertTrue(method.sampler(4).isEmpty() && method.sampler(0).isEmpty());
    }
  }

  /**
   * The fresh generator makes nearly one point of noise alone, and of data almost without noise
   * that data, N(0, v). A critic that knows which of them it looks at believes the first to be that
   * point, whatever it sees, and the second to be at x v/(v + σ²), half of x here; another one
   * weighs both by how likely they are to be seen at x, densities e⁻⁴/σ² and e⁻²/2σ² here. The
   * points of the first level spread by some 0.1, and a thousand steps leave a few hundredths.
   */
  @Test
  void aCriticThatKnowsTheLevelBelievesInEachByItself() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      double[] told = slopes(device, true);
      assertEquals(0, told[0], .1);
      assertEquals(.5, told[1], .1);
      double[] untold = slopes(device, false);
      assertEquals(untold[0], untold[1]);
      double chance = 1 / (1 + 2 * Math.exp(-2));
      assertEquals(chance / 2, untold[0], .1);
    }
  }

  /** (D(1, 1) − D(0, 0)) of a trained critic at σ = ½, for samples of either level. */
  private static double[] slopes(Device device, boolean knowsLevel) {
    SigmaDraw half = new SigmaDraw.Lognormal(Math.log(.5), .1);
    MatchingConfig config =
        small()
            .withIterations(1000)
            .withLevels(80, .002)
            .withInputs(Inputs.NOISED_DATA)
            .withCritic(new Critic(half, true, Rhythm.STALE_BATCH, 1, knowsLevel))
            .withTraining(new MatchingConfig.Training(0, 5e-3, .9, 0, 10, 1, 0, 0, 1, 0));
    DistributionMatching method =
        new DistributionMatching("test", config, Matchings.points(device, 0), 128);
    double[][][] covariance = {{{V, 0}, {0, V}}};
    Mixture normal = new Mixture(new double[] {1}, new double[][] {{0, 0}}, covariance, null);
    Batches batches = new MixtureBatches(normal, device, 128, Rng.of(7));
    new Trainer(method, batches, "test", Trainer.Options.watchedBy((d, step, losses) -> {})).run();
    Tensor x = Tensor.of(device, Shape.of(2, 2), new float[] {1, 1, 0, 0});
    Tensor level = Tensor.full(device, Shape.of(2), .5f);
    double[] slopes = new double[2];
    for (int i = 0; i < slopes.length; i++) {
      Tensor origin = Tensor.full(device, Shape.of(2), i);
      Denoiser critic = knowsLevel ? method.critic().weighted(origin) : method.critic();
      float[] clean = critic.denoise(x, level, null).toFloats();
      slopes[i] = (clean[0] + clean[1] - clean[2] - clean[3]) / 2;
    }
    return slopes;
  }

  private static void assertRefused(String part, Runnable made) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, made::run);
    assertTrue(e.getMessage().contains(part), e.getMessage());
  }

  @Test
  void settingsThatMakeNoSenseAreRefused() {
    assertRefused("at least one noise level", () -> small().withLevels());
    assertRefused("must descend", () -> small().withLevels(1, 2));
    Critic c = small().critic();
    assertRefused(
        "at least 2", () -> small().withCritic(new Critic(c.noise(), true, Rhythm.EITHER, 1)));
    assertRefused(
        "lead from the generator's first, 80.0, to 0",
        () ->
            small()
                .withRegression(
                    new MatchingConfig.Regression(1, 10, new double[] {40, 0}, Metric.L2)));
    assertRefused(
        "needs a classifier",
        () ->
            small()
                .withAdversarial(
                    new MatchingConfig.Adversarial(
                        0, 0, Features.CRITIC, small().critic().noise(), 1, .01)));
    assertRefused("edges below a half", () -> new SigmaDraw.Table(new double[] {1}, .5));
  }

  /** What a teacher that is no network cannot give is asked of none. */
  @Test
  void settingsThatDoNotFitTheTeacherAreRefused() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Teacher network = new Toys(device).teacher();
      Teacher exact =
          new Teacher(
              TEACHER,
              null,
              network.blueprint(),
              network.preconditioning(),
              network.sample(),
              network.classes());
      MatchingConfig.Training t = small().training();
      MatchingConfig dropout =
          small()
              .withTraining(
                  new MatchingConfig.Training(
                      t.generatorRate(), t.criticRate(), .9, 0, 10, 1, 1, 0, 1, .1));
      assertRefused("a dropout of 0", () -> new DistributionMatching("test", dropout, exact, 8));
      assertRefused(
          "a network without guidance",
          () -> new DistributionMatching("test", dropout, network.guided(2), 8));
      MatchingConfig features =
          small()
              .withRegression(
                  new MatchingConfig.Regression(
                      1, 4, NoiseLevels.toZero(new double[] {80, 1}), Metric.FEATURES));
      assertRefused("the metric L2", () -> new DistributionMatching("test", features, exact, 8));
    }
  }

  /** With one mask for both, equal networks agree with dropout as they do without. */
  @Test
  void teacherAndCriticSeeTheSameDropoutMasks() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      List<Float> answers = new ArrayList<>();
      for (double rate : new double[] {0, .5}) {
        MatchingConfig.Training training =
            new MatchingConfig.Training(1e-3, 1e-3, .9, 0, 10, 1, 1, 0, 1, rate);
        MatchingConfig config = small().withTraining(training);
        DistributionMatching method =
            new DistributionMatching("test", config, Matchings.points(device, 0), 8);
        Objective generator = method.objectives().get(0);
        Objective critic = method.objectives().get(1);
        try (Scope scope = Scope.open();
            Tape tape = Tape.open(generator.optimizers().get(0).params().list())) {
          method.begin(0);
          StepInput in = new StepInput(0, Rng.of(1), Tensor.zeros(device, Shape.of(8, 2)), null);
          assertEquals(0f, generator.loss(tape, in).value().item());
          answers.add(critic.loss(tape, in).value().item());
        }
      }
      assertNotEquals(answers.get(0), answers.get(1), "masks have an effect");
    }
  }
}
