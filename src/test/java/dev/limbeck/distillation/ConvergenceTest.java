package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.limbeck.distillation.Convergence.Cost;
import dev.limbeck.distillation.Convergence.Curve;
import org.junit.jupiter.api.Test;

class ConvergenceTest {
  /** Evaluations 100 iterations and so many seconds apart. */
  private static Curve curve(double seconds, double... metric) {
    Cost[] spent = new Cost[metric.length];
    for (int i = 0; i < spent.length; i++) {
      spent[i] = new Cost(100 * (i + 1), seconds * (i + 1));
    }
    return new Curve(spent, metric);
  }

  private static final Curve BASELINE = curve(10, 8, 5, 3, 2.1, 2.3, 2, 2.05, 1.95);

  @Test
  void thePlateauIsTheMedianOfTheLastQuarter() {
    assertEquals(2, BASELINE.plateau(), 1e-12);
    assertEquals(7, curve(1, 7).plateau());
    assertEquals(4, curve(1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 4, 30, 1).plateau());
  }

  @Test
  void gainsAreRatiosOfWhatTheThresholdTook() {
    Convergence found = Convergence.of(BASELINE, curve(5, 4, 2.1, 2.5, 2), new Cost(200, 30));
    assertEquals(2.1, found.threshold(), 1e-12);
    assertEquals(new Cost(400, 40), found.baseline());
    assertEquals(new Cost(200, 10), found.other());
    assertEquals(new Cost(2, 4), found.gain());
    assertEquals(new Cost(1, 1), found.gainWithCost());
  }

  @Test
  void whoNeverGetsThereGainsNothing() {
    Convergence found = Convergence.of(BASELINE, curve(5, 4, 3), Cost.NONE);
    assertFalse(found.other().isReached());
    assertEquals(new Cost(0, 0), found.gain());
  }

  @Test
  void curvesWithoutValuesAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> curve(1));
    assertThrows(
        IllegalArgumentException.class, () -> new Curve(new Cost[] {Cost.NONE}, new double[2]));
  }
}
