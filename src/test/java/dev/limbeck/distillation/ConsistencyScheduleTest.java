package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.limbeck.distillation.ConsistencySchedule.Adaptive;
import dev.limbeck.distillation.ConsistencySchedule.Constant;
import dev.limbeck.distillation.ConsistencySchedule.Doubling;
import dev.limbeck.distillation.ConsistencySchedule.Fixed;
import dev.limbeck.distillation.ConsistencySchedule.LogNormal;
import dev.limbeck.distillation.ConsistencySchedule.SquareRoot;
import dev.limbeck.distillation.ConsistencySchedule.Uniform;
import dev.limbeck.tensor.Rng;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The schedules' published forms, against numbers computed from them independently. */
class ConsistencyScheduleTest {
  private static final long STEPS = 800_000;

  /** With the exponent of the released code; the last column is the paper's own. */
  @ParameterizedTest
  @CsvSource({
    "0, 2, .81, .9",
    "1000, 6, .958732, .965489",
    "10000, 17, .986916, .987681",
    "100000, 54, .996032, .996105",
    "200000, 76, .997194, .997231",
    "400000, 107, .998014, .998033",
    "600000, 131, .998380, .998393",
    "800000, 151, .998596, .998605"
  })
  void squareRootWithAdaptiveDecay(long step, int nodes, double released, double paper) {
    assertEquals(nodes, new SquareRoot(2, 150).at(step, STEPS));
    // Six digits are given.
    assertEquals(released, new Adaptive(2, .9, true).at(nodes), 5e-7);
    assertEquals(paper, new Adaptive(2, .9, false).at(nodes), 5e-7);
  }

  @ParameterizedTest
  @CsvSource({"0, 2, .9025", "100000, 72, .998556", "400000, 143, .999278", "800000, 201, .999487"})
  void squareRootForLargerImages(long step, int nodes, double decay) {
    assertEquals(nodes, new SquareRoot(2, 200).at(step, STEPS));
    assertEquals(decay, new Adaptive(2, .95, true).at(nodes), 5e-7);
  }

  @Test
  void doubling() {
    Doubling doubling = new Doubling(10, 1280);
    assertEquals(50_000, doubling.period(400_000));
    assertEquals(11, doubling.at(49_999, 400_000));
    assertEquals(21, doubling.at(50_000, 400_000));
    assertEquals(1281, doubling.at(350_000, 400_000));
    assertEquals(1281, doubling.at(400_000, 400_000));
    assertEquals(7, new Doubling(2, 6).at(1_000_000_000_000L, 1_000_000_000_001L));
  }

  @Test
  void fixed() {
    assertEquals(18, new Fixed(18).at(5, 10));
    assertThrows(IllegalArgumentException.class, () -> new Fixed(1));
    assertEquals(0, Constant.STOP_GRADIENT.at(40));
    assertEquals(.95, new Constant(.95).at(40));
  }

  /** The lower level of easy consistency tuning, for the two published recipes. */
  @ParameterizedTest
  @CsvSource({
    "2, 0, 1, 0",
    "2, 0, 5, 2.36614",
    "2, 0, 80, 40",
    "2, 1, 1, .21212",
    "2, 2, .05, .01937",
    "2, 2, .333, .15234",
    "2, 2, 1, .60606",
    "2, 7, 1, .98769",
    "256, 0, 1, .98769",
    "256, 0, 5, 4.97942",
    "256, 0, 80, 79.6875"
  })
  void lowerLevels(double factor, int stage, double t, double lower) {
    EasyConsistencyTuning.Config paper = EasyConsistencyTuning.Config.paper();
    EasyConsistencyTuning.Config config =
        new EasyConsistencyTuning.Config(
            paper.training(),
            paper.metric(),
            paper.weighting(),
            paper.logMean(),
            paper.logDeviation(),
            factor,
            8);
    assertEquals(lower, config.lower(t, stage), 6e-6);
  }

  /** Eight stages of 25,000 steps in 200,000. */
  @Test
  void stages() {
    EasyConsistencyTuning.Config config = EasyConsistencyTuning.Config.paper();
    assertEquals(0, config.stage(24_999));
    assertEquals(1, config.stage(25_000));
    assertEquals(7, config.stage(199_999));
  }

  @Test
  void constantOfTheHuberMetric() {
    ConsistencyMetric.PseudoHuber metric = ConsistencyMetric.PseudoHuber.paper();
    assertEquals(.02993, metric.constant(32 * 32 * 3), 5e-6);
    assertEquals(.05986, metric.constant(64 * 64 * 3), 5e-6);
  }

  /** Shares of the pairs of the grid 1, e, e²: the normal distribution between −1, 0 and 1. */
  @Test
  void logNormalShares() {
    double[] grid = {Math.exp(-1), 1, Math.exp(2)};
    // Φ(1) − Φ(0) = .3413447 and Φ(2) − Φ(0) = .4772499.
    double share = .3413447 / (.3413447 + .4772499);
    assertArrayEquals(new double[] {share, 1}, new LogNormal(0, 1).cumulative(grid), 1e-6);
    assertArrayEquals(new double[] {.5, 1}, new Uniform().cumulative(grid));
  }

  @Test
  void drawsFollowTheShares() {
    double[] cumulative =
        new LogNormal(-1.1, 2).cumulative(ConsistencySchedule.ascending(11, .002, 80));
    float[] uniform = new float[100_000];
    Rng.of(4).uniform(uniform);
    double[] shares = new double[10];
    for (float u : uniform) {
      shares[ConsistencySchedule.draw(cumulative, u)] += 1.0 / uniform.length;
    }
    double below = 0;
    for (int i = 0; i < 10; i++) {
      // Four deviations of a share, at most √(¼/100,000).
      assertEquals(cumulative[i] - below, shares[i], .0064);
      below = cumulative[i];
    }
    assertEquals(0, ConsistencySchedule.draw(cumulative, 0));
    assertEquals(9, ConsistencySchedule.draw(cumulative, Math.nextDown(1.0)));
  }

  @Test
  void gridsAscend() {
    double[] grid = ConsistencySchedule.ascending(18, .002, 80);
    assertEquals(.002, grid[0], 1e-12);
    assertEquals(.00753, grid[1], 5e-6);
    assertEquals(57.58598, grid[16], 5e-6);
    assertEquals(80, grid[17], 1e-9);
  }
}
