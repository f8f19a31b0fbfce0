package dev.limbeck.distillation.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.data.Mixture;
import dev.limbeck.tensor.Rng;
import org.junit.jupiter.api.Test;

/** Constructed faults: each measure sees its own. */
class MixtureEvaluationTest {
  private static final int SAMPLES = MixtureEvaluation.SAMPLES;
  private static final Mixture RING = Mixture.open("toy:ring");
  private static final MixtureEvaluation EVALUATION = new MixtureEvaluation(RING, SAMPLES);

  /** The ring's modes with another deviation and other weights. */
  private static Mixture ring(double deviation, double... weights) {
    double[][] means = new double[5][];
    double[][][] covariances = new double[5][][];
    for (int k = 0; k < 5; k++) {
      double angle = 2 * Math.PI * k / 5;
      means[k] = new double[] {3 * Math.cos(angle), 3 * Math.sin(angle)};
      double v = deviation * deviation;
      covariances[k] = new double[][] {{v, 0}, {0, v}};
    }
    return new Mixture(weights, means, covariances, null);
  }

  private static MixtureScore score(Mixture of) {
    return EVALUATION.score(of.draw(Rng.of(77), SAMPLES).points());
  }

  private static double ratio(MixtureScore score) {
    return score.withinMode() / EVALUATION.floor().withinMode();
  }

  @Test
  void exactSamplesAreAtTheFloor() {
    MixtureScore floor = EVALUATION.floor();
    // W₂ of two draws of n from N(0, s²) on a line is near s·√(2·2.7/n): 0.026 for n = 2000, s = ½.
    assertEquals(.026, floor.withinMode(), .006);
    // A share of 1/5 of 10,000 has deviation 0.004; the largest of five is somewhat above.
    assertEquals(.0055, floor.massError(), .003);
    assertEquals(.001, floor.outliers(), .0003);
    MixtureScore exact = score(ring(.5, 1, 1, 1, 1, 1));
    assertEquals(1, ratio(exact), .25);
    // Five deviations of a count whose mean is ten.
    assertEquals(.001, exact.outliers(), 5 * Math.sqrt(.001 / SAMPLES));
    assertTrue(exact.massError() < .015, "mass error " + exact.massError());
  }

  @Test
  void modesTenPercentTooNarrowAreSeen() {
    MixtureScore score = score(ring(.45, 1, 1, 1, 1, 1));
    // Widths differ by 0.05, which adds to the floor in squares: √(0.05² + 0.026²)/0.026 = 2.2.
    assertEquals(2.1, ratio(score), .4);
  }

  @Test
  void wrongMassIsSeenAsThat() {
    MixtureScore score = score(ring(.5, 1.5, 1, 1, 1, 1));
    // 1.5/5.5 − 1/5
    assertEquals(.073, score.massError(), .015);
    assertEquals(1, ratio(score), .3);
  }

  @Test
  void aModeThatIsMissingIsAllOfItsMass() {
    MixtureScore score = score(ring(.5, 1e-9, 1, 1, 1, 1));
    assertEquals(.2, score.massError(), 1e-9);
    assertTrue(Double.isFinite(score.withinMode()), "within modes " + score.withinMode());
  }

  @Test
  void outliersAreCounted() {
    float[] points = RING.draw(Rng.of(77), SAMPLES).points();
    for (int i = 0; i < SAMPLES / 20; i++) {
      // The centre of the ring, six deviations from every mode.
      points[2 * i] = 0;
      points[2 * i + 1] = 0;
    }
    assertEquals(.051, EVALUATION.score(points).outliers(), .002);
  }
}
