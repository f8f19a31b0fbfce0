package dev.limbeck.distillation.rates;

import java.util.List;

/**
 * What an experiment found: curves of an error, to be seen on logarithmic axes.
 *
 * @param id as in {@code V1}
 * @param conclusion what the numbers say of the statement
 */
public record Experiment(
    String id, String title, String xAxis, String yAxis, List<Series> curves, String conclusion) {
  /**
   * An error measured at several places.
   *
   * @param y for each x the repeated measurements
   * @param slope of ln y over ln x, or null where none is asked for
   * @param expected what theory says of the slope
   */
  @SuppressWarnings("ArrayRecordComponent") // A curve is drawn, never compared.
  public record Series(String name, double[] x, double[][] y, Slope slope, String expected) {
    /** The mean of the measurements at a place. */
    public double mean(int i) {
      double sum = 0;
      for (double each : y[i]) {
        sum += each;
      }
      return sum / y[i].length;
    }

    /** The standard error of that mean; 0 for a single measurement. */
    public double standardError(int i) {
      int n = y[i].length;
      double mean = mean(i);
      double sum = 0;
      for (double each : y[i]) {
        sum += (each - mean) * (each - mean);
      }
      return n == 1 ? 0 : Math.sqrt(sum / (n - 1) / n);
    }
  }
}
