package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Mixture;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Editing;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.distillation.metrics.MixtureEvaluation;
import dev.limbeck.distillation.metrics.MixtureScore;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.Mlp;
import dev.limbeck.nn.UNetConfig.TimeFeatures;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Everything that distillation on a mixture has in common, whatever the method: data scaled as
 * images are, the exact teacher, a network that knows it, and measurements in the data's own units.
 */
final class PointsWork {
  /**
   * A network of ninety thousand multiply-adds a point: seconds for thousands of steps. With three
   * layers, students of pd are 1½ times as far from the exact flow as with five.
   */
  private static final int WIDTH = 128;

  private static final int DEPTH = 5;
  private static final int TIME_FEATURES = 32;

  /**
   * The exact teacher's: 40 steps of Heun's method, within a tenth of the floor on the mixtures
   * that have names, where 18 are at twice the floor.
   */
  static final Sampler SAMPLER = Samplers.heunOn(NoiseLevels.toZero(NoiseLevels.karras(40)));

  /** Points on either side of a measurement of covariate shift. */
  private static final int SHIFT_POINTS = 1000;

  /** Apart from the streams of the evaluation's own draws. */
  private static final int LABELS = 1 << 20;

  private final Device device;
  private final long seed;
  private final Preset preset;
  private final Mixture scaled;
  private final Architecture.Points architecture;
  private final Denoiser exact;
  private final double guidance;
  private final MixtureEvaluation evaluation;
  private final int[] labels;

  PointsWork(
      Device device,
      long seed,
      Mixture mixture,
      Preset preset,
      double guidance,
      MixtureEvaluation evaluation) {
    this.device = device;
    this.seed = seed;
    this.preset = preset;
    this.guidance = guidance;
    this.evaluation = evaluation;
    double unit = mixture.deviation() / Preconditioning.Edm.SIGMA_DATA;
    this.scaled = mixture.moved(mixture.centre(), 1 / unit);
    List<Double> centre =
        Arrays.stream(mixture.centre()).boxed().collect(Collectors.toUnmodifiableList());
    int d = mixture.dimension();
    Mlp.Config network =
        new Mlp.Config(
            d, d, WIDTH, DEPTH, mixture.classes(), TimeFeatures.fourier(1f), TIME_FEATURES, false);
    this.architecture = new Architecture.Points(network, centre, unit);
    this.exact = ExactDenoisers.of(scaled.table());
    int[] drawn = mixture.draw(Rng.of(0).split(LABELS), evaluation.samples()).labels();
    this.labels = drawn == null ? new int[evaluation.samples()] : drawn;
  }

  /** Trains into a folder. */
  Training training(Path out, TrainJob.Watcher watcher) {
    Batches batches = new MixtureBatches(scaled, device, preset.batch(), Rng.of(seed));
    return new Training(out, preset, seed, scaled.hash(), batches, watcher);
  }

  /** A network that has learnt nothing yet. */
  Model untrained() {
    return Model.create(architecture, EdmTraining.SAMPLER, device, seed);
  }

  /** A network that answers nearly as the exact denoiser does, which some methods start from. */
  Model fitted(Training training, RunLog log) {
    Model model = untrained();
    EdmTraining fit =
        new EdmTraining(
            preset.teacher(),
            model.blueprint(),
            model.preconditioning(),
            architecture.classes(),
            preset.batch(),
            exact);
    training.train("initial", fit, "exact", log);
    model.network().params().copyFrom(fit.student().network().params());
    return model;
  }

  /** The exact teacher, with the fitted network to start from. */
  Teacher teacher(Model fitted) {
    return new Teacher(
            exact,
            fitted.network().params(),
            fitted.blueprint(),
            fitted.preconditioning(),
            architecture.sample(),
            architecture.classes())
        .guided(guidance);
  }

  /** The guided exact denoiser. */
  Denoiser exact() {
    return exact.guided(guidance);
  }

  /** The score of a denoiser's samples, and the samples. */
  Scored score(Denoiser denoiser, Sampler sampler) {
    Generation generation =
        new Generation(denoiser, sampler, architecture.sample(), architecture.classes());
    long start = System.nanoTime();
    float[] points = architecture.toData(generation.values(device, seed + 1, labels));
    double seconds = (System.nanoTime() - start) / 1e9 / labels.length;
    return new Scored(sampler.evaluations(), evaluation.score(points), seconds, points);
  }

  /**
   * What a student meets when it samples against noisy data, in units of the data as students see
   * them, whose deviation is {@link Preconditioning.Edm#SIGMA_DATA}.
   *
   * @param how its sampler's chain goes on
   */
  List<CovariateShift> shift(InputDriven.Transition how, Denoiser student, Sampler sampler) {
    Rng rng = Rng.of(seed).split(SHIFT_POINTS);
    Mixture.Draw drawn = scaled.draw(rng.split(1), 2 * SHIFT_POINTS);
    try (Scope scope = Scope.open()) {
      Shape shape = Shape.of(2 * SHIFT_POINTS, scaled.dimension());
      Tensor real = Tensor.constant(device, shape, drawn.points());
      int[] first = drawn.labels() == null ? null : Arrays.copyOf(drawn.labels(), SHIFT_POINTS);
      Tensor classes =
          first == null ? null : Tensor.constant(device, Shape.of(SHIFT_POINTS), first);
      double[] levels = Editing.levels(sampler);
      return CovariateShift.of(how, levels, student, real, classes, rng.split(2));
    }
  }

  /**
   * What was measured, and of which points.
   *
   * @param nfe evaluations of the network for each point
   * @param points [n·d], in the data's units
   */
  @SuppressWarnings("ArrayRecordComponent") // Results are reported, never compared.
  record Scored(int nfe, MixtureScore score, double secondsPerSample, float[] points) {}
}
