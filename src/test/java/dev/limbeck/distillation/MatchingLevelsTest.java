package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.Mixture;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.tensor.Rng;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import org.apache.commons.math3.stat.descriptive.SummaryStatistics;
import org.junit.jupiter.api.Test;

/** The noise levels that presets give generators of one step and of several. */
class MatchingLevelsTest {
  private static final List<Function<Preset, MatchingConfig>> METHODS =
      List.of(
          preset -> DiffInstruct.Config.of(preset).loop(),
          preset -> Dmd.Config.of(preset).loop(),
          preset -> Dmd2.Config.of(preset).loop());

  /** The mean deviation within a mixture's modes, in the units that students see. */
  private static double width(String name) {
    Mixture mixture = Mixture.open(name);
    int n = 10_000;
    Mixture.Draw draw = mixture.draw(Rng.of(0), n);
    int k = mixture.components();
    int d = mixture.dimension();
    double squares = 0;
    for (int component = 0; component < k; component++) {
      for (int axis = 0; axis < d; axis++) {
        SummaryStatistics within = new SummaryStatistics();
        for (int i = 0; i < n; i++) {
          if (draw.components()[i] == component) {
            within.addValue(draw.points()[i * d + axis]);
          }
        }
        squares += within.getVariance() / (k * d);
      }
    }
    return Math.sqrt(squares) / mixture.deviation() * Preconditioning.Edm.SIGMA_DATA;
  }

  @Test
  void onPointsSeveralStepsEndBelowTheWidthOfAMode() {
    for (String toy : List.of("toy:ring", "toy:grid", "toy:spiral")) {
      double width = width(toy);
      for (Function<Preset, MatchingConfig> method : METHODS) {
        for (int steps : new int[] {2, 3, 4, 6}) {
          double[] levels = method.apply(Preset.points().withSampleSteps(steps)).levels();
          assertEquals(steps, levels.length);
          assertTrue(levels[0] > 4.9, Arrays.toString(levels));
          assertTrue(levels[steps - 1] < width, toy + " " + width + Arrays.toString(levels));
        }
      }
    }
  }

  @Test
  void oneStepStartsWhereItsMethodDoes() {
    double[][] expected = {{1}, {5}, {80}};
    for (int i = 0; i < expected.length; i++) {
      MatchingConfig loop = METHODS.get(i).apply(Preset.points());
      assertArrayEquals(expected[i], loop.levels(), 1e-12);
    }
  }

  @Test
  void imagesHaveLevelsOfTheirOwn() {
    for (Function<Preset, MatchingConfig> method : METHODS) {
      double[] levels = method.apply(Preset.quick().withSampleSteps(4)).levels();
      assertEquals(4, levels.length);
      assertTrue(levels[3] > .4 && levels[3] < 1, Arrays.toString(levels));
    }
  }
}
