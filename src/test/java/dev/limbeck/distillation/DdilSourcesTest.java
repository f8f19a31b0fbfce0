package dev.limbeck.distillation;

import static dev.limbeck.distillation.DdilTest.BATCH;
import static dev.limbeck.distillation.DdilTest.EXACT;
import static dev.limbeck.distillation.DdilTest.losses;
import static dev.limbeck.distillation.DdilTest.pd;
import static dev.limbeck.distillation.DdilTest.teacher;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.limbeck.distillation.Ddil.Choice;
import dev.limbeck.distillation.Ddil.Source;
import dev.limbeck.distillation.DdilTest.Driven;
import dev.limbeck.distillation.DdilTest.FarAway;
import dev.limbeck.distillation.InputDriven.Transition;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.Thresholding.Rule;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Which source a step draws from, and what the buffer keeps. */
class DdilSourcesTest {
  private static final int DRAWS = 20_000;

  private static Ddil.Config only(Source source, double refresh) {
    return new Ddil.Config(
        source == Source.FORWARD ? 1 : 0,
        0,
        source == Source.STUDENT ? 1 : 0,
        refresh,
        refresh,
        2,
        8,
        Rule.NONE,
        Rule.NONE);
  }

  /** Draws of a step: the share of each source, and of the draws that write a place. */
  private static final class Drawn {
    final double[] share = new double[Source.values().length];
    final double[] writes = new double[Source.values().length];
    final int[] slots;

    Drawn(Ddil ddil, int batches, long step) {
      slots = new int[batches];
      Map<Integer, Choice> kinds = new HashMap<>();
      for (int i = 0; i < DRAWS; i++) {
        Rng random = Rng.of(3).split(step).split(i);
        Choice choice = ddil.choice(step, random);
        share[choice.source().ordinal()] += 1.0 / DRAWS;
        if (choice.slot() >= 0) {
          writes[choice.source().ordinal()] += 1.0 / DRAWS;
          slots[choice.slot()]++;
        }
        // A recorded step is played again for others of its kind: they must do the same.
        Choice same = kinds.putIfAbsent(ddil.kind(step, random), choice);
        assertEquals(same == null ? choice : same, choice);
      }
    }
  }

  /** Of ten steps β_F falls over the first two; the rest is shared .35 : .15 at the end. */
  @Test
  void sourcesAreDrawnByTheSchedule() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Ddil.Config config = Ddil.Config.of(Preset.points());
      Ddil ddil = new Ddil(config, pd(teacher(device, EXACT)), BATCH, teacher(device, EXACT));
      assertEquals(10, ddil.steps());
      double[][] expected = {{1, 0, 0}, {.75, .175, .075}, {.5, .35, .15}, {.5, .35, .15}};
      int[] steps = {0, 1, 2, 9};
      for (int i = 0; i < steps.length; i++) {
        Drawn drawn = new Drawn(ddil, config.batches(), steps[i]);
        for (Source source : Source.values()) {
          // Four deviations of a share of 20,000 draws.
          String what = source + " at step " + steps[i];
          double share = expected[i][source.ordinal()];
          assertEquals(share, drawn.share[source.ordinal()], .014, what);
          double refresh = source == Source.FORWARD ? 0 : source == Source.STUDENT ? .5 : .1;
          assertEquals(refresh * share, drawn.writes[source.ordinal()], .011, what);
        }
        int written = Arrays.stream(drawn.slots).sum();
        for (int slot : drawn.slots) {
          assertEquals(written / 4.0, slot, 4 * Math.sqrt(written / 4.0) + 1e-9);
        }
      }
    }
  }

  /** A step writes the place that it chose, of its own source, and no other. */
  @Test
  void refreshingReplacesOneBatch() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      double[] nodes = {10, 1, 0};
      Driven base = Driven.of(pd(teacher(device, EXACT)), nodes, Transition.EULER, null, EXACT);
      Ddil.Config half = new Ddil.Config(0, 0, .5, .5, .5, 2, 2, Rule.NONE, Rule.NONE);
      Ddil ddil = new Ddil(half, base, BATCH, teacher(device, EXACT));
      ddil.begin(0);
      Map<Choice, Integer> seen = new HashMap<>();
      for (int step = 0; step < 60; step++) {
        try (Scope scope = Scope.open()) {
          StepInput in = new FarAway(device).at(step);
          Choice choice = ddil.choice(step, in.rng());
          seen.merge(choice, 1, Integer::sum);
          float[][] before = {states(ddil, "student"), states(ddil, "teacher")};
          base.given().get(0).at(in, nodes, new int[BATCH], null);
          float[][] after = {states(ddil, "student"), states(ddil, "teacher")};
          for (int which = 0; which < 2; which++) {
            int length = before[which].length / 2;
            for (int slot = 0; slot < 2; slot++) {
              boolean own = which == 0 == (choice.source() == Source.STUDENT);
              float[] was = Arrays.copyOfRange(before[which], slot * length, (slot + 1) * length);
              float[] is = Arrays.copyOfRange(after[which], slot * length, (slot + 1) * length);
              assertEquals(own && slot == choice.slot(), !Arrays.equals(was, is), choice + "");
            }
          }
        }
      }
      // Two sources, each with either place or none.
      assertEquals(6, seen.size());
    }
  }

  private static float[] states(Ddil ddil, String whose) {
    return ddil.networks().get("ddil").get(whose).value().toFloats();
  }

  /**
   * Kept states go with the labels and weights that their chain was told: here every estimate is
   * 100 times the label, with the weight in the other coordinate.
   */
  @Test
  void keptStatesGoWithTheirLabelsAndWeights() {
    int classes = 3;
    double[] nodes = {10, 1, 0};
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Teacher teacher = teacher(device, EXACT, classes);
      for (Transition how : Transition.values()) {
        for (Source source : List.of(Source.STUDENT, Source.TEACHER)) {
          double[] levels = how == Transition.EULER ? null : new double[] {10, 1};
          Driven base =
              Driven.of(pd(teacher), nodes, how, levels, DdilSourcesTest::telling)
                  .guidedBy(new GuidanceWeights(1, 4, .5));
          new Ddil(only(source, 1), base, BATCH, teacher).begin(0);
          int[] second = new int[BATCH];
          Arrays.fill(second, 1);
          StepInput in = new FarAway(device).at(3);
          NoisyInputs.Noisy noisy = base.given().get(0).at(in, nodes, second, new double[BATCH]);
          float[] x = noisy.x().toFloats();
          int[] labels = noisy.labels().toInts();
          // Of an Euler step from 10 to 1, nine tenths are the estimate; the rest is noise of 1.
          boolean renoised = source == Source.STUDENT && how == Transition.RENOISING;
          double part = renoised ? 1 : .9;
          int[] count = new int[classes];
          for (int i = 0; i < BATCH; i++) {
            String what = how + " of " + source + ", sample " + i;
            assertEquals(labels[i], x[2 * i] / part / 100, .1, what);
            assertEquals(noisy.guidance()[i], x[2 * i + 1] / part / 100, .1, what);
            count[labels[i]]++;
          }
          for (int each : count) {
            // Of 256 a third, with a deviation of 7.5.
            assertEquals(BATCH / 3.0, each, 30);
          }
        }
      }
    }
  }

  /** 100 times the label and the weight of guidance. */
  private static Denoiser telling(double[] guidance) {
    return (x, sigma, labels) -> {
      int[] label = labels.toInts();
      float[] told = new float[2 * label.length];
      for (int i = 0; i < label.length; i++) {
        told[2 * i] = 100 * label[i];
        told[2 * i + 1] = (float) (100 * guidance[i]);
      }
      return Tensor.of(x.device(), x.shape(), told);
    };
  }

  private static Distiller dmd2(String name, CpuDevice device, Preset preset, Source source) {
    Preset with = source == null ? preset : preset.with(only(source, .5));
    return Methods.of(name).create(with, teacher(device, EXACT));
  }

  /** Unless one step is asked for, a generator has four: of one it takes no inputs. */
  @Test
  void generatorsHaveSeveralSteps() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      for (Preset preset : List.of(Preset.points(), Preset.quick(), Preset.full())) {
        assertEquals(4, dmd2("ddil+dmd2", device, preset, null).sampler().evaluations());
        assertEquals(1, dmd2("dmd2", device, preset, null).sampler().evaluations());
        for (int steps : new int[] {1, 2}) {
          Preset asked = preset.withSampleSteps(steps);
          assertEquals(steps, dmd2("ddil+dmd2", device, asked, null).sampler().evaluations());
        }
      }
    }
  }

  /** What comes from real data depends on where they are, and nothing else does. */
  @Test
  void generatorsDrawTheirInputsFromTheSources() {
    Preset few = Preset.points().withStudentSteps(6).withBatch(BATCH);
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      Map<Source, List<Float>> found = new HashMap<>();
      for (Source source : Source.values()) {
        List<Float> near = losses(dmd2("ddil+dmd2", device, few, source), new FarAway(device, 0));
        List<Float> far = losses(dmd2("ddil+dmd2", device, few, source), new FarAway(device, 10));
        assertEquals(source != Source.FORWARD, near.equals(far), source + "");
        found.put(source, far);
      }
      assertNotEquals(found.get(Source.STUDENT), found.get(Source.TEACHER));
      // With one step it is the method that it wraps.
      Preset one = few.withSampleSteps(1);
      assertEquals(
          losses(dmd2("dmd2", device, one, null), new FarAway(device)),
          losses(dmd2("ddil+dmd2", device, one, Source.STUDENT), new FarAway(device)));
    }
  }
}
