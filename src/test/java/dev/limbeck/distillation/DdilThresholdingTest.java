package dev.limbeck.distillation;

import static dev.limbeck.distillation.DdilTest.BATCH;
import static dev.limbeck.distillation.DdilTest.EXACT;
import static dev.limbeck.distillation.DdilTest.teacher;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.DdilTest.Driven;
import dev.limbeck.distillation.DdilTest.FarAway;
import dev.limbeck.distillation.InputDriven.Transition;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.ExactDenoisers;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.distillation.diffusion.Thresholding;
import dev.limbeck.distillation.diffusion.Thresholding.Rule;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Mlp;
import dev.limbeck.nn.Precision;
import dev.limbeck.nn.UNetConfig;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Thresholding of teacher and student in imitation. */
class DdilThresholdingTest {
  /** What each rule makes of the estimate (2.5, 0.5). */
  private static final Map<Rule, float[]> BOUNDED = new EnumMap<>(Rule.class);

  static {
    // The 0.995-quantile of two numbers lies that far from the lower one to the upper.
    float q = (float) (.5 + Thresholding.QUANTILE * 2);
    BOUNDED.put(Rule.NONE, new float[] {2.5f, .5f});
    BOUNDED.put(Rule.STATIC, new float[] {1, .5f});
    BOUNDED.put(Rule.DYNAMIC, new float[] {1, .5f / q});
    BOUNDED.put(Rule.REFLECTING, new float[] {-.5f, .5f});
  }

  private static final Denoiser OUTSIDE =
      (x, sigma, labels) -> {
        float[] all = new float[x.size()];
        for (int i = 0; i < all.length; i++) {
          all[i] = i % 2 == 0 ? 2.5f : .5f;
        }
        return Tensor.of(x.device(), x.shape(), all);
      };

  private static Ddil.Config only(double student, Rule ofTeacher, Rule ofStudent) {
    return new Ddil.Config(0, 0, student, 1, 1, 2, 4, ofTeacher, ofStudent);
  }

  @Test
  void rulesAreTheFunctionsOfTheirNames() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Tensor x = Tensor.zeros(device, Shape.of(1, 2));
      BOUNDED.forEach(
          (rule, wanted) -> {
            Denoiser ruled = rule.around(OUTSIDE);
            float[] made = ruled.denoise(x, Samplers.level(x, 1), null).toFloats();
            assertArrayEquals(wanted, made, 1e-6f, rule + "");
          });
    }
  }

  /** A renoising student's states are its bounded estimates with noise; a teacher's are not. */
  @Test
  void theStudentsRuleHoldsInItsChain() {
    double[] nodes = {10, 1, 0};
    int[] second = new int[BATCH];
    Arrays.fill(second, 1);
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      for (Rule rule : Rule.values()) {
        Driven base =
            Driven.of(
                DdilTest.pd(teacher(device, EXACT)),
                nodes,
                Transition.RENOISING,
                new double[] {10, 1},
                OUTSIDE);
        Teacher any = teacher(device, EXACT);
        new Ddil(only(1, Rule.NONE, rule), base, BATCH, any).begin(0);
        StepInput in = new FarAway(device).at(3);
        float[] x = base.given().get(0).at(in, nodes, second, null).x().toFloats();
        float[] noise = in.noise("noise").toFloats();
        for (int i = 0; i < x.length; i++) {
          assertEquals(BOUNDED.get(rule)[i % 2], x[i] - noise[i], 1e-5, rule + "");
        }
      }
    }
  }

  /** Every base learns from the bounded teacher; of points it is not bounded by default. */
  @Test
  void theTeachersRuleHoldsInEveryBase() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Tensor x = Tensor.zeros(device, Shape.of(2, 2));
      for (String base : Ddil.VARIATION.bases()) {
        double[] weights = base.equals("lcm") ? new double[] {0, 0} : null;
        for (Rule rule : Rule.values()) {
          Preset preset = Preset.points().with(only(.5, rule, Rule.NONE));
          assertArrayEquals(
              BOUNDED.get(rule), estimate(base, preset, device, x, weights), 1e-6f, base + rule);
        }
        float[] points = estimate(base, Preset.points(), device, x, weights);
        assertArrayEquals(BOUNDED.get(Rule.NONE), points, base);
        float[] images = estimate(base, Preset.quick(), device, x, weights);
        assertArrayEquals(BOUNDED.get(Rule.STATIC), images, base);
      }
    }
  }

  private static float[] estimate(
      String base, Preset preset, CpuDevice device, Tensor x, double[] weights) {
    Ddil ddil = (Ddil) Methods.of("ddil+" + base).create(preset, teacher(device, OUTSIDE));
    Denoiser learnt = ddil.base().chain().estimates().teacher(0, weights);
    return learnt.denoise(x, Samplers.level(x, 1), null).slice(0, 0, 1).toFloats();
  }

  /** From the second halving on the teacher is a student, under the first teacher's rule. */
  @Test
  void studentsThatTeachAreUnderTheTeachersRule() {
    Preset halvings = Preset.points().withStudentSteps(10);
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Tensor x = Tensor.full(device, Shape.of(2, 2), 100);
      for (Rule rule : Rule.values()) {
        Preset preset = halvings.with(only(.5, rule, Rule.NONE));
        Ddil ddil = (Ddil) Methods.of("ddil+pd").create(preset, teacher(device, EXACT));
        Denoiser second = ddil.base().chain().estimates().teacher(10, null);
        double largest = 0;
        for (float each : second.denoise(x, Samplers.level(x, 1), null).toFloats()) {
          largest = Math.max(largest, Math.abs(each));
        }
        // c_skip alone makes 20 of 100.
        assertEquals(rule == Rule.NONE, largest > 1, rule + " " + largest);
      }
    }
  }

  @Test
  void latentsHaveNoBounds(@TempDir Path out) {
    Dataset digits = Datasets.mnist().fitted(16);
    try (CpuDevice device = CpuDevice.open(true, 1);
        PatchCodec codec = PatchCodec.fit(device, digits, 2, 3);
        Scope scope = Scope.open()) {
      Ddil.Config given = new Ddil.Config(.3, .1, .4, .6, .7, 3, 5, Rule.DYNAMIC, Rule.STATIC);
      Ddil.Config free = new Ddil.Config(.3, .1, .4, .6, .7, 3, 5, Rule.NONE, Rule.NONE);
      assertEquals(free, given.unbounded());
      Shape latent = codec.latent(Shape.of(16, 16, 1));
      UNetConfig network = UNetConfig.toy(latent.dim(2)).withClasses(10);
      Model model = Model.create(network, latent.dim(0), EdmTraining.SAMPLER, device, 3);
      for (Codec of : List.of(codec, Codec.IDENTITY)) {
        DistillJob.Options options =
            new DistillJob.Options(
                device,
                0,
                "digits",
                digits,
                out,
                List.of("ddil+pd"),
                null,
                of,
                Preset.quick().withBatch(2),
                1,
                Precision.F32,
                null);
        Ddil ddil = (Ddil) new DistillJob(options, null).create("ddil+pd", model);
        Tensor x = Tensor.full(device, Shape.of(1, 8, 8, 3), 100);
        Denoiser learnt = ddil.base().chain().estimates().teacher(0, null);
        double largest = 0;
        for (float each : learnt.denoise(x, Samplers.level(x, 1), null).toFloats()) {
          largest = Math.max(largest, Math.abs(each));
        }
        assertEquals(of != Codec.IDENTITY, largest > 1, largest + "");
      }
    }
  }

  @Test
  void noRuleIsARuleToo() {
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> only(1, Rule.NONE, null));
    assertTrue(e.getMessage().contains("Rule.NONE"), e.getMessage());
  }

  // ---- a strongly guided mixture in [−1, 1] ----

  private static final double SPREAD = .02;
  private static final Denoiser MIXTURE =
      ExactDenoisers.mixture(
          new ExactDenoisers.Component(1, new double[] {-.7}, new double[] {SPREAD}, 0),
          new ExactDenoisers.Component(1, new double[] {.7}, new double[] {SPREAD}, 1));

  private record TwoModes(CpuDevice device) implements Batches {
    @Override
    public int size() {
      return 128;
    }

    @Override
    public Rng random(long step) {
      return Rng.of(2).split(step);
    }

    @Override
    public StepInput at(long step) {
      int[] labels = new int[size()];
      random(step).split(1).integers(labels, 2);
      float[] x = new float[size()];
      random(step).split(2).normal(x);
      for (int i = 0; i < x.length; i++) {
        x[i] = (float) (Math.sqrt(SPREAD) * x[i] + .7 * (2 * labels[i] - 1));
      }
      Tensor points = Tensor.constant(device, Shape.of(size(), 1), x);
      Tensor classes = Tensor.constant(device, Shape.of(size()), labels);
      return new StepInput(step, random(step), points, classes);
    }
  }

  /** The share of a student's samples outside of the box, who is sampled under its own rule. */
  private static double outside(CpuDevice device, Rule ofTeacher, Rule ofStudent) {
    Teacher teacher =
        new Teacher(
                MIXTURE,
                null,
                guided -> new Mlp(Mlp.Config.toy(1, 2), device, Rng.of(4)),
                new Preconditioning.Edm(),
                Shape.of(1),
                2)
            .guided(8);
    ProgressiveDistillation.Config halving =
        new ProgressiveDistillation.Config(
            NoiseLevels.karrasToZero(8),
            4,
            400,
            3e-3,
            1,
            ProgressiveDistillation.Solver.EULER,
            ProgressiveDistillation.Weighting.TRUNCATED_SNR);
    Preset preset =
        Preset.points()
            .withBatch(128)
            .with(halving)
            .with(Ddil.Config.of(Preset.points()).thresholded(ofTeacher, ofStudent));
    Distiller ddil = Methods.of("ddil+pd").create(preset, teacher);
    Trainer.Options quiet = Trainer.Options.watchedBy((d, step, losses) -> {});
    new Trainer(ddil, new TwoModes(device), "box", quiet).run();
    try (Scope scope = Scope.open()) {
      int n = 4000;
      int[] half = new int[n];
      Arrays.fill(half, n / 2, n, 1);
      Tensor labels = Tensor.constant(device, Shape.of(n), half);
      Tensor noise = Rng.of(5).normal(device, Shape.of(n, 1));
      Denoiser student = ofStudent.around(ddil.student());
      double count = 0;
      for (float x : ddil.sampler().sample(student, noise, labels, null).toFloats()) {
        count += Math.abs(x) > 1 ? 1 : 0;
      }
      return count / n;
    }
  }

  /**
   * Guidance drives samples out of the box. A bounded teacher brings them back but for the
   * student's own error; a bounded student never leaves it.
   */
  @Test
  void guidedSamplesStayInTheBox() {
    try (CpuDevice device = CpuDevice.open(true, 2)) {
      double none = outside(device, Rule.NONE, Rule.NONE);
      double ofTeacher = outside(device, Rule.STATIC, Rule.NONE);
      String found = none + " " + ofTeacher;
      assertTrue(none > .9, found);
      assertTrue(ofTeacher < .05, found);
      assertEquals(0, outside(device, Rule.NONE, Rule.STATIC));
      assertEquals(0, outside(device, Rule.STATIC, Rule.STATIC));
    }
  }
}
