package dev.limbeck.distillation;

import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Thresholding.Rule;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.Precision;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.nn.optim.Ema;
import dev.limbeck.nn.optim.LrSchedule;

/** Networks and settings small enough for tests: digits of 8×8. */
final class Toys {
  private static final int SIDE = 8;
  private static final UNetConfig NETWORK = UNetConfig.toy(1).withClasses(10);

  private final Model model;
  private final Teacher teacher;

  Toys(Device device) {
    this(device, Precision.F32);
  }

  Toys(Device device, Precision precision) {
    model = Model.create(NETWORK, SIDE, EdmTraining.SAMPLER, device, 11).in(precision);
    teacher = model.teacher();
  }

  Model model() {
    return model;
  }

  Teacher teacher() {
    return teacher;
  }

  Distiller teacherTraining(long steps, int batch) {
    return new EdmTraining(
        EdmTraining.Config.small(steps),
        teacher.blueprint(),
        new Preconditioning.Edm(),
        NETWORK.classes(),
        batch);
  }

  /** A generator that translates digits, with a transport term. */
  DistributionMatching translation(long steps, int batch) {
    SigmaDraw noise = new SigmaDraw.Lognormal(-1.2, 1.2);
    MatchingConfig config =
        DiffInstruct.Config.paper()
            .loop()
            .withIterations(steps)
            .withMatch(
                new MatchingConfig.Match(
                    noise,
                    MatchingConfig.Normaliser.PER_SAMPLE,
                    false,
                    MatchingConfig.Reduction.SUM,
                    MatchingConfig.SigmaWeight.EDM))
            .withInputs(MatchingConfig.Inputs.SOURCE)
            .withTransport(new MatchingConfig.Transport(.5))
            .withTraining(new MatchingConfig.Training(1e-3, 1e-3, 0.9, 0.01, 10, 5, 1, 100, 1, 0));
    return new DistributionMatching("translation", config, teacher, batch);
  }

  /** Every part of every method switched on. */
  Preset preset(long steps, int batch) {
    Preset preset =
        Preset.quick()
            .withBatch(batch)
            .withEvaluated(50)
            .with(guided(steps))
            .with(latentConsistency(steps))
            .with(
                new ProgressiveDistillation.Config(
                    NoiseLevels.karrasToZero(8),
                    2,
                    steps / 2,
                    1e-3,
                    1,
                    ProgressiveDistillation.Solver.HEUN,
                    ProgressiveDistillation.Weighting.TRUNCATED_SNR))
            .with(new Ddil.Config(.2, 0, .5, .5, .5, 2, 4, Rule.STATIC, Rule.STATIC))
            .with(new Dmd2.Config(everyPartOf(Dmd2.Config.paper().loop(), steps)))
            .with(
                new Dmd.Config(
                    everyPartOf(Dmd.Config.paper().loop(), steps)
                        .withLevels(80)
                        .withRegression(
                            new MatchingConfig.Regression(
                                0.25,
                                6,
                                NoiseLevels.karrasToZero(2),
                                MatchingConfig.Metric.FEATURES))))
            .with(new DisBack.Config(2, 1, 10, 1e-3))
            .with(
                new DiffInstruct.Config(
                    everyPartOf(DiffInstruct.Config.paper().loop(), steps).withLevels(2)));
    return continuous(steps, consistency(steps, preset));
  }

  /** Short, with two levels, the optimizers quick, and a classifier. */
  private static MatchingConfig everyPartOf(MatchingConfig paper, long steps) {
    MatchingConfig.Critic c = paper.critic();
    MatchingConfig.Adversarial gan = MatchingConfig.Adversarial.of(1e-2, 1e-2);
    return paper
        .withIterations(steps)
        .withLevels(MatchingConfig.levels(2))
        .withCritic(
            new MatchingConfig.Critic(
                c.noise(), c.weighted(), c.rhythm(), Math.min(3, c.steps()), true))
        .withAdversarial(
            new MatchingConfig.Adversarial(
                gan.generatorWeight(),
                gan.classifierWeight(),
                gan.features(),
                gan.noise(),
                1,
                0.01))
        .withTraining(new MatchingConfig.Training(1e-3, 1e-3, 0.9, 0.01, 10, 5, 0.5, 100, 1, 0));
  }

  private static Preset continuous(long steps, Preset preset) {
    return preset
        .with(
            new ContinuousConsistency.Config(
                steps,
                1e-3,
                LrSchedule.constant(),
                -1,
                1.4,
                steps / 2,
                ContinuousConsistency.Size.NORM,
                .1,
                ContinuousConsistency.Weighting.INVERSE_SIGMA,
                true,
                true,
                .1,
                Ema.Kind.powerWidth(.1),
                10,
                Renoising.of(.5, 2)))
        .with(
            new MeanFlow.Config(
                MeanFlow.Velocity.TEACHER,
                steps,
                1e-3,
                LrSchedule.constant(),
                -.4,
                1,
                80,
                .5,
                1,
                1e-3,
                .1,
                Ema.Kind.powerWidth(.1),
                10,
                Renoising.of(.5, 1)));
  }

  private static Preset consistency(long steps, Preset preset) {
    ConsistencyLearning.Training training =
        new ConsistencyLearning.Training(
            steps,
            1e-3,
            LrSchedule.warmUp(3),
            Ema.Kind.halfLife(100, 1),
            .1,
            10,
            new double[] {80, 1},
            2);
    return preset
        .with(
            new ConsistencyDistillation.Config(
                training,
                new ConsistencyMetric.Features(),
                ConsistencyLearning.Weighting.UNIFORM,
                NoiseLevels.karras(10),
                ProgressiveDistillation.Solver.HEUN,
                .9))
        .with(
            new ConsistencyTraining.Config(
                training,
                new ConsistencyMetric.L1(),
                ConsistencyLearning.Weighting.KARRAS,
                new ConsistencySchedule.SquareRoot(2, 20),
                new ConsistencySchedule.Adaptive(2, .9, true),
                NoiseLevels.SIGMA_MIN,
                NoiseLevels.SIGMA_MAX,
                true))
        .with(
            new ImprovedConsistencyTraining.Config(
                training,
                new ConsistencyMetric.PseudoHuber(.01, true),
                ConsistencyLearning.Weighting.INVERSE_DISTANCE,
                new ConsistencySchedule.Doubling(5, 20),
                new ConsistencySchedule.LogNormal(-1.1, 2),
                NoiseLevels.SIGMA_MIN,
                NoiseLevels.SIGMA_MAX,
                false))
        .with(
            new EasyConsistencyTuning.Config(
                training,
                new ConsistencyMetric.PseudoHuber(0, false),
                ConsistencyLearning.Weighting.INVERSE_DISTANCE,
                -1.1,
                2,
                2,
                2));
  }

  /** Both stages within the first few steps, the second with two halvings. */
  static GuidedDistillation.Config guided(long steps) {
    return new GuidedDistillation.Config(
        new GuidanceWeights(0, 4),
        3,
        1e-3,
        ProgressiveDistillation.Weighting.TRUNCATED_SNR,
        1,
        NoiseLevels.SIGMA_MAX,
        true,
        new ProgressiveDistillation.Config(
            NoiseLevels.karrasToZero(8),
            2,
            steps / 2,
            1e-3,
            1,
            ProgressiveDistillation.Solver.EULER,
            ProgressiveDistillation.Weighting.SNR_PLUS_ONE),
        false,
        true);
  }

  private static LatentConsistency.Config latentConsistency(long steps) {
    return new LatentConsistency.Config(
        LatentConsistency.Config.cosineTable(1),
        20,
        new GuidanceWeights(0, 4),
        ProgressiveDistillation.Solver.EULER,
        LatentConsistency.Boundary.RELEASED,
        // Wide: the paper's 0.001 turns the rounding of two devices into other slopes.
        new ConsistencyMetric.Huber(0.03),
        ConsistencyLearning.Weighting.KARRAS_ROOT,
        0.95,
        steps,
        1e-3,
        3,
        0.5,
        1,
        4);
  }
}
