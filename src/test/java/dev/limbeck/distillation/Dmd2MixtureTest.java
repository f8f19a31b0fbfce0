package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** DMD2 with exact teachers in two dimensions: several modes, and a teacher that is wrong. */
class Dmd2MixtureTest {
  private static final int MODES = 5;
  private static final int BATCH = 128;
  private static final int SAMPLES = 2000;

  /** Mode k lies at radius 3 and angle 2πk/5, with deviation 0.5; all shifted to the right. */
  private static ExactDenoisers.Component[] ring(double shift) {
    ExactDenoisers.Component[] modes = new ExactDenoisers.Component[MODES];
    for (int k = 0; k < MODES; k++) {
      double[] mean = centre(k);
      mean[0] += shift;
      modes[k] = new ExactDenoisers.Component(1, mean, new double[] {.25, .25}, 0);
    }
    return modes;
  }

  private static double[] centre(int k) {
    double angle = 2 * Math.PI * k / MODES;
    return new double[] {3 * Math.cos(angle), 3 * Math.sin(angle)};
  }

  /** Samples of the ring. */
  private record Ring(CpuDevice device) implements Batches {
    @Override
    public int size() {
      return BATCH;
    }

    @Override
    public Rng random(long step) {
      return Rng.of(5).split(step).split(2);
    }

    @Override
    public StepInput at(long step) {
      Rng rng = Rng.of(5).split(step);
      float[] x = rng.split(1).normal(device, Shape.of(BATCH, 2)).toFloats();
      for (int i = 0; i < BATCH; i++) {
        double[] centre = centre((int) ((step * BATCH + i) % MODES));
        x[2 * i] = (float) (centre[0] + .5 * x[2 * i]);
        x[2 * i + 1] = (float) (centre[1] + .5 * x[2 * i + 1]);
      }
      return new StepInput(step, random(step), Tensor.of(device, Shape.of(BATCH, 2), x), null);
    }
  }

  /** Samples at each level of a generator trained with this weight of the adversarial term. */
  private static float[][] trained(CpuDevice device, Denoiser exact, double[] levels, double gan) {
    // As many generator steps for each level, whatever their number.
    MatchingConfig config =
        Dmd2.Config.paper()
            .loop()
            .withIterations(2500L * levels.length)
            .withLevels(levels)
            .withAdversarial(
                gan > 0 ? MatchingConfig.Adversarial.of(gan, 1) : MatchingConfig.Adversarial.none())
            .withTraining(Matchings.quick(10_000));
    return trained(device, exact, config);
  }

  private static float[][] trained(CpuDevice device, Denoiser exact, MatchingConfig config) {
    Teacher teacher =
        new Teacher(
            exact,
            null,
            guided -> new Mlp(Mlp.Config.toy(2, 0).withGuidanceInput(guided), device, Rng.of(4)),
            new Preconditioning.Edm(),
            Shape.of(2),
            0);
    DistributionMatching method = new DistributionMatching("test", config, teacher, BATCH);
    Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
    new Trainer(method, new Ring(device), "ring", quiet).run();
    return drawn(device, method.student(), config.levels());
  }

  /** What the generator makes at each of its levels, given noised results of the one before. */
  private static float[][] drawn(CpuDevice device, Denoiser generator, double[] levels) {
    float[][] made = new float[levels.length][];
    try (Scope scope = Scope.open()) {
      Tensor clean = Tensor.zeros(device, Shape.of(SAMPLES, 2));
      for (int j = 0; j < levels.length; j++) {
        Tensor noise = Rng.of(9 + j).normal(device, Shape.of(SAMPLES, 2));
        Tensor state = clean.add(noise.mul((float) levels[j]));
        clean = generator.denoise(state, Samplers.level(state, levels[j]), null);
        made[j] = clean.toFloats();
      }
    }
    return made;
  }

  /** The share of samples nearest to each mode, and last the mean distance to the nearest. */
  private static double[] shares(float[] x) {
    double[] found = new double[MODES + 1];
    for (int i = 0; i < SAMPLES; i++) {
      int nearest = 0;
      double least = Double.POSITIVE_INFINITY;
      for (int k = 0; k < MODES; k++) {
        double distance = Math.hypot(x[2 * i] - centre(k)[0], x[2 * i + 1] - centre(k)[1]);
        if (distance < least) {
          least = distance;
          nearest = k;
        }
      }
      found[nearest] += 1.0 / SAMPLES;
      found[MODES] += least / SAMPLES;
    }
    return found;
  }

  /** Every mode has its share of what all levels make together, and samples lie on the modes. */
  private static void assertRing(float[][] made) {
    double[] mean = new double[MODES + 1];
    for (float[] x : made) {
      double[] shares = shares(x);
      for (int k = 0; k <= MODES; k++) {
        mean[k] += shares[k] / made.length;
      }
    }
    String found = Arrays.toString(mean);
    for (int k = 0; k < MODES; k++) {
      assertEquals(.2, mean[k], .08, found);
    }
    // The mean length of a normal vector of deviation ½ in the plane is ½·√(π/2) = 0.627.
    assertEquals(.627, mean[MODES], .3, found);
  }

  @Test
  void oneStepFindsEveryMode() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      assertRing(trained(device, ExactDenoisers.mixture(ring(0)), new double[] {80}, 0));
    }
  }

  /**
   * The one critic sees the results of both levels: it is their mixture that is matched, and from
   * fresh weights the levels share the modes among them.
   */
  @Test
  void twoStepsFindEveryModeTogether() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      assertRing(trained(device, ExactDenoisers.mixture(ring(0)), new double[] {80, 5}, 0));
    }
  }

  /**
   * DMD's regression holds each piece of noise to a mode. With it a critic of one step for each of
   * the generator's finds all modes; the same critic without it is what DMD2 calls unstable.
   */
  @Test
  void regressionFindsEveryMode() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      MatchingConfig config =
          Dmd.Config.paper()
              .loop()
              .withIterations(1000)
              .withRegression(
                  new MatchingConfig.Regression(
                      .25, 2000, NoiseLevels.karrasToZero(18), MatchingConfig.Metric.L2))
              .withTraining(Matchings.quick(10_000));
      assertRing(trained(device, ExactDenoisers.mixture(ring(0)), config));
    }
  }

  /** The teacher is shifted against the data by ½; the classifier, which sees data, pulls back. */
  @Test
  void theAdversarialTermCorrectsTheTeacher() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Denoiser wrong = ExactDenoisers.mixture(ring(.5));
      double[] one = {80};
      double without = mean(trained(device, wrong, one, 0)[0]);
      double with = mean(trained(device, wrong, one, 3)[0]);
      assertEquals(.5, without, .2);
      assertTrue(with < without - .1, "mean " + without + " became " + with);
    }
  }

  private static double mean(float[] x) {
    double sum = 0;
    for (int i = 0; i < x.length; i += 2) {
      sum += x[i];
    }
    return sum * 2 / x.length;
  }
}
