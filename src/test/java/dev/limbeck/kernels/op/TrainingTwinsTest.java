package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import java.util.Arrays;

/** What lies between a loss and the optimizer's step, against the scalar loops. */
class TrainingTwinsTest {
  /** Batches around one warp. */
  private static final int[] ROWS = {1, 5, 31, 32, 33, 100};

  /** Rows around one block of threads. */
  private static final int[] WIDTHS = {1, 2, 64, 255, 257, 1000};

  @DeviceTest
  void weightedMeansAndTheirSlopes(Device device) {
    for (int n : ROWS) {
      // Sums in double in another order: rarely another float, and then its neighbour.
      Twins.close(device, 1, m -> new WeightedMean(m.floats(n), m.floats(n), 7, m.floats(1)));
      Twins.same(
          device, m -> new ErrorSlopes(m.floats(n), m.floats(1), 7, m.floats(n), m.floats(n)));
    }
  }

  @DeviceTest
  void matchingTargets(Device device) {
    for (int width : WIDTHS) {
      for (boolean normalised : new boolean[] {true, false}) {
        int n = 3 * width;
        Twins.close(
            device,
            1,
            m ->
                new MatchingTarget(
                    3, normalised, m.floats(n), m.floats(n), m.floats(n), m.floats(n)));
      }
    }
    int n = 2 * 100;
    Twins.close(
        device,
        1,
        m -> new MatchingTarget(2, false, m.floats(n), m.specials(n), m.specials(n), m.floats(n)));
  }

  @DeviceTest
  void clipping(Device device) {
    clip(device, 0.5f, 0f, 10, 3f, 4f);
    clip(device, 0.5f, 0f, 2, 3f, 4f);
    clip(device, 0.5f, 0f, Double.POSITIVE_INFINITY, 3f, 4f);
    clip(device, 0.5f, 0f, 1, 0f, 0f);
    clip(device, 0.5f, 1f, 10, 3f, 4f);
    clip(device, Float.NaN, 0f, 10, 3f, 4f);
    clip(device, Float.NEGATIVE_INFINITY, 0f, 10, 3f, 4f);
    clip(device, 0.5f, 0f, 10, 3f, Float.NaN);
    clip(device, 0.5f, 0f, 10, Float.POSITIVE_INFINITY, 4f);
    // Their squares are beyond a float's range, not beyond a double's.
    clip(device, 0.5f, 0f, 10, 3e38f, 3e38f);
  }

  private static void clip(
      Device device, float loss, float stopped, double most, float first, float second) {
    Twins.same(
        device,
        m -> {
          float[] norms = new float[Buffer.SLICE_ALIGNMENT + 1];
          norms[0] = first;
          norms[Buffer.SLICE_ALIGNMENT] = second;
          return new ClipScale(
              m.floats(norms),
              2,
              m.floats(new float[] {loss}),
              most,
              m.floats(new float[] {stopped}),
              m.floats(8),
              2,
              m.floats(1));
        });
  }

  /** A scale on the device, and one that stops the step. */
  @DeviceTest
  void stepsWithAScaleOfTheDevices(Device device) {
    AdamStep.Coefficients at =
        new AdamStep.Coefficients(1f, 0.9f, 0.999f, 0.9999f, 2e-3f, 1.1f, 1e-8f, true, 0.01f);
    for (float scale : new float[] {0.7f, Float.NaN}) {
      for (int n : new int[] {1, 63, 1001}) {
        for (boolean rounded : new boolean[] {false, true}) {
          Twins.same(
              device,
              m -> {
                float[] second = new float[n];
                Arrays.fill(second, 0.3f);
                return new AdamStep(
                    at,
                    m.floats(new float[] {scale}),
                    m.floats(n),
                    m.floats(n),
                    m.floats(n),
                    m.floats(second),
                    m.floats(n),
                    rounded ? m.halves(n) : null);
              });
        }
      }
    }
  }
}
