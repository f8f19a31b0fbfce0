package dev.limbeck.distillation.data;

import dev.limbeck.kernels.Json;
import dev.limbeck.kernels.op.MixtureMean;
import dev.limbeck.tensor.Rng;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.EigenDecomposition;

/**
 * A mixture of normal distributions, Σ_k π_k N(m_k, C_k): data that can be drawn without end, whose
 * denoiser has a closed form.
 */
public final class Mixture {
  /** What names of mixtures begin with, as in {@code toy:ring}. */
  public static final String PREFIX = "toy:";

  /** How far a covariance may be from symmetric and positive, relative to its largest element. */
  private static final double TOLERANCE = 1e-9;

  /** The largest coordinate of a mean: its square is far from the largest number in F32. */
  private static final double LARGEST = 1e9;

  private static final int CLASSES = 10_000;

  private final double[] weights;
  private final double[][] means;
  private final double[][][] covariances;
  private final int[] labels;

  /** Variances along the axes of each component, and the axes as columns. */
  private final double[][] variances;

  private final double[][][] axes;

  /**
   * Takes the components over.
   *
   * @param weights [K], positive; brought to a sum of 1
   * @param labels the classes of the components, [K] integers from 0; or null: no classes
   * @throws IllegalArgumentException if sizes do not match, or a covariance is none
   */
  public Mixture(double[] weights, double[][] means, double[][][] covariances, int[] labels) {
    int n = weights.length;
    require(n > 0, "it has no components");
    require(
        means.length == n && covariances.length == n && (labels == null || labels.length == n),
        String.format(
            "there are %d weights, %d means, %d covariances%s; all must be as many",
            n,
            means.length,
            covariances.length,
            labels == null ? "" : " and " + labels.length + " labels"));
    int d = means[0].length;
    require(d > 0, "the first mean has no coordinates");
    double total = Arrays.stream(weights).sum();
    require(Double.isFinite(total), "the sum of the weights is " + total);
    this.weights = new double[n];
    this.means = new double[n][];
    this.covariances = new double[n][d][];
    this.labels = labels == null ? null : labels.clone();
    this.variances = new double[n][];
    this.axes = new double[n][][];
    for (int k = 0; k < n; k++) {
      require(
          weights[k] > 0 && Double.isFinite(weights[k]),
          "weight " + k + " is " + weights[k] + "; weights are positive");
      require(
          means[k].length == d && Arrays.stream(means[k]).allMatch(x -> Math.abs(x) <= LARGEST),
          "mean "
              + k
              + " must be "
              + d
              + " numbers up to "
              + LARGEST
              + ", as many as the first has");
      require(
          labels == null || (labels[k] >= 0 && labels[k] < CLASSES),
          "label " + k + " is not from 0 to " + (CLASSES - 1));
      this.weights[k] = weights[k] / total;
      this.means[k] = means[k].clone();
      decompose(k, checked(k, covariances[k], d));
    }
    require(
        deviation() > 0, "all its points are one: some covariance, or a second mean, is needed");
  }

  private static void require(boolean condition, String otherwise) {
    if (!condition) {
      throw new IllegalArgumentException(otherwise);
    }
  }

  private static double[][] checked(int k, double[][] c, int d) {
    boolean square = c.length == d;
    for (int i = 0; square && i < d; i++) {
      square = c[i].length == d && Arrays.stream(c[i]).allMatch(Double::isFinite);
    }
    require(square, "covariance " + k + " must be " + d + " rows of " + d + " numbers");
    double[][] symmetric = new double[d][d];
    for (int i = 0; i < d; i++) {
      for (int j = 0; j < d; j++) {
        require(
            Math.abs(c[i][j] - c[j][i]) <= TOLERANCE * largest(c),
            String.format(
                "covariance %d is not symmetric: element (%d,%d) is %s, (%d,%d) is %s",
                k, i, j, c[i][j], j, i, c[j][i]));
        symmetric[i][j] = (c[i][j] + c[j][i]) / 2;
      }
    }
    return symmetric;
  }

  private static double largest(double[][] c) {
    double largest = 0;
    for (double[] row : c) {
      for (double value : row) {
        largest = Math.max(largest, Math.abs(value));
      }
    }
    return largest;
  }

  private void decompose(int k, double[][] covariance) {
    int d = covariance.length;
    EigenDecomposition eigen = new EigenDecomposition(new Array2DRowRealMatrix(covariance, false));
    double[] values = eigen.getRealEigenvalues();
    for (int j = 0; j < d; j++) {
      require(
          values[j] >= -TOLERANCE * largest(covariance),
          String.format(
              "covariance %d is not positive semi-definite: it has the eigenvalue %s",
              k, values[j]));
      values[j] = Math.max(0, values[j]);
    }
    covariances[k] = covariance;
    variances[k] = values;
    axes[k] = eigen.getV().getData();
  }

  // ---- by name ----

  /** Whether a name of data is that of a mixture. */
  public static boolean isNamed(String data) {
    return data.startsWith(PREFIX);
  }

  /**
   * The mixture of a name: {@code toy:ring}, {@code toy:grid}, {@code toy:spiral}, {@code
   * toy:gaussian}, or {@code toy:FILE.json}.
   *
   * @throws DataException if there is none, or the file holds none
   */
  public static Mixture open(String name) {
    String what = name.substring(PREFIX.length());
    return switch (what) {
      case "ring" -> ring();
      case "grid" -> grid();
      case "spiral" -> spiral();
      case "gaussian" -> gaussian();
      default -> file(name, what);
    };
  }

  private static Mixture file(String name, String what) {
    try {
      Path path = Path.of(what);
      if (!what.endsWith(".json") || !Files.isRegularFile(path)) {
        throw new DataException(
            "data "
                + name
                + ": there is no such mixture; known are ring, grid, spiral, gaussian, or a file"
                + " FILE.json");
      }
      return parse(Files.readString(path));
    } catch (IOException e) {
      throw DataException.because("cannot read " + what, e);
    } catch (IllegalArgumentException e) {
      throw new DataException("data " + name + ": " + e.getMessage(), e);
    }
  }

  /**
   * A mixture from JSON with {@code weights} [K], {@code means} [K][d], {@code covariances}
   * [K][d][d] and, optionally, {@code labels} [K].
   *
   * @throws IllegalArgumentException naming what is wrong
   */
  public static Mixture parse(String json) {
    Map<String, Object> fields = Json.parseObject(json);
    for (String key : fields.keySet()) {
      require(
          List.of("weights", "means", "covariances", "labels").contains(key),
          "there is no \"" + key + "\" in a mixture; it has weights, means, covariances, labels");
    }
    double[] weights = vector(fields.get("weights"), "weights");
    int[] labels = null;
    if (fields.get("labels") != null) {
      double[] numbers = vector(fields.get("labels"), "labels");
      labels = new int[numbers.length];
      for (int i = 0; i < labels.length; i++) {
        labels[i] = (int) numbers[i];
        require(labels[i] == numbers[i], "label " + i + " is no whole number");
      }
    }
    double[][] means = matrix(fields.get("means"), "means");
    List<double[][]> covariances = new ArrayList<>();
    for (Object each : Json.list(fields.get("covariances"), "covariances")) {
      covariances.add(matrix(each, "covariance " + covariances.size()));
    }
    return new Mixture(weights, means, covariances.toArray(double[][][]::new), labels);
  }

  private static double[][] matrix(Object value, String what) {
    List<double[]> rows = new ArrayList<>();
    for (Object row : Json.list(value, what)) {
      rows.add(vector(row, "row " + rows.size() + " of " + what));
    }
    return rows.toArray(double[][]::new);
  }

  private static double[] vector(Object value, String what) {
    List<?> list = Json.list(value, what);
    double[] numbers = new double[list.size()];
    for (int i = 0; i < numbers.length; i++) {
      require(list.get(i) instanceof Number, "element " + i + " of " + what + " is no number");
      numbers[i] = ((Number) list.get(i)).doubleValue();
    }
    return numbers;
  }

  /** Five round modes of deviation ½ on a circle of radius 3; neighbours differ in class. */
  private static Mixture ring() {
    Builder modes = new Builder();
    for (int k = 0; k < 5; k++) {
      double angle = 2 * Math.PI * k / 5;
      modes.add(3 * Math.cos(angle), 3 * Math.sin(angle), 0, .5, .5, k % 2);
    }
    return modes.build();
  }

  /**
   * Nine round modes of deviation 0.4 on a square grid of spacing 2, classes as on a chessboard.
   */
  private static Mixture grid() {
    Builder modes = new Builder();
    for (int k = 0; k < 9; k++) {
      modes.add(2 * (k % 3 - 1), 2 * (k / 3 - 1), 0, .4, .4, k % 2);
    }
    return modes.build();
  }

  /** Two arms of five long modes each, one class an arm. */
  private static Mixture spiral() {
    Builder modes = new Builder();
    for (int k = 0; k < 10; k++) {
      int along = k / 2;
      double angle = .5 + .75 * along + Math.PI * (k % 2);
      double radius = 1 + .75 * along;
      // An Archimedean spiral runs nearly at a right angle to the radius.
      double direction = angle + Math.PI / 2 - .75 / radius;
      double x = radius * Math.cos(angle);
      double y = radius * Math.sin(angle);
      modes.add(x, y, direction, .3 + .1 * along, .25, k % 2);
    }
    return modes.build();
  }

  /** One normal distribution with correlated coordinates, of the only class. */
  private static Mixture gaussian() {
    return new Builder().add(1, -2, .6, 1.6, .7, 0).build();
  }

  /** Collects modes of equal weight in the plane. */
  private static final class Builder {
    private final List<double[]> means = new ArrayList<>();
    private final List<double[][]> covariances = new ArrayList<>();
    private final List<Integer> labels = new ArrayList<>();

    /** A mode with these deviations along a direction and across it. */
    Builder add(double x, double y, double angle, double along, double across, int label) {
      double c = Math.cos(angle);
      double s = Math.sin(angle);
      double a = along * along;
      double b = across * across;
      means.add(new double[] {x, y});
      double mixed = c * s * (a - b);
      covariances.add(
          new double[][] {{c * c * a + s * s * b, mixed}, {mixed, s * s * a + c * c * b}});
      labels.add(label);
      return this;
    }

    Mixture build() {
      double[] weights = new double[means.size()];
      Arrays.fill(weights, 1);
      return new Mixture(
          weights,
          means.toArray(double[][]::new),
          covariances.toArray(double[][][]::new),
          labels.stream().mapToInt(Integer::intValue).toArray());
    }
  }

  // ---- what it is ----

  /** Coordinates of a point. */
  public int dimension() {
    return means[0].length;
  }

  /** Number of components. */
  public int components() {
    return weights.length;
  }

  /** Number of classes, 0 if components have none. */
  public int classes() {
    return labels == null ? 0 : Arrays.stream(labels).max().getAsInt() + 1;
  }

  /** The probability of a component. */
  public double weight(int component) {
    return weights[component];
  }

  /** The mean of all data. */
  public double[] centre() {
    double[] centre = new double[dimension()];
    for (int k = 0; k < weights.length; k++) {
      for (int j = 0; j < centre.length; j++) {
        centre[j] += weights[k] * means[k][j];
      }
    }
    return centre;
  }

  /** √(the mean variance of a coordinate). */
  public double deviation() {
    double[] centre = centre();
    double sum = 0;
    for (int k = 0; k < weights.length; k++) {
      for (int j = 0; j < centre.length; j++) {
        double off = means[k][j] - centre[j];
        sum += weights[k] * (off * off + covariances[k][j][j]);
      }
    }
    return Math.sqrt(sum / centre.length);
  }

  /** The same with every point x replaced by (x − offset)·factor. */
  public Mixture moved(double[] offset, double factor) {
    double[][] to = new double[means.length][dimension()];
    double[][][] scaled = new double[means.length][dimension()][dimension()];
    for (int k = 0; k < means.length; k++) {
      for (int i = 0; i < offset.length; i++) {
        to[k][i] = (means[k][i] - offset[i]) * factor;
        for (int j = 0; j < offset.length; j++) {
          scaled[k][i][j] = covariances[k][i][j] * factor * factor;
        }
      }
    }
    return new Mixture(weights, to, scaled, labels);
  }

  /** The same as numbers for {@link MixtureMean}. */
  public MixtureMean.Table table() {
    int n = weights.length;
    int d = dimension();
    double[] logWeights = new double[n];
    double[] flatMeans = new double[n * d];
    double[] flatVariances = new double[n * d];
    double[] flatAxes = new double[n * d * d];
    for (int k = 0; k < n; k++) {
      logWeights[k] = Math.log(weights[k]);
      System.arraycopy(means[k], 0, flatMeans, k * d, d);
      System.arraycopy(variances[k], 0, flatVariances, k * d, d);
      for (int i = 0; i < d; i++) {
        System.arraycopy(axes[k][i], 0, flatAxes, (k * d + i) * d, d);
      }
    }
    int[] classes = labels == null ? new int[n] : labels;
    return new MixtureMean.Table(d, logWeights, flatMeans, flatVariances, flatAxes, classes);
  }

  /** Identifies the mixture: a checksum of its numbers. */
  public String hash() {
    CRC32C crc = new CRC32C();
    List<double[]> all = new ArrayList<>(List.of(weights));
    all.addAll(List.of(means));
    for (double[][] covariance : covariances) {
      all.addAll(List.of(covariance));
    }
    if (labels != null) {
      all.add(Arrays.stream(labels).asDoubleStream().toArray());
    }
    for (double[] row : all) {
      ByteBuffer bytes = ByteBuffer.allocate(Double.BYTES * row.length);
      bytes.asDoubleBuffer().put(row);
      crc.update(bytes);
    }
    return Long.toHexString(crc.getValue());
  }

  // ---- points ----

  /**
   * Points drawn from a mixture.
   *
   * @param points [n·d]
   * @param components for each point the component that it was drawn from
   * @param labels the classes of those components; null if there are none
   */
  @SuppressWarnings("ArrayRecordComponent") // Draws are used, never compared.
  public record Draw(float[] points, int[] components, int[] labels) {}

  /** Independent points, a function of the generator's stream alone. */
  public Draw draw(Rng rng, int n) {
    int d = dimension();
    float[] uniform = new float[n];
    float[] normal = new float[n * d];
    rng.split(1).uniform(uniform);
    rng.split(2).normal(normal);
    float[] points = new float[n * d];
    int[] components = new int[n];
    int[] classes = labels == null ? null : new int[n];
    for (int i = 0; i < n; i++) {
      int k = component(uniform[i]);
      components[i] = k;
      if (classes != null) {
        classes[i] = labels[k];
      }
      for (int a = 0; a < d; a++) {
        double sum = means[k][a];
        for (int b = 0; b < d; b++) {
          sum += axes[k][a][b] * Math.sqrt(variances[k][b]) * normal[i * d + b];
        }
        points[i * d + a] = (float) sum;
      }
    }
    return new Draw(points, components, classes);
  }

  private int component(double share) {
    double sum = 0;
    for (int k = 0; k < weights.length; k++) {
      sum += weights[k];
      if (share < sum) {
        return k;
      }
    }
    return weights.length - 1;
  }

  /** ln π_k N(x; m_k, C_k + σ² I) without the constant, and the squared Mahalanobis distance. */
  public double[] logDensity(int k, float[] points, int at, double sigma) {
    double square = 0;
    double logs = 0;
    for (int j = 0; j < dimension(); j++) {
      double y = 0;
      for (int i = 0; i < dimension(); i++) {
        y += axes[k][i][j] * (points[at + i] - means[k][i]);
      }
      double variance = variances[k][j] + sigma * sigma;
      square += y * y / variance;
      logs += Math.log(variance);
    }
    return new double[] {Math.log(weights[k]) - (square + logs) / 2, square};
  }
}
