package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.ProgressiveDistillation.Solver;
import dev.limbeck.distillation.ProgressiveDistillation.Weighting;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.LrSchedule;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** How each method's learning rate rises and falls, and that steps are taken with it. */
class LearningRatesTest {
  private static final double RATE = 1e-3;

  /** Two halvings, of ten steps and of four. */
  private static ProgressiveDistillation.Config halvings() {
    return new ProgressiveDistillation.Config(
        NoiseLevels.shiftedCosine(8, .5, 20),
        2,
        10,
        4,
        RATE,
        1,
        Solver.EULER,
        Weighting.TRUNCATED_SNR,
        false);
  }

  private static Teacher teacher(CpuDevice device) {
    return GuidedDistillationTest.teacher(device, new Preconditioning.Edm());
  }

  private static GuidedDistillation guided(CpuDevice device) {
    return new GuidedDistillation(
        new GuidedDistillation.Config(
            new GuidanceWeights(0, 4),
            8,
            RATE,
            Weighting.TRUNCATED_SNR,
            .5,
            20,
            false,
            halvings(),
            false,
            false),
        teacher(device));
  }

  private static void assertScale(double expected, Objective objective, long step) {
    assertEquals(expected, objective.learningRateScale(step), 1e-6, "at step " + step);
  }

  /** From 1 to 1/length, in each halving anew. */
  @ParameterizedTest
  @CsvSource({"0, 1", "5, .5", "9, .1", "10, 1", "11, .75", "13, .25"})
  void halvingsFallLinearlyAndBeginAnew(long step, double scale) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      ProgressiveDistillation method = new ProgressiveDistillation(halvings(), teacher(device));
      assertEquals(14, method.steps());
      assertScale(scale, method.objectives().get(0), step);
    }
  }

  /** Stage 1 falls over its own eight steps, and halvings count from its end. */
  @Test
  void stagesOfGuidance() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      List<Objective> both = guided(device).objectives();
      assertScale(1, both.get(0), 0);
      assertScale(.75, both.get(0), 2);
      assertScale(.125, both.get(0), 7);
      assertScale(1, both.get(1), 8);
      assertScale(.5, both.get(1), 13);
      assertScale(1, both.get(1), 18);
      assertScale(.25, both.get(1), 21);
    }
  }

  private static LatentConsistency latent(CpuDevice device, long warmUp, double decay) {
    LatentConsistency.Config paper = LatentConsistency.Config.paper();
    return new LatentConsistency(
        new LatentConsistency.Config(
            LatentConsistency.Config.cosineTable(.5),
            50,
            new GuidanceWeights(0, 4),
            Solver.EULER,
            LatentConsistency.Boundary.EFFECTIVE,
            paper.metric(),
            paper.weighting(),
            .95,
            20,
            RATE,
            warmUp,
            decay,
            1,
            4),
        teacher(device),
        16);
  }

  /** A warm-up of four steps of twenty; from the middle on it falls. */
  @Test
  void latentConsistencyWarmsUpAndDecays() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      double[] expected = {.25, .5, .75, 1, 1};
      Objective objective = latent(device, 4, .5).objectives().get(0);
      Objective without = latent(device, 0, 1).objectives().get(0);
      for (int step = 0; step < expected.length; step++) {
        assertScale(expected[step], objective, step);
        assertScale(1, without, step);
      }
      assertScale(1, objective, 10);
      assertScale(.5, objective, 15);
      assertScale(.1, objective, 19);
      assertScale(1, without, 19);
    }
  }

  private static MatchingConfig matching(long warmUp, double decay) {
    return Dmd2.Config.paper()
        .loop()
        .withIterations(20)
        .withTraining(new MatchingConfig.Training(RATE, RATE, .9, 0, 10, warmUp, decay, 0, 1, 0));
  }

  /** Generator and critic alike; behind a first stage of ten steps the count begins at its end. */
  @Test
  void matchingWarmsUpAndDecays() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Toys toys = new Toys(device);
      Preset preset =
          toys.preset(20, 4)
              .with(new Dmd2.Config(matching(4, .5)))
              .with(new DisBack.Config(2, 5, 10, RATE));
      List<Objective> plain = Methods.of("dmd2").create(preset, toys.teacher()).objectives();
      assertEquals(2, plain.size());
      for (Objective objective : plain) {
        assertScale(.25, objective, 0);
        assertScale(1, objective, 3);
        assertScale(1, objective, 10);
        assertScale(.5, objective, 15);
        assertScale(.1, objective, 19);
        assertScale(0, objective, 20);
      }
      assertEquals(1, matching(0, 1).training().scale(0, 20));
      assertEquals(1, matching(0, 1).training().scale(19, 20));
      List<Objective> staged =
          Methods.of("disback+dmd2").create(preset, toys.teacher()).objectives();
      assertEquals(3, staged.size());
      for (Objective objective : staged) {
        boolean first = objective.name().equals("degradation");
        assertScale(first ? 1 : .25, objective, 10);
        assertScale(first ? 1 : .5, objective, 25);
      }
    }
  }

  /** A teacher's rate rises over its warm-up and falls to 0 in the end. */
  @Test
  void teachersWarmUpAndDecay() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Toys toys = new Toys(device);
      EdmTraining.Config config = new EdmTraining.Config(20, RATE, -1.2, 1.2, 0, 100, 4, .5);
      EdmTraining method =
          new EdmTraining(config, toys.teacher().blueprint(), new Preconditioning.Edm(), 10, 4);
      Objective objective = method.objectives().get(0);
      assertScale(.25, objective, 0);
      assertScale(1, objective, 9);
      assertScale(.5, objective, 15);
    }
  }

  /** Methods whose settings have a schedule follow it. */
  @ParameterizedTest
  @ValueSource(strings = {"cd", "ct", "ict", "ect", "scm", "sct", "meanflow"})
  void schedulesAreFollowed(String name) {
    LrSchedule odd = step -> 1f / (step + 2);
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Toys toys = new Toys(device);
      Preset preset = toys.preset(20, 4);
      ConsistencyLearning.Training training =
          new ConsistencyLearning.Training(20, RATE, odd, null, 0, 10, new double[] {80, 1}, 2);
      Distiller method = withSchedule(preset, name, training, odd, toys);
      assertEquals(name, method.name());
      assertScale(.5, method.objectives().get(0), 0);
      assertScale(1 / 9.0, method.objectives().get(0), 7);
    }
  }

  private static Distiller withSchedule(
      Preset preset,
      String name,
      ConsistencyLearning.Training training,
      LrSchedule rate,
      Toys toys) {
    Preset with =
        preset
            .with(distillation(training))
            .with(training(training))
            .with(improved(training))
            .with(tuning(training))
            .with(continuous(rate))
            .with(meanFlow(rate));
    return Methods.of(name).create(with, toys.teacher());
  }

  private static ConsistencyDistillation.Config distillation(
      ConsistencyLearning.Training training) {
    ConsistencyDistillation.Config paper = ConsistencyDistillation.Config.paper();
    return new ConsistencyDistillation.Config(
        training, paper.metric(), paper.weighting(), paper.grid(), paper.solver(), 0);
  }

  private static ConsistencyTraining.Config training(ConsistencyLearning.Training training) {
    ConsistencyTraining.Config paper = ConsistencyTraining.Config.paper();
    return new ConsistencyTraining.Config(
        training,
        paper.metric(),
        paper.weighting(),
        paper.nodes(),
        paper.targetDecay(),
        paper.sigmaMin(),
        paper.sigmaMax(),
        true);
  }

  private static ImprovedConsistencyTraining.Config improved(
      ConsistencyLearning.Training training) {
    ImprovedConsistencyTraining.Config paper = ImprovedConsistencyTraining.Config.paper();
    return new ImprovedConsistencyTraining.Config(
        training,
        paper.metric(),
        paper.weighting(),
        paper.nodes(),
        paper.draw(),
        paper.sigmaMin(),
        paper.sigmaMax(),
        true);
  }

  private static EasyConsistencyTuning.Config tuning(ConsistencyLearning.Training training) {
    EasyConsistencyTuning.Config paper = EasyConsistencyTuning.Config.paper();
    return new EasyConsistencyTuning.Config(
        training, paper.metric(), paper.weighting(), paper.logMean(), 2, 2, 8);
  }

  private static ContinuousConsistency.Config continuous(LrSchedule rate) {
    ContinuousConsistency.Config paper =
        ContinuousConsistency.Config.paper(ContinuousConsistency.Form.DISTILLATION);
    return new ContinuousConsistency.Config(
        20,
        RATE,
        rate,
        paper.logMean(),
        paper.logDeviation(),
        10,
        paper.size(),
        paper.floor(),
        paper.weighting(),
        true,
        true,
        0,
        null,
        10,
        paper.sampling());
  }

  private static MeanFlow.Config meanFlow(LrSchedule rate) {
    MeanFlow.Config paper = MeanFlow.Config.paper();
    return new MeanFlow.Config(
        MeanFlow.Velocity.TEACHER,
        20,
        RATE,
        rate,
        paper.logMean(),
        paper.logDeviation(),
        80,
        paper.apart(),
        1,
        paper.floor(),
        0,
        null,
        10,
        paper.sampling());
  }

  private static float[] values(Params params) {
    float[] all = new float[params.values().length()];
    params.values().download(all, 0);
    return all;
  }

  /** The share of the parameters that moved whose move is this one, in either direction. */
  private static double shareThatMoved(double by, float[] before, float[] after) {
    int moved = 0;
    int alike = 0;
    for (int i = 0; i < before.length; i++) {
      double move = Math.abs((double) after[i] - before[i]);
      moved += move > 0 ? 1 : 0;
      // Values of about 1 are rounded by 6e-8; least gradients feel Adam's 1e-8.
      alike += Math.abs(move - by) < .002 * by ? 1 : 0;
    }
    assertTrue(moved > 1000, moved + " of " + before.length + " parameters moved");
    return (double) alike / moved;
  }

  /**
   * Adam's first step moves every parameter by the learning rate itself, whatever its gradient, and
   * no other step does: each halving begins with an optimizer that remembers nothing, at the full
   * rate.
   */
  @Test
  void everyHalvingBeginsWithAFreshOptimizer() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      ProgressiveDistillation method = new ProgressiveDistillation(halvings(), teacher(device));
      Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
      Trainer trainer =
          new Trainer(method, new GuidedDistillationTest.Points(device, 64), "rates", quiet);
      Params student = method.networks().get("student");
      for (long step = 0; step < method.steps(); step++) {
        float[] before = values(student);
        trainer.run(step, step + 1);
        double share = shareThatMoved(RATE, before, values(student));
        boolean first = step == 0 || step == 10;
        assertTrue(first ? share > .95 : share < .2, step + ": " + share);
      }
    }
  }

  /** The trainer's step has the method's scale: of the first, in a warm-up of four, a quarter. */
  @Test
  void theTrainerTakesTheScale() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      LatentConsistency method = latent(device, 4, .5);
      Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
      Params student = method.networks().get("student");
      float[] before = values(student);
      new Trainer(method, new GuidedDistillationTest.Points(device, 64), "rates", quiet).run(0, 1);
      double share = shareThatMoved(RATE / 4, before, values(student));
      assertTrue(share > .95, share + " of the parameters moved by a quarter of the rate");
    }
  }
}
