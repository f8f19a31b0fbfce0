package dev.limbeck.distillation.rates;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.rates.Experiment.Series;
import org.junit.jupiter.api.Test;

class RatesTest {
  private final Rates rates = new Rates(3, true);

  /** The published factors of N(0, 0.25) on Karras et al.'s grid of N nodes. */
  @Test
  void factorsOfTheGaussian() {
    int[] nodes = {11, 18, 40};
    double[] euler = {.752777, .846086, .929727};
    double[] heun = {1.174619, 1.055278, 1.009782};
    Mixture data = Mixture.gaussian();
    for (int i = 0; i < nodes.length; i++) {
      double[] sigmas = NoiseLevels.karras(nodes[i]);
      double start = 80;
      double low = NoiseLevels.SIGMA_MIN;
      double exact = start * Math.sqrt((.25 + low * low) / (.25 + start * start));
      double[] x = {start};
      assertEquals(euler[i], data.flow(x, sigmas, false)[0] / exact, 1e-5);
      assertEquals(heun[i], data.flow(x, sigmas, true)[0] / exact, 1e-5);
      // On a Gaussian, the optimum of consistency training is Euler's map; the grid of 4,000 cells
      // carries straight lines without error.
      assertEquals(euler[i], Isolation.optimum(data, sigmas).at(start) / exact, 1e-5);
    }
  }

  /** Two points: the conditional mean is a hyperbolic tangent. */
  @Test
  void empiricalOptimum() {
    double[][] pair = {{1}, {-1}};
    double[] out = new double[1];
    for (double sigma : new double[] {.3, 1, 7}) {
      new Empirical(pair, 0).at(new double[] {.2}, sigma, out);
      assertEquals(Math.tanh(.2 / (sigma * sigma)), out[0], 1e-12);
    }
    // In the plane the second coordinate tells nothing; a blur h pulls towards x.
    double[] plane = new double[2];
    double v = 1 + .25;
    new Empirical(new double[][] {{1, 0}, {-1, 0}}, .5).at(new double[] {.2, .7}, 1, plane);
    double mean = Math.tanh(.2 / v);
    assertEquals(mean + .25 / v * (.2 - mean), plane[0], 1e-12);
    assertEquals(.25 / v * .7, plane[1], 1e-12);
  }

  @Test
  void quantilesInvertTheDistribution() {
    Mixture data = Mixture.twoModes(1);
    assertEquals(0, data.quantile(.5), 1e-9);
    assertEquals(-data.quantile(.9), data.quantile(.1), 1e-9);
  }

  @Test
  void slopes() {
    double[] x = {1, 2, 4, 8};
    Slope exact = Slope.of(x, new double[][] {{1}, {.25}, {.0625}, {.015625}}, 1);
    assertEquals(-2, exact.value(), 1e-12);
    assertEquals(-2, exact.low(), 1e-12);
    double[][] noisy = {{.9, 1.1}, {.45, .55}, {.2, .3}, {.12, .13}};
    Slope rough = Slope.of(x, noisy, 1);
    assertTrue(rough.low() < rough.value() && rough.value() < rough.high());
  }

  private static double slope(Experiment experiment, String name) {
    for (Series series : experiment.curves()) {
      if (series.name().startsWith(name)) {
        return series.slope().value();
      }
    }
    throw new AssertionError("no curve " + name);
  }

  /** On grids of 20 to 160 nodes the next order of the error still bends the lines by a tenth. */
  @Test
  void errorOfSteps() {
    Experiment found = rates.steps();
    assertEquals(-1, slope(found, "distillation, Euler"), .1);
    assertEquals(-1, slope(found, "isolation, two modes"), .1);
    assertEquals(-2, slope(found, "distillation, Heun, two modes"), .2);
  }

  /** Sixteenths are no longer small: the next order bends the lines by less than a tenth. */
  @Test
  void errorOfScoresAndIntervals() {
    assertEquals(1, slope(rates.scores(), "D"), .1);
    Experiment intervals = rates.intervals();
    assertEquals(1, slope(intervals, "errors alike"), .1);
    assertTrue(slope(intervals, "errors independent") < .8);
  }

  /** Against one step: between two and four steps these samples are too small to tell. */
  @Test
  void moreStepsReduceTheError() {
    for (Series series : rates.multistep().curves()) {
      assertTrue(series.mean(1) < series.mean(0), series.name());
      assertTrue(series.mean(2) < series.mean(0), series.name());
    }
  }

  /**
   * Data themselves, and isolation, which returns them, come nearer to their distribution like
   * n^(−1/2) on the line and n^(−1/3) in space; distillation at least as fast as its bound. Over
   * eight seeds slopes of four repetitions scatter by 0.13 and 0.04, their means over three curves
   * by 0.07 and 0.03: about three times that is allowed.
   */
  @Test
  void errorOfSamples() {
    double[] sums = new double[2];
    int[] curves = new int[2];
    for (Experiment found : new Experiment[] {rates.isolation(), rates.distillation()}) {
      for (Series series : found.curves()) {
        String what = found.id() + " " + series.name() + ": " + series.slope();
        assertTrue(series.slope().high() < 0, what);
        int line = series.name().endsWith("d = 1") ? 0 : 1;
        double value = series.slope().value();
        if (series.name().startsWith("distillation")) {
          assertTrue(value < -1.0 / (2 * ((line == 0 ? 1 : 3) + 5)), what);
        } else {
          assertEquals(line == 0 ? -.5 : -1 / 3.0, value, line == 0 ? .35 : .12, what);
          sums[line] += value;
          curves[line]++;
        }
      }
    }
    assertEquals(3, curves[0]);
    assertEquals(3, curves[1]);
    assertEquals(-.5, sums[0] / 3, .2, "on the line");
    assertEquals(-1 / 3.0, sums[1] / 3, .1, "in space");
  }
}
