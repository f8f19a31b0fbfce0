package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.MeanFlow.Config;
import dev.limbeck.distillation.MeanFlow.Points;
import dev.limbeck.distillation.MeanFlow.Velocity;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.optim.LrSchedule;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Mean velocities against their closed form, differences, and known samples. */
class MeanFlowTest {
  private static final double[] T = {.05, .3, .6, .8, .95};
  private static final double[] R = {.01, .3, .1, 0, .5};
  private static final Preconditioning EDM = new Preconditioning.Edm();

  private static Config config(Velocity velocity, long steps, double apart, double power) {
    return new Config(
        velocity,
        steps,
        2e-3,
        LrSchedule.cosineToZero(steps),
        -.8,
        2.2,
        80,
        apart,
        power,
        1e-3,
        0,
        null,
        10,
        Renoising.of(.5, 1));
  }

  private static StepInput input(CpuDevice device, int n) {
    Tensor x0 = Rng.of(1).normal(device, Shape.of(n, 2)).mul(.5f);
    return new StepInput(0, Rng.of(2), x0, null);
  }

  private static MeanFlow ofExact(CpuDevice device, Config config, double exponent) {
    Teacher teacher =
        new Teacher(
            FlowToys.exact(FlowToys.GAUSSIAN),
            new ExactFlow(device, exponent, true).params(),
            guidance -> new ExactFlow(device, exponent, true),
            EDM,
            Shape.of(2),
            0);
    return new MeanFlow(config, teacher, 4);
  }

  @Test
  void theExactMeanVelocityIsItsOwnTarget() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Tape tape = Tape.open(List.of())) {
      StepInput in = input(device, T.length);
      for (double exponent : new double[] {.5, .8}) {
        MeanFlow method = ofExact(device, config(Velocity.TEACHER, 1, .5, 1), exponent);
        NetworkDenoiser student = method.student();
        // The closed form of u divides by t − r, and there is no mean over nothing.
        double[] r = R.clone();
        r[1] = .29;
        Points at = method.at(T, r, in.noise("noise"), in);
        Var raw = MeanFlow.evaluate(student, at, tape, in, Dropout.off());
        float[] u = MeanFlow.velocity(student, at, raw, in).value().toFloats();
        float[] target = MeanFlow.target(student, at, raw, in).toFloats();
        double worst = 0;
        for (int i = 0; i < u.length; i++) {
          worst = Math.max(worst, Math.abs(u[i] - target[i]));
        }
        // Rounding of z − z_r in the closed form, over t − r.
        assertTrue(exponent == .5 ? worst < 1e-4 : worst > .05, exponent + ": " + worst);
      }
    }
  }

  @Test
  void theGradientVanishesAtTheExactMeanVelocity() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      double[] slopes = new double[3];
      double[] exponents = {.4, .5, .6};
      for (int i = 0; i < 3; i++) {
        MeanFlow method = ofExact(device, config(Velocity.TEACHER, 1, 1, 0), exponents[i]);
        Params params = method.networks().get("student");
        params.zeroGradients();
        try (Tape tape = Tape.open(params.list())) {
          tape.backward(method.objectives().get(0).loss(tape, input(device, 64)));
        }
        slopes[i] = params.get("exponent").gradient().item();
      }
      assertTrue(slopes[0] < 0 && slopes[2] > 0, Arrays.toString(slopes));
      assertEquals(0, slopes[1], 1e-3 * slopes[2]);
    }
  }

  /** ln σ = ln(t/(1 − t)) is a normal number of this mean and deviation, up to σ = 80. */
  @Test
  void timesAreLognormalAndEndAtTheLargestNoise() {
    Config config = config(Velocity.TEACHER, 1, 1, 0);
    for (double normal : new double[] {-2, 0, 1}) {
      double t = config.time(normal);
      assertEquals(-.8 + 2.2 * normal, Math.log(t / (1 - t)), 1e-12);
    }
    assertEquals(80. / 81, config.time(4), 1e-15);
  }

  /** u(z, r, t) = (z − D(x, σ; r))/t with x = z/(1 − t) and σ = t/(1 − t). */
  private static float[] velocity(NetworkDenoiser student, Tensor z, double t, double r) {
    Tensor x = z.mul((float) (1 / (1 - t)));
    Tensor level = Samplers.level(x, t / (1 - t));
    Tensor told = Samplers.level(x, MeanFlow.told(student, t, r));
    Tensor d = student.weighted(told).denoise(x, level, null);
    return z.sub(d).mul((float) (1 / t)).toFloats();
  }

  private static double[] same(double value) {
    return new double[] {value, value, value, value};
  }

  @Test
  void theTargetIsTheDifferenceAlongTheFlow() {
    double h = 2e-3;
    for (Preconditioning p : List.of(EDM, new Preconditioning.TrigFlow(.5))) {
      for (Velocity kind : Velocity.values()) {
        for (double t : new double[] {.2, .5, .9}) {
          double r = t / 3;
          try (CpuDevice device = CpuDevice.open(true, 1);
              Tape tape = Tape.open(List.of())) {
            Teacher toy = FlowToys.teacher(device, FlowToys.TWO);
            Network network = toy.blueprint().create(true);
            disturb(network.params());
            NetworkDenoiser student = new NetworkDenoiser(network, p);
            MeanFlow method = new MeanFlow(config(kind, 1, .5, 1), toy, 4);
            StepInput in = input(device, 4);
            Points at = method.at(same(t), same(r), in.noise("noise"), in);
            Var raw = MeanFlow.evaluate(student, at, tape, in, Dropout.off());
            float[] u = MeanFlow.velocity(student, at, raw, in).value().toFloats();
            assertArrayEquals(velocity(student, at.z(), t, r), u, 1e-5f, "u at " + t);
            float[] target = MeanFlow.target(student, at, raw, in).toFloats();
            Tensor moved = at.velocity().mul((float) h);
            float[] ahead = velocity(student, at.z().add(moved), t + h, r);
            float[] behind = velocity(student, at.z().sub(moved), t - h, r);
            float[] v = at.velocity().toFloats();
            for (int i = 0; i < v.length; i++) {
              double slope = (ahead[i] - behind[i]) / (2 * h);
              // Rounding 1e-6/h, curvature h² times third derivatives of some hundreds.
              double tolerance = 2e-3 * Math.max(1, Math.abs(slope));
              assertEquals(v[i] - (t - r) * slope, target[i], tolerance, p + " at " + t);
            }
          }
        }
      }
    }
  }

  private static void disturb(Params params) {
    params
        .list()
        .forEach(
            p -> {
              float[] values = p.value().toFloats();
              float[] noise = new float[values.length];
              Rng.of(p.name().hashCode()).normal(noise);
              for (int i = 0; i < noise.length; i++) {
                values[i] += 0.1f * noise[i];
              }
              p.value().buffer().upload(values, 0);
            });
    params.touch();
  }

  /** Before training the student of a network is its teacher, whatever time it is to go to. */
  @Test
  void aStudentStartsWithItsTeachersVelocity() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Tape tape = Tape.open(List.of())) {
      Toys toys = new Toys(device);
      disturb(toys.teacher().initial());
      MeanFlow method = new MeanFlow(config(Velocity.TEACHER, 1, .5, 1), toys.teacher(), 2);
      Tensor images = Rng.of(1).normal(device, Shape.of(2, 8, 8, 1)).mul(.5f);
      StepInput in =
          new StepInput(0, Rng.of(2), images, Tensor.constant(device, Shape.of(2), 3, 7));
      Points at = method.at(new double[] {.3, .9}, new double[] {.1, .9}, in.noise("noise"), in);
      Var raw = MeanFlow.evaluate(method.student(), at, tape, in, Dropout.off());
      float[] u = MeanFlow.velocity(method.student(), at, raw, in).value().toFloats();
      assertArrayEquals(at.velocity().toFloats(), u, 2e-5f);
      // Where r = t the target is the velocity.
      float[] target = MeanFlow.target(method.student(), at, raw, in).toFloats();
      float[] v = at.velocity().toFloats();
      int second = v.length / 2;
      assertArrayEquals(
          Arrays.copyOfRange(v, second, v.length),
          Arrays.copyOfRange(target, second, v.length),
          1e-5f);
    }
  }

  /** With the exact mean velocity any number of steps ends where the flow does. */
  @Test
  void theSamplerFollowsTheFlow() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      NetworkDenoiser exact = new NetworkDenoiser(new ExactFlow(device, .5, true), EDM);
      Tensor noise = Rng.of(3).normal(device, Shape.of(50, 2));
      float[] n = noise.toFloats();
      for (double[] levels : new double[][] {{80}, {80, 1}, {80, 3, .4, .05}}) {
        float[] x = MeanFlow.sample(exact, noise, null, levels).toFloats();
        for (int i = 0; i < x.length; i++) {
          double m = ExactFlow.MEAN[i % 2];
          double v = ExactFlow.VARIANCE[i % 2];
          double end = m + Math.sqrt(v / (v + 80 * 80)) * (80.0 * n[i] - m);
          assertEquals(end, x[i], 5e-5, levels.length + " steps");
        }
      }
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
              Preconditioning.Vp.CLEAN,
              toy.sample(),
              toy.classes());
      IllegalArgumentException refused =
          assertThrows(
              IllegalArgumentException.class,
              () -> Methods.of("meanflow").create(Preset.points(), other));
      assertTrue(refused.getMessage().contains("edm"), refused.getMessage());
      Teacher guided = new Toys(device).teacher().guided(2);
      Config fromData = config(Velocity.DATA, 1, .5, 1);
      refused =
          assertThrows(IllegalArgumentException.class, () -> new MeanFlow(fromData, guided, 2));
      assertTrue(refused.getMessage().contains("guidance"), refused.getMessage());
      assertThrows(IllegalArgumentException.class, () -> config(Velocity.DATA, 1, 1.5, 1));
    }
  }

  private static void train(Config config, ExactDenoisers.Component... components) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      MeanFlow method = new MeanFlow(config, FlowToys.teacher(device, components), FlowToys.BATCH);
      FlowToys.train(method, device, components);
      FlowToys.assertModes(device, method.student(), components);
      Tensor noise = Rng.of(9).normal(device, Shape.of(FlowToys.SAMPLES, 2));
      float[] twice = MeanFlow.sample(method.student(), noise, null, 80, .98).toFloats();
      FlowToys.assertModes(twice, "two steps of the flow", components);
    }
  }

  @Test
  void distillationOfAGaussian() {
    train(config(Velocity.TEACHER, 1200, .5, 1), FlowToys.GAUSSIAN);
  }

  /** p = 0: with 1 the far targets of one large step hardly count. */
  @Test
  void distillationOfTwoModes() {
    train(config(Velocity.TEACHER, 1200, .5, 0), FlowToys.TWO);
  }

  /** p = 0: weights that depend on single samples' errors move the mean in the plane. */
  @Test
  void trainingOnTwoModes() {
    train(config(Velocity.DATA, 1200, .5, 0), FlowToys.TWO);
  }
}
