package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

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

  @Test
  void halvingKeepsBothEnds() {
    double[] halved = NoiseLevels.halve(new double[] {8, 4, 2, 1, 0});
    assertArrayEquals(new double[] {8, 2, 0}, halved);
    assertThrows(
        IllegalArgumentException.class, () -> NoiseLevels.halve(new double[] {2, 1, 0, 0}));
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
