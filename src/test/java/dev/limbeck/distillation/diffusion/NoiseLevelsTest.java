package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class NoiseLevelsTest {
  /** The published grid of 18 levels, to the digits it is usually printed with. */
  @Test
  void karrasGridOf18() {
    double[] expected = {
      80, 57.58598, 40.78557, 28.37458, 19.35245, 12.91008, 8.40094, 5.31519, 3.25682, 1.92334,
      1.08817, .58535, .29644, .13952, .05995, .02293, .00753, .002
    };
    assertArrayEquals(expected, NoiseLevels.karras(18), 6e-6);
  }

  @Test
  void karrasTableOf1000() {
    double[] descending = NoiseLevels.karras(1000);
    assertEquals(.00323159, descending[999 - 20], 1e-8);
    assertEquals(2.526507, descending[999 - 500], 1e-6);
    assertEquals(72.053899, descending[999 - 980], 1e-6);
  }

  @Test
  void cosineLogSnrAtEighths() {
    double[] expected = {20, 3.2294, 1.7626, .8064, 0, -.8064, -1.7626, -3.2294, -20};
    for (int i = 0; i <= 8; i++) {
      assertEquals(expected[i], NoiseLevels.cosineLogSnr(i / 8.0), 5e-5);
    }
  }

  /** The shift multiplies every level, but for those beyond σ_max: at u = ½ the level is it. */
  @Test
  void shiftedCosine() {
    double[] levels = NoiseLevels.shiftedCosine(4, 2, 80);
    assertArrayEquals(new double[] {80, 4.828427, 2, .828427, 0}, levels, 1e-6);
  }

  /** Where the schedule is cut off at 80, several of its levels are 80. */
  @Test
  void theGuidedTeachersLevelsFall() {
    for (double shift : new double[] {1, 2, 8}) {
      double[] levels = NoiseLevels.fallingCosine(128, shift, 80);
      assertEquals(129, levels.length);
      assertEquals(80, levels[0], 8);
      assertEquals(0, levels[128]);
      for (int i = 0; i < 128; i++) {
        assertTrue(levels[i + 1] < levels[i], "level " + i + " of shift " + shift);
      }
    }
  }

  @Test
  void halvingKeepsBothEnds() {
    double[] halved = NoiseLevels.halve(new double[] {8, 4, 2, 1, 0});
    assertArrayEquals(new double[] {8, 2, 0}, halved);
    assertThrows(
        IllegalArgumentException.class, () -> NoiseLevels.halve(new double[] {2, 1, 0, 0}));
  }

  /** Evenly spaced in ln σ, in its root, and in the time of the VP process. */
  @Test
  void gridsAreEvenInTheirVariable() {
    assertArrayEquals(
        NoiseLevels.exponential(7, .01, 10), NoiseLevels.polyexponential(7, .01, 10, 1), 1e-12);
    double[] poly = NoiseLevels.polyexponential(5, .01, 10, 2);
    for (int i = 0; i < 5; i++) {
      assertEquals(1 - i / 4.0, Math.sqrt(Math.log(poly[i] / .01) / Math.log(1000)), 1e-9);
    }
    double[] vp = NoiseLevels.vp(4, 1e-3);
    // σ² = exp(9.95 t² + 0.1 t) − 1 at t = 1 and 0.001.
    assertEquals(Math.sqrt(Math.exp(10.05) - 1), vp[0], 1e-9 * vp[0]);
    assertEquals(Math.sqrt(Math.expm1(9.95e-6 + 1e-4)), vp[3], 1e-12);
    for (TimeScale scale : TimeScale.values()) {
      for (double sigma : new double[] {.003, .4, 2, 80}) {
        assertEquals(sigma, scale.sigma(scale.time(sigma)), 1e-9 * sigma);
      }
    }
  }

  @Test
  void discreteTablesAreThoseOfTheProcesses() {
    double[] ddpm = DiscreteLevels.ddpm();
    assertEquals(Math.sqrt(1e-4 / (1 - 1e-4)), ddpm[0], 1e-12);
    double product = 1;
    for (int t = 0; t < 1000; t++) {
      product *= 1 - (1e-4 + (.02 - 1e-4) * t / 999);
    }
    assertEquals(Math.sqrt((1 - product) / product), ddpm[999], 1e-9 * ddpm[999]);
    // The largest and smallest level of Stable Diffusion, as they are usually printed.
    assertEquals(14.6146, DiscreteLevels.latent()[999], 1e-4);
    assertEquals(.0292, DiscreteLevels.latent()[0], 1e-4);
    int[][] times = {
      {999}, {999, 499}, {999, 759, 499, 259}, {999, 879, 759, 639, 499, 379, 259, 139}
    };
    for (int[] expected : times) {
      assertArrayEquals(expected, DiscreteLevels.lcmTimes(expected.length));
    }
    double[] simple = DiscreteLevels.simple(ddpm, 4);
    assertArrayEquals(new double[] {ddpm[999], ddpm[749], ddpm[499], ddpm[249], 0}, simple);
    double[] uniform = DiscreteLevels.uniform(ddpm, 4);
    assertArrayEquals(new double[] {ddpm[999], ddpm[666], ddpm[333], ddpm[0], 0}, uniform, 1e-9);
    assertThrows(IllegalArgumentException.class, () -> DiscreteLevels.lcmTimes(51));
    assertThrows(IllegalArgumentException.class, () -> DiscreteLevels.ofBetas(new double[] {1}));
  }

  @Test
  void everyNamedGridFallsToZero() {
    for (NoiseGrid grid : NoiseGrid.values()) {
      for (int n : new int[] {1, 2, 18}) {
        double[] sigmas = grid.levels(n, .002, 80);
        assertEquals(n + 1, sigmas.length);
        assertEquals(0, sigmas[n]);
        for (int i = 0; i < n; i++) {
          assertTrue(sigmas[i] > sigmas[i + 1], grid + " at " + i);
        }
      }
    }
    assertThrows(IllegalArgumentException.class, () -> NoiseGrid.KARRAS.levels(3, 2, 1));
  }

  /** c_in² (σ² + σ_d²) = 1, and the training target of the network has unit variance. */
  @Test
  void edmScalings() {
    Preconditioning.Edm edm = new Preconditioning.Edm();
    for (double sigma : new double[] {.002, .01, .05, .1, .5, 1, 2, 10, 40, 80}) {
      double total = sigma * sigma + .25;
      assertEquals(1, edm.in(sigma) * edm.in(sigma) * total, 1e-12);
      double residual =
          Math.pow(1 - edm.skip(sigma), 2) * .25 + Math.pow(edm.skip(sigma) * sigma, 2);
      assertEquals(1, residual / Math.pow(edm.out(sigma), 2), 1e-9);
      assertEquals(1 / (sigma * sigma) + 4, edm.lossWeight(sigma), 1e-6 * edm.lossWeight(sigma));
    }
  }
}
