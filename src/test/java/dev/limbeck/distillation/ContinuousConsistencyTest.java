package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.ContinuousConsistency.Config;
import dev.limbeck.distillation.ContinuousConsistency.Form;
import dev.limbeck.distillation.ContinuousConsistency.Points;
import dev.limbeck.distillation.ContinuousConsistency.Size;
import dev.limbeck.distillation.ContinuousConsistency.Weighting;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.LrSchedule;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Consistency in continuous time against closed forms, differences, and known samples. */
class ContinuousConsistencyTest {
  private static final double SD = Preconditioning.Edm.SIGMA_DATA;
  private static final double[] MEAN = ExactFlow.MEAN;
  private static final double[] VARIANCE = ExactFlow.VARIANCE;
  private static final double[] SIGMA = {.02, .1, .5, 2, 10};

  private static Config config(long steps, Size size, boolean adaptive) {
    return config(steps, size, Weighting.ONE, adaptive);
  }

  private static Config config(long steps, Size size, Weighting weighting, boolean adaptive) {
    return new Config(
        steps,
        2e-3,
        LrSchedule.cosineToZero(steps),
        -1,
        1.4,
        steps / 4,
        size,
        .1,
        weighting,
        adaptive,
        true,
        0,
        null,
        10,
        Renoising.of(SD, 2));
  }

  /** Points at the given levels. */
  private static StepInput input(CpuDevice device, int n) {
    Tensor x0 = Rng.of(1).normal(device, Shape.of(n, 2)).mul(.5f);
    return new StepInput(0, Rng.of(2), x0, null);
  }

  private static ContinuousConsistency ofExact(CpuDevice device, Config config, double exponent) {
    Teacher teacher =
        new Teacher(
            FlowToys.exact(FlowToys.GAUSSIAN),
            new ExactFlow(device, exponent, false).params(),
            guidance -> new ExactFlow(device, exponent, false),
            new Preconditioning.Edm(),
            Shape.of(2),
            0);
    return new ContinuousConsistency(Form.DISTILLATION, config, teacher, 4);
  }

  /** x − m and (v/(v + σ²))^a at x = x₀ + σ n. */
  private static double[][] state(StepInput in, double[] sigma, double exponent) {
    float[] x0 = in.images().toFloats();
    float[] noise = in.noise("noise").toFloats();
    double[][] state = new double[2][x0.length];
    for (int k = 0; k < x0.length; k++) {
      double s = sigma[k / 2];
      state[0][k] = x0[k] + s * noise[k] - MEAN[k % 2];
      state[1][k] = Math.pow(VARIANCE[k % 2] / (VARIANCE[k % 2] + s * s), exponent);
    }
    return state;
  }

  /**
   * For f = m + k(σ) (x − m) with k = (v/(v + σ²))^a, along dx/dσ = σ (x − m)/(v + σ²): df/dσ = (1
   * − 2a) k σ (x − m)/(v + σ²), and cos t dσ/dt = √(σ² + σ_d²).
   */
  private static double closedForm(double sigma, int axis, double x, double k, double exponent) {
    double slope = (1 - 2 * exponent) * k * sigma * x / (VARIANCE[axis] + sigma * sigma);
    return Math.hypot(sigma, SD) * slope;
  }

  @Test
  void theTangentOnAGaussianIsTheClosedForm() {
    for (double exponent : new double[] {1, .7, .5}) {
      try (CpuDevice device = CpuDevice.open(true, 1);
          Tape tape = Tape.open(List.of())) {
        StepInput in = input(device, SIGMA.length);
        ContinuousConsistency method = ofExact(device, config(1, Size.NONE, false), exponent);
        NetworkDenoiser student = method.student();
        Points at = method.at(SIGMA, in.noise("noise"), in);
        Var raw = ContinuousConsistency.evaluate(student, at, tape, in, Dropout.off());
        Preconditioning p = student.preconditioning();
        float[] g = ContinuousConsistency.tangent(p, at, raw, 1, in).toFloats();
        float[] cold = ContinuousConsistency.tangent(p, at, raw, 0, in).toFloats();
        double[][] state = state(in, SIGMA, exponent);
        double[][] clean = state(in, SIGMA, 1);
        for (int i = 0; i < g.length; i++) {
          double sigma = SIGMA[i / 2];
          double x = state[0][i];
          double k = state[1][i];
          // Raw outputs near σ = 0 are differences of nearly equal numbers, divided by σ.
          double tolerance = 2e-5;
          assertEquals(closedForm(sigma, i % 2, x, k, exponent), g[i], tolerance, "at " + sigma);
          // Without derivatives: cos²t (dx/dt − σ_d F) = cos²t/sin t (f − D).
          double radius = Math.hypot(sigma, SD);
          double factor = SD * SD / (radius * sigma);
          double expected = factor * (k - clean[1][i]) * x;
          assertEquals(expected, cold[i], tolerance * Math.max(1, factor), "r = 0 at " + sigma);
        }
      }
    }
  }

  private static double gradient(CpuDevice device, Weighting weighting, double exponent, int n) {
    Config config = config(1, Size.NONE, weighting, false);
    ContinuousConsistency method = ofExact(device, config, exponent);
    Params params = method.networks().get("student");
    params.zeroGradients();
    try (Tape tape = Tape.open(params.list())) {
      tape.backward(method.objectives().get(0).loss(tape, input(device, n)));
    }
    return params.get("exponent").gradient().item();
  }

  /** ∂L/∂a = mean −2 w g ∂F/∂a, where F = (cos t x_t − f)/(σ_d sin t). */
  @ParameterizedTest
  @EnumSource
  void theGradientIsTheClosedFormAndVanishesAtTheExactMap(Weighting weighting) {
    int n = 64;
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      StepInput in = input(device, n);
      float[] normal = in.normals("sigma");
      double[] sigma = new double[n];
      for (int i = 0; i < n; i++) {
        sigma[i] = Math.exp(-1 + 1.4 * normal[i]);
      }
      double size = 0;
      for (double exponent : new double[] {1, .6, .4, .5}) {
        double[][] state = state(in, sigma, exponent);
        double expected = 0;
        for (int i = 0; i < 2 * n; i++) {
          double s = sigma[i / 2];
          double v = VARIANCE[i % 2];
          double x = state[0][i];
          double k = state[1][i];
          double ofF = -k * Math.log(v / (v + s * s)) * x * Math.hypot(s, SD) / (s * SD);
          double weight =
              switch (weighting) {
                case ONE -> 1;
                case INVERSE_SIGMA -> 1 / s;
                case INVERSE_SINE -> 1 / Math.sin(Math.atan(s / SD));
              };
          expected -= 2 * weight * closedForm(s, i % 2, x, k, exponent) * ofF / (2 * n);
        }
        double found = gradient(device, weighting, exponent, n);
        if (exponent == 1) {
          size = Math.abs(expected);
          assertTrue(size > .1, "a gradient of " + size);
        }
        assertEquals(expected, found, 1e-4 * size, "exponent " + exponent);
        assertEquals(Math.signum(exponent - .5), Math.signum(expected), "towards the exact map");
      }
    }
  }

  /** f at angle t and at x_t, as the student's denoiser. */
  private static float[] f(NetworkDenoiser student, Tensor x, double t) {
    int n = x.dim(0);
    double[] sigma = new double[n];
    java.util.Arrays.fill(sigma, SD * Math.tan(t));
    StepInput in = new StepInput(0, Rng.of(2), x, null);
    return student.denoise(x.mul((float) (1 / Math.cos(t))), in.perSample(sigma), null).toFloats();
  }

  @Test
  void theTangentIsTheDifferenceAlongTheFlow() {
    double h = 4e-3;
    for (Preconditioning p :
        List.of(new Preconditioning.Edm(SD), new Preconditioning.TrigFlow(SD))) {
      for (Form form : Form.values()) {
        for (double t : new double[] {.3, .8, 1.4}) {
          try (CpuDevice device = CpuDevice.open(true, 1);
              Tape tape = Tape.open(List.of())) {
            Teacher toy = FlowToys.teacher(device, FlowToys.TWO);
            NetworkDenoiser student = new NetworkDenoiser(toy.blueprint().create(false), p);
            ContinuousConsistency method =
                new ContinuousConsistency(form, config(1, Size.NONE, false), toy, 4);
            StepInput in = input(device, 4);
            double[] sigma = new double[4];
            java.util.Arrays.fill(sigma, SD * Math.tan(t));
            Points at = method.at(sigma, in.noise("noise"), in);
            Var raw = ContinuousConsistency.evaluate(student, at, tape, in, Dropout.off());
            float[] g = ContinuousConsistency.tangent(p, at, raw, 1, in).toFloats();
            Tensor x = at.scaled().mul((float) SD);
            float[] ahead = f(student, x.add(at.velocity().mul((float) h)), t + h);
            float[] behind = f(student, x.add(at.velocity().mul((float) -h)), t - h);
            for (int i = 0; i < g.length; i++) {
              double difference = Math.cos(t) * (ahead[i] - behind[i]) / (2 * h);
              // Rounding 1e-7/h, curvature h² times third derivatives of some tens.
              assertEquals(difference, g[i], 1e-3 * Math.max(1, Math.abs(g[i])), p + " at " + t);
            }
          }
        }
      }
    }
  }

  @Test
  void tangentsAreDividedByTheirSizes() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Tensor g = Tensor.of(device, Shape.of(2, 2), 3f, 4f, 0f, .05f);
      for (Size size : Size.values()) {
        float[] got = ofExact(device, config(1, size, false), 1).normalised(g).toFloats();
        double divisor =
            switch (size) {
              case NORM -> 5.1;
              case ROOT_MEAN_SQUARE -> 5 / Math.sqrt(2) + .1;
              case NONE -> 1;
            };
        assertEquals(4 / divisor, got[1], 1e-5, size.name());
        assertEquals(0f, got[2]);
      }
    }
  }

  /** The same denoiser for F of the other sign, whatever tells it the noise. */
  @Test
  void trigFlowIsEdmWithTheOtherSign() {
    Preconditioning edm = new Preconditioning.Edm(SD);
    Preconditioning trig = Preconditioning.parse(new Preconditioning.TrigFlow(SD).text());
    assertEquals(new Preconditioning.TrigFlow(SD), trig);
    for (double sigma : SIGMA) {
      double t = trig.noise(sigma);
      assertEquals(sigma, SD * Math.tan(t), 1e-12 * sigma);
      assertEquals(edm.skip(sigma), trig.skip(sigma), 0);
      assertEquals(edm.in(sigma), trig.in(sigma), 0);
      assertEquals(edm.out(sigma), -trig.out(sigma), 0);
      // D = cos t · (cos t x) − σ_d sin t F((cos t x)/σ_d).
      assertEquals(Math.cos(t) * Math.cos(t), trig.skip(sigma), 1e-12);
      assertEquals(-SD * Math.sin(t), trig.out(sigma), 1e-12);
      assertEquals(Math.cos(t) / SD, trig.in(sigma), 1e-12);
    }
  }

  @Test
  void whatDoesNotFitIsRefused() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Teacher toy = FlowToys.teacher(device, FlowToys.GAUSSIAN);
      Teacher other =
          new Teacher(
              toy.denoiser(),
              null,
              toy.blueprint(),
              Preconditioning.Vp.VELOCITY,
              toy.sample(),
              toy.classes());
      for (String name : List.of("scm", "sct")) {
        IllegalArgumentException refused =
            assertThrows(
                IllegalArgumentException.class,
                () -> Methods.of(name).create(Preset.points(), other));
        assertTrue(refused.getMessage().startsWith(name), refused.getMessage());
        assertTrue(refused.getMessage().contains("edm"), refused.getMessage());
      }
      Teacher guided = new Toys(device).teacher().guided(2);
      IllegalArgumentException refused =
          assertThrows(
              IllegalArgumentException.class,
              () -> Methods.of("sct").create(Preset.points(), guided));
      assertTrue(refused.getMessage().contains("guidance"), refused.getMessage());
    }
  }

  private static void train(Form form, Size size, ExactDenoisers.Component... components) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Teacher teacher = FlowToys.teacher(device, components);
      Config config = config(1200, size, true);
      ContinuousConsistency method =
          new ContinuousConsistency(form, config, teacher, FlowToys.BATCH);
      FlowToys.train(method, device, components);
      FlowToys.assertModes(device, method.student(), components);
    }
  }

  @Test
  void distillationOfAGaussian() {
    train(Form.DISTILLATION, Size.NORM, FlowToys.GAUSSIAN);
  }

  @Test
  void distillationOfTwoModes() {
    train(Form.DISTILLATION, Size.NORM, FlowToys.TWO);
  }

  @Test
  void trainingOnAGaussian() {
    train(Form.TRAINING, Size.NONE, FlowToys.GAUSSIAN);
  }

  /** A single sample's tangent divided by its size is biased in the plane: not so by nothing. */
  @Test
  void trainingOnTwoModes() {
    train(Form.TRAINING, Size.NONE, FlowToys.TWO);
  }

  @Test
  void settingsOfThePaper() {
    Config paper = Config.paper(Form.DISTILLATION);
    // The middle of two steps is at t = 1.1.
    assertEquals("renoising 80.0 " + SD * Math.tan(1.1), paper.sampling().sampler().text());
    assertEquals("renoising 80.0", paper.sampling().sampler(1).orElseThrow().text());
    assertTrue(paper.sampling().sampler(5).isEmpty());
    assertThrows(IllegalArgumentException.class, () -> Renoising.of(SD, 5));
    assertEquals(.2, Config.paper(Form.TRAINING).dropout());
    assertThrows(IllegalArgumentException.class, () -> config(0, Size.NORM, true));
  }
}
