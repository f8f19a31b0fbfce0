package dev.limbeck.distillation.diffusion;

import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;

/**
 * Diffusion on the unit cube that is reflected at its faces: x_σ = reflect(x₀ + σ n), whose law for
 * large σ is uniform.
 *
 * <p>Coordinates are independent given x₀. The law of one, p_σ(x | y), has two series that converge
 * where the other does not: images Σ_k N(x − 2k; y, σ²) + N(−x − 2k; y, σ²) for small noise, and
 * cosines 1 + 2 Σ_k e^{−k²π²σ²/2} cos kπx cos kπy for large. They are changed at σ²/2 = 10⁻².
 *
 * @paper Lou and Ermon 2023, arXiv 2304.04740
 */
public final class ReflectedDiffusion {
  /** σ²/2 from which on the cosine series is summed. */
  static final double SWITCH = 1e-2;

  /** Images on each side; at the switch the first one left out is beyond e^-1000. */
  private static final int IMAGES = 10;

  /** Cosines; at the switch the first one left out has a factor below e^-43. */
  private static final int COSINES = 20;

  private ReflectedDiffusion() {}

  /** An estimate of the score ∇ log p_σ(x). */
  @FunctionalInterface
  public interface Score {
    /**
     * Estimates the score.
     *
     * @shape x and the result: [N,…]; sigma: [N]; labels: [N] or null
     */
    Tensor score(Tensor x, Tensor sigma, Tensor labels);

    /** The guided score u + g (c − u): reflection keeps its samples inside for every g. */
    default Score guided(double g) {
      return (x, sigma, labels) ->
          Samplers.combine(g, score(x, sigma, labels), 1 - g, score(x, sigma, null));
    }
  }

  /** y reflected at 0 and 1 until it is between them. */
  public static double reflect(double y) {
    double folded = Math.abs(y) % 2;
    return folded > 1 ? 2 - folded : folded;
  }

  /** {@link #reflect(double)} of every number; up to 128 cubes away. */
  public static Tensor reflect(Tensor x) {
    try (Scope scope = Scope.open()) {
      return scope.keep(Thresholding.fold(x).clamp(0, 1));
    }
  }

  /** The forward process: reflect(x₀ + σ n) with one σ for all. */
  public static Tensor noised(Tensor clean, double sigma, Tensor noise) {
    try (Scope scope = Scope.open()) {
      return scope.keep(reflect(Samplers.combine(1, clean, sigma, noise)));
    }
  }

  /** log p_σ(x | y) of one coordinate. */
  public static double logDensity(double x, double y, double sigma) {
    return usesImages(sigma) ? images(x, y, sigma)[0] : cosines(x, y, sigma)[0];
  }

  /** ∂/∂x log p_σ(x | y) of one coordinate. */
  public static double score(double x, double y, double sigma) {
    return usesImages(sigma) ? images(x, y, sigma)[1] : cosines(x, y, sigma)[1];
  }

  private static boolean usesImages(double sigma) {
    return sigma * sigma / 2 < SWITCH;
  }

  /** log density and score by the sum of images, in log space. */
  static double[] images(double x, double y, double sigma) {
    double variance = sigma * sigma;
    double best = Double.NEGATIVE_INFINITY;
    for (int k = -IMAGES; k <= IMAGES; k++) {
      best = Math.max(best, -square(x - 2 * k - y) / (2 * variance));
      best = Math.max(best, -square(-x - 2 * k - y) / (2 * variance));
    }
    double sum = 0;
    double slope = 0;
    for (int k = -IMAGES; k <= IMAGES; k++) {
      double direct = x - 2 * k - y;
      double mirrored = -x - 2 * k - y;
      double a = Math.exp(-square(direct) / (2 * variance) - best);
      double b = Math.exp(-square(mirrored) / (2 * variance) - best);
      sum += a + b;
      slope += (b * mirrored - a * direct) / variance;
    }
    double log = best + Math.log(sum) - Math.log(sigma) - Math.log(2 * Math.PI) / 2;
    return new double[] {log, slope / sum};
  }

  /** log density and score by the series of cosines. */
  static double[] cosines(double x, double y, double sigma) {
    double density = 1;
    double slope = 0;
    for (int k = 1; k <= COSINES; k++) {
      double w = k * Math.PI;
      double factor = 2 * Math.exp(-w * w * sigma * sigma / 2) * Math.cos(w * y);
      density += factor * Math.cos(w * x);
      slope -= factor * w * Math.sin(w * x);
    }
    return new double[] {Math.log(density), slope / density};
  }

  private static double square(double x) {
    return x * x;
  }

  /**
   * What a score network learns: ∂/∂x log p_σ(x | y) of every number, with weight σ² in the loss σ²
   * |S(x, σ) − target|², which makes it uniform over σ.
   *
   * <p>A batch is noised and given its target on the host, where the data come from.
   *
   * @param x noised data, on the unit cube
   * @param clean the data themselves
   * @param sigmas one for each sample
   * @return the target, row after row
   */
  public static float[] target(float[] x, float[] clean, double[] sigmas) {
    if (x.length != clean.length || x.length % sigmas.length != 0) {
      throw new IllegalArgumentException(
          "x, clean data and noise levels do not fit: "
              + x.length
              + ", "
              + clean.length
              + " and "
              + sigmas.length);
    }
    int width = x.length / sigmas.length;
    float[] target = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      target[i] = (float) score(x[i], clean[i], sigmas[i / width]);
    }
    return target;
  }

  /**
   * The exact score of data that are exactly these points, equally likely: an oracle.
   *
   * @param points each as long as a sample
   */
  public static Score empirical(double[][] points) {
    return (x, sigma, labels) -> {
      float[] in = x.toFloats();
      float[] levels = sigma.toFloats();
      float[] out = new float[in.length];
      int width = in.length / levels.length;
      for (int i = 0; i < levels.length; i++) {
        scoreRow(points, in, i * width, levels[i], out);
      }
      return Tensor.of(x.device(), x.shape(), out);
    };
  }

  private static void scoreRow(double[][] points, float[] x, int at, double sigma, float[] out) {
    double[] logs = new double[points.length];
    double best = Double.NEGATIVE_INFINITY;
    for (int k = 0; k < logs.length; k++) {
      for (int j = 0; j < points[k].length; j++) {
        logs[k] += logDensity(x[at + j], points[k][j], sigma);
      }
      best = Math.max(best, logs[k]);
    }
    double total = 0;
    for (int k = 0; k < logs.length; k++) {
      logs[k] = Math.exp(logs[k] - best);
      total += logs[k];
    }
    for (int j = 0; j < points[0].length; j++) {
      double sum = 0;
      for (int k = 0; k < logs.length; k++) {
        if (logs[k] > 0) {
          sum += logs[k] / total * score(x[at + j], points[k][j], sigma);
        }
      }
      out[at + j] = (float) sum;
    }
  }

  /**
   * The reverse SDE by Euler and Maruyama, reflected after each step: x + (σ_i² − σ_{i+1}²) S +
   * √(σ_i² − σ_{i+1}²) n.
   *
   * @param x uniform on the cube
   * @param sigmas falling levels
   * @param firstRow number of the sample that the first row is
   */
  public static Tensor sampleSde(
      Score score, Tensor x, double[] sigmas, Tensor labels, Rng rng, long firstRow) {
    return walk(
        x,
        sigmas,
        (state, i) -> {
          double drop = square(sigmas[i]) - square(sigmas[i + 1]);
          Tensor s = score.score(state, Samplers.level(state, sigmas[i]), labels);
          Tensor moved = Samplers.combine(1, state, drop, s);
          Tensor n = rng.split(i).normalRows(x.device(), x.shape(), firstRow);
          return moved.addInPlace((float) Math.sqrt(drop), n);
        });
  }

  /**
   * The probability-flow ODE dx/dσ = −σ S by the midpoint method in ln σ; the exact flow does not
   * leave the cube, so that reflection mends numerical error alone.
   *
   * @param x uniform on the cube
   * @param sigmas falling levels above 0
   */
  public static Tensor sampleOde(Score score, Tensor x, double[] sigmas, Tensor labels) {
    return walk(
        x,
        sigmas,
        (state, i) -> {
          double h = Math.log(sigmas[i] / sigmas[i + 1]);
          double middle = Math.sqrt(sigmas[i] * sigmas[i + 1]);
          Tensor s = score.score(state, Samplers.level(state, sigmas[i]), labels);
          Tensor inside = reflect(Samplers.combine(1, state, h / 2 * square(sigmas[i]), s));
          Tensor there = score.score(inside, Samplers.level(state, middle), labels);
          return Samplers.combine(1, state, h * square(middle), there);
        });
  }

  @FunctionalInterface
  private interface Step {
    Tensor take(Tensor state, int i);
  }

  private static Tensor walk(Tensor x, double[] sigmas, Step step) {
    SamplingRun run =
        new SamplingRun(Samplers.Method.EULER.settings(), sigmas, null, null, null, 0);
    return run.walk(x, (scope, state, i) -> reflect(step.take(state, i)));
  }
}
