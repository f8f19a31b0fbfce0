package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Computes the mean of clean data given noisy data, for data from a mixture of normal
 * distributions: out[i,:] = E[x₀ | x₀ + σ[i] n = x[i,:]], in double precision.
 *
 * <p>With component k of weight π_k, mean m_k and covariance V_k diag(λ_k) V_kᵀ, and y = V_kᵀ (x −
 * m_k),
 *
 * <pre>out = Σ_k g_k (m_k + V_k diag(λ_k/(λ_k + σ²)) y),  g_k ∝ π_k N(y; 0, λ_k + σ²).</pre>
 *
 * <p>The g_k sum to 1; they are found from logarithms. A row with a label takes its components
 * alone; a label that no component has stands for all of them.
 *
 * @param x [rows, d]
 * @param sigma [rows]
 * @param labels [rows] integers, or null: all components for every row
 */
@Definition(
    formula = "out[r,:] = Σ_k g_k (m_k + V_k diag(λ_k/(λ_k + σ[r]²)) V_kᵀ (x[r,:] − m_k))",
    cost = "4d² + 8d flops, one exponential and one logarithm per row and component")
public record MixtureMean(Table table, Buffer x, Buffer sigma, Buffer labels, Buffer out)
    implements Kernel {
  /** Components of a row that one thread works through at a time: some microseconds. */
  private static final int GRAIN = 128;

  /** Variances whose product is taken before its logarithm: (10⁻¹⁶)⁸ and (10¹⁶)⁸ are in range. */
  private static final int FACTORS = 8;

  /** Below e^−60 a weight is lost in double precision, whatever it multiplies here. */
  private static final double NEGLIGIBLE = -60;

  /** A mixture as numbers. */
  public static final class Table {
    private final int dimension;
    private final double[] logWeights;
    private final double[] means;
    private final double[] variances;
    private final double[] axes;
    private final int[] labels;
    private final int classes;

    /** For each component the first with the same variances, whose normaliser is the same. */
    private final int[] likes;

    /** All doubles as pairs of integers: ln π, means, variances, axes. */
    private final int[] bits;

    /**
     * Takes the numbers over.
     *
     * @param dimension d
     * @param logWeights ln π_k, up to a common constant, [K]
     * @param means [K·d]
     * @param variances λ_k, [K·d]
     * @param axes V_k with eigenvectors as columns, [K·d·d] row by row; or null: the coordinate
     *     axes
     * @param labels [K], not negative
     */
    public Table(
        int dimension,
        double[] logWeights,
        double[] means,
        double[] variances,
        double[] axes,
        int[] labels) {
      int n = logWeights.length;
      if (n == 0
          || means.length != n * dimension
          || variances.length != n * dimension
          || labels.length != n
          || (axes != null && axes.length != n * dimension * dimension)) {
        throw new IllegalArgumentException(
            String.format(
                "mixture mean: %d components of %d dimensions, %d means, %d variances, %d labels",
                n, dimension, means.length, variances.length, labels.length));
      }
      this.dimension = dimension;
      this.logWeights = logWeights.clone();
      this.means = means.clone();
      this.variances = variances.clone();
      this.axes = axes == null ? null : axes.clone();
      this.labels = labels.clone();
      this.classes = Arrays.stream(labels).max().getAsInt() + 1;
      this.likes = likes();
      this.bits = bits();
    }

    /** Number of components. */
    public int components() {
      return logWeights.length;
    }

    private int[] likes() {
      Map<List<Double>, Integer> first = new HashMap<>();
      int[] found = new int[components()];
      for (int k = 0; k < found.length; k++) {
        double[] own = Arrays.copyOfRange(variances, k * dimension, (k + 1) * dimension);
        Integer before = first.putIfAbsent(Arrays.stream(own).boxed().toList(), k);
        found[k] = before == null ? k : before;
      }
      return found;
    }

    private int[] bits() {
      int[] all = new int[0];
      for (double[] part : new double[][] {logWeights, means, variances, axes}) {
        if (part != null) {
          int at = all.length;
          all = Arrays.copyOf(all, at + 2 * part.length);
          for (int i = 0; i < part.length; i++) {
            long value = Double.doubleToRawLongBits(part[i]);
            all[at + 2 * i] = (int) value;
            all[at + 2 * i + 1] = (int) (value >>> 32);
          }
        }
      }
      return all;
    }
  }

  public MixtureMean {
    int rows = sigma.length();
    if (x.length() != rows * table.dimension
        || out.length() != x.length()
        || (labels != null && labels.length() != rows)) {
      throw new IllegalArgumentException(
          "mixture mean: "
              + x.length()
              + " elements in "
              + rows
              + " rows, the mixture has "
              + table.dimension
              + " dimensions");
    }
  }

  @Override
  public String name() {
    return "mixture_mean";
  }

  @Override
  public List<Buffer> buffers() {
    return labels == null ? List.of(x, sigma, out) : List.of(x, sigma, labels, out);
  }

  @Override
  public double flops() {
    double d = table.dimension;
    return sigma.length() * table.components() * (4 * d * d + 8 * d);
  }

  // ---- CPU ----

  @Override
  public void onCpu(Ranges ranges) {
    int grain = Math.max(1, GRAIN / table.components());
    ranges.split(
        sigma.length(),
        grain,
        (from, to) -> {
          Row row = new Row(table);
          for (int i = from; i < to; i++) {
            int label = labels == null ? -1 : labels.ints()[labels.offset() + i];
            row.compute(i, x, sigma.floats()[sigma.offset() + i], label, out);
          }
        });
  }

  /** One row after the other, in memory of its own. */
  private static final class Row {
    private final Table t;
    private final double[] logs;
    private final double[] normalisers;
    private final double[] inverse;
    private final double[] rotated;
    private final double[] sum;

    Row(Table t) {
      this.t = t;
      int n = t.components();
      logs = new double[n];
      normalisers = new double[n];
      inverse = new double[n * t.dimension];
      rotated = new double[n * t.dimension];
      sum = new double[t.dimension];
    }

    void compute(int row, Buffer x, double sigma, int label, Buffer out) {
      int d = t.dimension;
      int at = x.offset() + row * d;
      double square = sigma * sigma;
      boolean all = label < 0 || label >= t.classes;
      double best = Double.NEGATIVE_INFINITY;
      for (int k = 0; k < logs.length; k++) {
        normalise(k, square);
        boolean counts = all || t.labels[k] == label;
        logs[k] = counts ? logDensity(k, x.floats(), at) : Double.NEGATIVE_INFINITY;
        best = Math.max(best, logs[k]);
      }
      Arrays.fill(sum, 0);
      double total = 0;
      for (int k = 0; k < logs.length; k++) {
        double log = logs[k] - best;
        if (log > NEGLIGIBLE) {
          double weight = StrictMath.exp(log);
          total += weight;
          add(k, weight);
        }
      }
      for (int j = 0; j < d; j++) {
        out.floats()[out.offset() + row * d + j] = (float) (sum[j] / total);
      }
    }

    /** 1/(λ + σ²), and half the logarithm of the determinant. */
    private void normalise(int k, double square) {
      int d = t.dimension;
      if (t.likes[k] < k) {
        System.arraycopy(inverse, t.likes[k] * d, inverse, k * d, d);
        normalisers[k] = normalisers[t.likes[k]];
        return;
      }
      double logs = 0;
      double product = 1;
      for (int j = 0; j < d; j++) {
        double variance = t.variances[k * d + j] + square;
        inverse[k * d + j] = 1 / variance;
        product *= variance;
        if (j % FACTORS == FACTORS - 1 || j == d - 1) {
          logs += StrictMath.log(product);
          product = 1;
        }
      }
      normalisers[k] = logs / 2;
    }

    private double logDensity(int k, float[] x, int at) {
      int d = t.dimension;
      double square = 0;
      for (int j = 0; j < d; j++) {
        double y = 0;
        if (t.axes == null) {
          y = x[at + j] - t.means[k * d + j];
        } else {
          for (int i = 0; i < d; i++) {
            y += t.axes[(k * d + i) * d + j] * (x[at + i] - t.means[k * d + i]);
          }
        }
        rotated[k * d + j] = y;
        square += y * y * inverse[k * d + j];
      }
      return t.logWeights[k] - normalisers[k] - square / 2;
    }

    private void add(int k, double weight) {
      int d = t.dimension;
      for (int i = 0; i < d; i++) {
        double value = t.means[k * d + i];
        if (t.axes == null) {
          value += shrunk(k * d + i);
        } else {
          for (int j = 0; j < d; j++) {
            value += t.axes[(k * d + i) * d + j] * shrunk(k * d + j);
          }
        }
        sum[i] += weight * value;
      }
    }

    /** λ/(λ + σ²) y, which is 0 for a component without width even where σ is 0. */
    private double shrunk(int at) {
      double variance = t.variances[at];
      return variance == 0 ? 0 : variance * inverse[at] * rotated[at];
    }
  }

  // ---- CUDA ----

  @Override
  public void onCuda(Launcher cuda) {
    int rows = sigma.length();
    int n = table.components();
    // A row's logarithms and coordinates lie in memory of its own: n of the one, n·d of the other.
    int each = 2 * n * (table.dimension + 1);
    Buffer scratch = cuda.scratch(DType.I32, Math.max(1, rows * each));
    cuda.kernel("mixture", "mixture_mean_f32").i32(rows).i32(table.dimension).i32(n);
    cuda.i32(table.classes).i32(table.axes == null ? 0 : 1);
    cuda.i64(Double.doubleToRawLongBits(NEGLIGIBLE));
    cuda.table(table.bits).table(table.labels);
    cuda.pointer(x).pointer(sigma).pointer(labels).pointer(scratch).pointer(out);
    cuda.launch(cuda.blocks(rows, Launcher.THREADS), Launcher.THREADS);
  }
}
