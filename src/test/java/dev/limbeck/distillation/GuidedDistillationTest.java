package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.ProgressiveDistillation.Solver;
import dev.limbeck.distillation.ProgressiveDistillation.Weighting;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Editing;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Both stages against exact class-conditional and unconditional denoisers. */
class GuidedDistillationTest {
  /** Two classes of one mode each, that overlap: guidance moves them apart. */
  static final ExactDenoisers.Component[] MODES = {
    new ExactDenoisers.Component(1, new double[] {-.4, 0}, new double[] {.06, .04}, 0),
    new ExactDenoisers.Component(1, new double[] {.4, .2}, new double[] {.04, .08}, 1)
  };

  static final Denoiser EXACT = ExactDenoisers.mixture(MODES);
  private static final double[] LEVELS = NoiseLevels.shiftedCosine(16, .5, 20);

  /** Labelled samples of the mixture, one class after the other. */
  record Points(CpuDevice device, int size) implements Batches {
    @Override
    public Rng random(long step) {
      return Rng.of(31).split(step).split(2);
    }

    @Override
    public StepInput at(long step) {
      float[] x = Rng.of(31).split(step).split(1).normal(device, Shape.of(size, 2)).toFloats();
      int[] labels = new int[size];
      for (int i = 0; i < size; i++) {
        labels[i] = i % 2;
        for (int j = 0; j < 2; j++) {
          double deviation = Math.sqrt(MODES[i % 2].variance()[j]);
          x[2 * i + j] = (float) (MODES[i % 2].mean()[j] + deviation * x[2 * i + j]);
        }
      }
      Tensor classes = Tensor.constant(device, Shape.of(size), labels);
      return new StepInput(step, random(step), Tensor.of(device, Shape.of(size, 2), x), classes);
    }
  }

  static Teacher teacher(CpuDevice device, Preconditioning preconditioning) {
    return new Teacher(
        EXACT,
        null,
        guided -> new Mlp(Mlp.Config.toy(2, 2).withGuidanceInput(guided), device, Rng.of(4)),
        preconditioning,
        Shape.of(2),
        2);
  }

  static void train(Distiller distiller, CpuDevice device) {
    Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
    new Trainer(distiller, new Points(device, 128), "points", quiet).run();
  }

  private static GuidedDistillation.Config config(
      long absorbing, long halving, Weighting weighting, boolean stochastic) {
    return config(absorbing, halving, weighting, false, stochastic);
  }

  private static GuidedDistillation.Config config(
      long absorbing, long halving, Weighting weighting, boolean direct, boolean stochastic) {
    return new GuidedDistillation.Config(
        new GuidanceWeights(0, 4),
        absorbing,
        4e-3,
        weighting,
        .5,
        20,
        false,
        new ProgressiveDistillation.Config(LEVELS, 4, halving, 3e-3, 1, Solver.EULER, weighting),
        direct,
        stochastic);
  }

  private static double rootMeanSquare(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (a[i] - b[i]) * (double) (a[i] - b[i]);
    }
    return Math.sqrt(sum / a.length);
  }

  /** |x̂₁ − x^w| over a grid of levels and weights, and how far guidance is from none. */
  private static double[] map(CpuDevice device, NetworkDenoiser student, double w) {
    double error = 0;
    double guidance = 0;
    for (double sigma : new double[] {.1, .3, .6, 1, 2, 5}) {
      try (Scope scope = Scope.open()) {
        StepInput in = new Points(device, 400).at(12345);
        Tensor level = Samplers.level(in.images(), sigma);
        Tensor x = in.images().add(in.noise("map").mul((float) sigma));
        float[] exact =
            GuidanceWeights.guided(EXACT, Samplers.level(x, w))
                .denoise(x, level, in.labels())
                .toFloats();
        float[] plain = EXACT.denoise(x, level, in.labels()).toFloats();
        Denoiser told = student.weighted(Samplers.level(x, w));
        double here = rootMeanSquare(told.denoise(x, level, in.labels()).toFloats(), exact);
        error = Math.max(error, here);
        guidance = Math.max(guidance, rootMeanSquare(plain, exact));
      }
    }
    return new double[] {error, guidance};
  }

  /** Stage 1 alone, with either of the paper's pairs of weighting and parameterisation. */
  @ParameterizedTest
  @EnumSource(
      value = Weighting.class,
      names = {"TRUNCATED_SNR", "SNR_PLUS_ONE"})
  void oneEvaluationLearnsTheGuidedEstimate(Weighting weighting) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Preconditioning own =
          weighting == Weighting.SNR_PLUS_ONE
              ? Preconditioning.Vp.VELOCITY
              : new Preconditioning.Edm();
      GuidedDistillation method =
          new GuidedDistillation(config(2500, 1, weighting, false), teacher(device, own));
      train(method, device);
      // The noise input of v, up to 1000, is coarse for this small network's random frequencies.
      double tolerance = weighting == Weighting.SNR_PLUS_ONE ? .12 : .04;
      for (double w : new double[] {0, .3, 1, 2, 3.5}) {
        double[] found = map(device, method.absorbed(), w);
        assertTrue(found[0] < tolerance + .01 * w, "w " + w + ": " + Arrays.toString(found));
      }
      // A weight beyond those learnt is met worse than none of these.
      double[] beyond = map(device, method.absorbed(), 8);
      assertTrue(beyond[0] > .15, Arrays.toString(beyond));
    }
  }

  /**
   * Four steps of the student from the same noise as many of the guided teacher; the first halving
   * learns from stage 1, or from the teacher itself and hardly needs stage 1 at all.
   */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void fewStepsLandWhereManyGuidedOnesDo(boolean direct) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      GuidedDistillation method =
          new GuidedDistillation(
              config(direct ? 200 : 2000, 1000, Weighting.TRUNCATED_SNR, direct, false),
              teacher(device, new Preconditioning.Edm()));
      train(method, device);
      for (double w : new double[] {0, .3, 1, 2, 4}) {
        try (Scope scope = Scope.open()) {
          int n = 500;
          Tensor noise = Rng.of(9).normal(device, Shape.of(n, 2));
          Tensor labels = new Points(device, n).at(0).labels();
          NetworkDenoiser student = method.student();
          Denoiser told = student.weighted(Samplers.level(noise, w));
          float[] few = method.sampler().sample(told, noise, labels, Rng.of(1)).toFloats();
          Denoiser guided = GuidanceWeights.guided(EXACT, Samplers.level(noise, w));
          float[] first =
              Samplers.eulerOn(LEVELS).sample(guided, noise, labels, Rng.of(1)).toFloats();
          assertEquals(4, method.sampler().evaluations());
          assertEquals(method.sampler().text(), method.results().get(0).sampler().text());
          assertTrue(rootMeanSquare(few, first) < .06 + .02 * w, "w " + w);
        }
      }
    }
  }

  /** With one normal distribution for the class and one for none, the guided flow is linear. */
  @ParameterizedTest
  @CsvSource({"0", "0.3", "1", "2", "4"})
  void guidedFlowOfNormalDistributions(double w) {
    double ofClass = .09;
    double ofNone = .25;
    double[] zero = {0};
    Denoiser c = ExactDenoisers.gaussian(zero, new double[] {ofClass});
    Denoiser u = ExactDenoisers.gaussian(zero, new double[] {ofNone});
    Denoiser teacher = (x, sigma, labels) -> (labels == null ? u : c).denoise(x, sigma, null);
    double[] levels = NoiseLevels.exponential(1025, .05, 10);
    try (Scope scope = Scope.open()) {
      Tensor x = Tensor.of(Device.cpu(), Shape.of(1, 1), 1f);
      Tensor label = Tensor.constant(Device.cpu(), Shape.of(1), 0);
      Denoiser guided = GuidanceWeights.guided(teacher, Samplers.level(x, w));
      double many = Samplers.euler(guided, x, levels, label).item();
      // dx/dσ = x (1 − k)/σ with k = (1 + w) v_c/(v_c + σ²) − w v_u/(v_u + σ²).
      double exact =
          Math.pow((ofClass + .0025) / (ofClass + 100), (1 + w) / 2)
              * Math.pow((ofNone + .0025) / (ofNone + 100), -w / 2);
      // Euler's first-order error on 1024 steps.
      assertEquals(1, many / exact, .005 * (1 + w));
      while (levels.length > 2) {
        guided = perfectStudent(guided, levels, false);
        levels = NoiseLevels.halve(levels);
        if (levels.length - 1 == 8) {
          break;
        }
      }
      double few = Samplers.euler(guided, x, levels, label).item();
      assertEquals(1, few / many, 1e-3);
    }
  }

  /** The student that learnt its target perfectly, on the nodes of its grid. */
  private static Denoiser perfectStudent(Denoiser teacher, double[] levels, boolean doubleSteps) {
    double[] half = NoiseLevels.halve(levels);
    return (x, sigma, labels) -> {
      float level = sigma.toFloats()[0];
      int interval = 0;
      while (Math.abs(half[interval] - level) > 1e-5 * level) {
        interval++;
      }
      int[] intervals = new int[x.dim(0)];
      Arrays.fill(intervals, interval);
      StepInput in = new StepInput(0, Rng.of(0), x, null);
      double[][] steps = ProgressiveDistillation.steps(levels, intervals, doubleSteps);
      return ProgressiveDistillation.target(teacher, Solver.EULER, x, steps, in, labels);
    };
  }

  /**
   * The stochastic sampler's steps are of double length, and with the exact denoiser its samples
   * are too narrow; students that learnt such steps perfectly take them as the teacher does.
   */
  @ParameterizedTest
  @CsvSource({"4, .549410", "8, .668401", "16, .797924"})
  void stochasticStudentsRemoveTheBiasOfDoubleSteps(int n, double ofExact) {
    Denoiser student = ExactDenoisers.gaussian(new double[] {0}, new double[] {.25});
    double[] levels = NoiseLevels.cosine(512);
    double[] few = NoiseLevels.cosine(n);
    assertEquals(ofExact, deviation(student, few) / .5, .01);
    while (levels.length - 1 > n) {
      student = perfectStudent(student, levels, true);
      levels = NoiseLevels.halve(levels);
    }
    // The first teacher's steps, of 2/512, leave 0.7 %; four deviations of the estimate.
    assertEquals(.993, deviation(student, levels) / .5, .02);
  }

  /** The deviation of 20,000 samples of the stochastic sampler, known to 0.5 %. */
  private static double deviation(Denoiser denoiser, double[] levels) {
    try (Scope scope = Scope.open()) {
      Tensor noise = Rng.of(5).normal(Device.cpu(), Shape.of(20_000, 1));
      float[] x =
          Samplers.of(Samplers.Method.DOUBLE_STEPS, levels)
              .sample(denoiser, noise, null, Rng.of(6))
              .toFloats();
      double square = 0;
      for (float v : x) {
        square += (double) v * v;
      }
      return Math.sqrt(square / x.length);
    }
  }

  /**
   * An encoder and a decoder of four steps each: there and back is where it began, and with the
   * other label where many steps of the teacher lead.
   */
  @Test
  void fewStepsEncodeAndTransfer() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Teacher teacher = teacher(device, new Preconditioning.Edm());
      GuidedDistillation.Config down = config(1500, 800, Weighting.TRUNCATED_SNR, false);
      double[] rising = GuidedDistillation.reversed(LEVELS);
      rising[0] = .01;
      GuidedDistillation.Config up =
          new GuidedDistillation.Config(
              new GuidanceWeights(0, 1, .5),
              1500,
              4e-3,
              Weighting.TRUNCATED_SNR,
              .5,
              20,
              false,
              new ProgressiveDistillation.Config(
                  rising, 4, 800, 3e-3, 1, Solver.EULER, Weighting.TRUNCATED_SNR),
              false,
              false);
      assertTrue(up.encodes() && !down.encodes());
      GuidedDistillation decoder = new GuidedDistillation(down, teacher);
      GuidedDistillation encoder = new GuidedDistillation(up, teacher);
      train(decoder, device);
      train(encoder, device);
      double[] few = GuidedDistillation.reversed(Editing.levels(encoder.sampler()));
      assertEquals(4, few.length - 1);
      try (Scope scope = Scope.open()) {
        StepInput in = new Points(device, 500).at(7);
        int[] swapped = in.labels().toInts();
        for (int i = 0; i < swapped.length; i++) {
          swapped[i] = 1 - swapped[i];
        }
        Tensor other = Tensor.constant(device, Shape.of(swapped.length), swapped);
        Denoiser e = encoder.student();
        Denoiser d = decoder.student();
        Samplers.Sampler s = decoder.sampler();
        Tensor x = in.images();
        float[] back = Editing.transfer(e, few, d, s, x, in.labels(), in.labels()).toFloats();
        float[] there = Editing.transfer(e, few, d, s, x, in.labels(), other).toFloats();
        double[] fine = NoiseLevels.toZero(NoiseLevels.exponential(400, .003, 20));
        double[] fineUp = GuidedDistillation.reversed(fine);
        fineUp[0] = .0015;
        float[] exact =
            Editing.transfer(EXACT, fineUp, EXACT, Samplers.eulerOn(fine), x, in.labels(), other)
                .toFloats();
        double apart = rootMeanSquare(exact, x.toFloats());
        assertTrue(
            rootMeanSquare(back, x.toFloats()) < .1, "back: " + rootMeanSquare(back, x.toFloats()));
        assertTrue(
            rootMeanSquare(there, exact) < .1,
            "there: " + rootMeanSquare(there, exact) + " of " + apart);
        assertTrue(apart > .5, "classes " + apart + " apart");
      }
    }
  }

  /** Double steps end where the grid does, the last of them after one interval. */
  @Test
  void stepsOfDoubleLength() {
    double[] levels = {6, 5, 4, 3, 2, 1, 0};
    double[][] steps = ProgressiveDistillation.steps(levels, new int[] {0, 1, 2}, true);
    assertArrayEquals(new double[] {6, 4, 2}, steps[0]);
    assertArrayEquals(new double[] {4, 2, 2}, steps[1]);
    assertArrayEquals(new double[] {2, 0, 0}, steps[2]);
    steps = ProgressiveDistillation.steps(levels, new int[] {0, 1, 2}, false);
    assertArrayEquals(new double[] {5, 3, 1}, steps[1]);
    assertArrayEquals(new double[] {4, 2, 0}, steps[2]);
  }

  /** Scales of guidance beyond those learnt are refused; that of the teacher is sampled with. */
  @Test
  void studentsAreSampledWithTheTeachersScale() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Teacher plain = teacher(device, new Preconditioning.Edm());
      GuidedDistillation.Config config = config(1, 1, Weighting.TRUNCATED_SNR, false);
      assertEquals(2, new GuidedDistillation(config, plain.guided(3)).student().guidanceWeight());
      assertEquals(0, new GuidedDistillation(config, plain).student().guidanceWeight());
      Exception e =
          assertThrows(
              IllegalArgumentException.class,
              () -> new GuidedDistillation(config, plain.guided(7)));
      assertEquals(
          "guided learns scales of guidance from 1.0 to 5.0, of which 7.0 is none", e.getMessage());
    }
  }

  @Test
  void thePapersSettings() {
    GuidedDistillation.Config paper = GuidedDistillation.Config.paper();
    assertEquals(10, paper.halving().stages());
    assertEquals(Math.exp(10), paper.sigma(1), 1);
    assertEquals(1, paper.sigma(.5), 1e-9);
  }
}
