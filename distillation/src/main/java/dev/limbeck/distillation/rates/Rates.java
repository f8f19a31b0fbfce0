package dev.limbeck.distillation.rates;

import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.metrics.Wasserstein1;
import dev.limbeck.distillation.rates.Experiment.Series;
import dev.limbeck.tensor.Rng;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.DoubleUnaryOperator;
import java.util.function.IntToDoubleFunction;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * Experiments V1 to V6 on consistency models whose training is perfect: what is left is the error
 * of steps, of samples and of the scores, each by itself.
 *
 * <p>Bounds of the theory are upper bounds: a steeper slope agrees with them.
 *
 * @paper Dou, Chen, Wang and Yang 2024, "Theory of consistency diffusion models", arXiv 2406.16213
 */
public final class Rates {
  private static final double[] SIGMAS = NoiseLevels.karras(40);

  /** Nodes of a flow that counts as exact: Heun's error is then a fortieth of that on 640. */
  private static final int EXACT = 4000;

  private final long seed;
  private final boolean quick;

  /** Stream and size of the sample on which levels are chosen. */
  private static final int SEARCH = -1;

  private static final int SEARCHED = 4096;

  /**
   * Prepares the experiments.
   *
   * @param quick smaller samples and fewer repetitions
   */
  public Rates(long seed, boolean quick) {
    this.seed = seed;
    this.quick = quick;
  }

  /** The experiments by their identifiers, each of which is run when it is asked for. */
  public Map<String, Supplier<Experiment>> experiments() {
    Map<String, Supplier<Experiment>> all = new LinkedHashMap<>();
    all.put("V1", this::steps);
    all.put("V2", this::isolation);
    all.put("V3", this::distillation);
    all.put("V4", this::scores);
    all.put("V5", this::intervals);
    all.put("V6", this::multistep);
    return all;
  }

  // ---- V1 ----

  /** W1 of the one-step samples to the exact flow's, over the number N of consistency nodes. */
  Experiment steps() {
    double[] nodes = quick ? new double[] {20, 40, 80, 160} : new double[] {40, 80, 160, 320, 640};
    Mixture modes = Mixture.twoModes(1);
    List<Series> curves = new ArrayList<>();
    for (Mixture data : List.of(Mixture.gaussian(), modes)) {
      String name = data == modes ? ", two modes" : ", Gaussian";
      double[] starts = stratified(quick ? 200 : 1000);
      double[] exact = through(data, starts, quick ? EXACT / 4 : EXACT, true);
      curves.add(
          deterministic(
              "distillation, Euler" + name, nodes, "-1", n -> against(exact, data, starts, n, 1)));
      curves.add(
          deterministic(
              "distillation, Heun" + name, nodes, "-2", n -> against(exact, data, starts, n, 2)));
      curves.add(
          deterministic(
              "isolation" + name,
              nodes,
              "-1",
              n -> {
                Isolation f = Isolation.optimum(data, NoiseLevels.karras(n));
                return Wasserstein1.onLine(map(starts, f::at), exact);
              }));
    }
    String conclusion =
        "The error of a perfect model falls with the number of nodes like N^-1 for Euler's steps"
            + " and for isolation, like N^-2 for Heun's.";
    return new Experiment("V1", "Nodes of the grid", "nodes N", "W1", curves, conclusion);
  }

  private static double against(double[] exact, Mixture data, double[] starts, int n, int order) {
    return Wasserstein1.onLine(through(data, starts, n, order == 2), exact);
  }

  /** The flow from the largest level to the smallest on n nodes. */
  private static double[] through(Denoised data, double[] starts, int n, boolean heun) {
    double[] sigmas = NoiseLevels.karras(n);
    return map(starts, x -> data.flow(new double[] {x}, sigmas, heun)[0]);
  }

  private static double[] map(double[] starts, DoubleUnaryOperator f) {
    return IntStream.range(0, starts.length)
        .parallel()
        .mapToDouble(i -> f.applyAsDouble(starts[i]))
        .toArray();
  }

  /** Quantiles of the noise at the largest level. */
  private static double[] stratified(int n) {
    Mixture normal = new Mixture(new double[][] {{0}}, 1);
    double[] starts = new double[n];
    for (int i = 0; i < n; i++) {
      starts[i] = NoiseLevels.SIGMA_MAX * normal.quantile((i + .5) / n);
    }
    return starts;
  }

  private Series deterministic(
      String name, double[] x, String expected, IntToDoubleFunction measured) {
    double[][] y = new double[x.length][];
    for (int i = 0; i < x.length; i++) {
      y[i] = new double[] {measured.applyAsDouble((int) x[i])};
    }
    return new Series(name, x, y, Slope.of(x, y, seed), expected);
  }

  // ---- V2 and V3 ----

  private double[] sampleSizes(int dimension) {
    if (dimension == 1) {
      return quick ? powers(6, 9) : powers(6, 14);
    }
    return quick ? powers(6, 8) : powers(6, 10);
  }

  private static double[] powers(int from, int to) {
    return IntStream.rangeClosed(from, to).mapToDouble(k -> 1 << k).toArray();
  }

  private int repetitions(double n) {
    int most = quick ? 4 : 16;
    // The more points, the less the distance scatters, and the longer it takes.
    return (int) Math.max(3, Math.min(most, most * 512 / n));
  }

  /** W1 of the perfect isolation model on n points of the unit cube, over n. */
  Experiment isolation() {
    List<Series> curves = new ArrayList<>();
    for (int d : quick ? new int[] {1, 3} : new int[] {1, 2, 3, 5}) {
      String expected = d == 1 ? "-1/2" : d == 2 ? "-1/2 with a logarithm" : "-1/" + d;
      curves.add(sampled("isolation, d = " + d, d, expected, this::cube, n -> 0));
      curves.add(drawn("fresh data, d = " + d, d, expected));
    }
    String conclusion =
        "With unlimited capacity, isolation returns its data: its error is that of the data"
            + " themselves. In more than one dimension both are measured against a fresh sample of"
            + " the same size.";
    return new Experiment("V2", "Isolation on n points", "points n", "W1", curves, conclusion);
  }

  /** Uniform on a cube, of deviation 0.5 in each coordinate. */
  private double[][] cube(Rng rng, int n, int d) {
    float[] u = new float[n * d];
    rng.uniform(u);
    double[][] points = new double[n][d];
    for (int i = 0; i < u.length; i++) {
      points[i / d][i % d] = Math.sqrt(3) * (u[i] - .5);
    }
    return points;
  }

  private static double[][] modes(Rng rng, int n, int d) {
    return Mixture.twoModes(d).draw(rng, n);
  }

  /** W1 of the flow map of a teacher that is blurred by h = 0.5 n^(-1/(d+5)), over n. */
  Experiment distillation() {
    List<Series> curves = new ArrayList<>();
    for (int d : quick ? new int[] {1, 3} : new int[] {1, 2, 3}) {
      String bound = String.format(Locale.ROOT, "at most -1/%d", 2 * (d + 5));
      int dimension = d;
      curves.add(
          sampled(
              "distillation, d = " + d,
              d,
              bound,
              Rates::modes,
              n -> .5 * Math.pow(n, -1.0 / (dimension + 5))));
      curves.add(
          sampled(
              "isolation, d = " + d,
              d,
              d == 1 ? "-1/2" : "-1/" + Math.max(2, d),
              Rates::modes,
              n -> 0));
    }
    String conclusion =
        "A teacher whose score is smoothed by h ~ n^(-1/(d+5)) costs the bias of the smoothing and"
            + " gains from it in higher dimensions; the proven rates are upper bounds.";
    return new Experiment("V3", "Distillation from n points", "points n", "W1", curves, conclusion);
  }

  /** Makes n points. */
  @FunctionalInterface
  private interface Source {
    double[][] draw(Rng rng, int n, int dimension);
  }

  private Series sampled(
      String name, int d, String expected, Source source, IntToDoubleFunction bandwidth) {
    return repeated(
        name,
        d,
        expected,
        (rng, n) -> {
          double[][] data = source.draw(rng.split(1), n, d);
          Empirical teacher = new Empirical(data, bandwidth.applyAsDouble(n));
          double[][] noise = noise(rng.split(2), n, d);
          double[][] made =
              IntStream.range(0, noise.length)
                  .parallel()
                  .mapToObj(i -> teacher.flow(noise[i], SIGMAS, true))
                  .toArray(double[][]::new);
          return distance(made, source, rng.split(3));
        });
  }

  private Series drawn(String name, int d, String expected) {
    return repeated(
        name,
        d,
        expected,
        (rng, n) -> distance(cube(rng.split(1), n, d), this::cube, rng.split(3)));
  }

  /** To the distribution itself on the line, to a fresh sample elsewhere. */
  private double distance(double[][] made, Source source, Rng rng) {
    int d = made[0].length;
    if (d > 1) {
      return Wasserstein1.between(made, source.draw(rng, made.length, d));
    }
    // A sample so much larger stands for the distribution: its own error is below a twentieth.
    double[] many = flat(source.draw(rng, 1 << 20, 1));
    Arrays.parallelSort(many);
    return Wasserstein1.onLine(flat(made), u -> many[(int) (u * many.length)], 8);
  }

  private static double[] flat(double[][] points) {
    return IntStream.range(0, points.length).mapToDouble(i -> points[i][0]).toArray();
  }

  /**
   * Where the flow starts. On the line it is monotone, so that quantiles of the noise become those
   * of the samples; elsewhere as many are drawn as there are points.
   */
  private double[][] noise(Rng rng, int n, int d) {
    if (d == 1) {
      double[] quantiles = stratified(quick ? 512 : 2048);
      return Arrays.stream(quantiles).mapToObj(x -> new double[] {x}).toArray(double[][]::new);
    }
    float[] z = new float[n * d];
    rng.normal(z);
    double[][] points = new double[n][d];
    for (int i = 0; i < z.length; i++) {
      points[i / d][i % d] = NoiseLevels.SIGMA_MAX * z[i];
    }
    return points;
  }

  /** One measurement on n points. */
  @FunctionalInterface
  private interface Measured {
    double on(Rng rng, int n);
  }

  private Series repeated(String name, int d, String expected, Measured measured) {
    double[] sizes = sampleSizes(d);
    double[][] y = new double[sizes.length][];
    for (int i = 0; i < sizes.length; i++) {
      int n = (int) sizes[i];
      Rng rng = Rng.of(seed).split(name.hashCode()).split(n);
      y[i] =
          IntStream.range(0, repetitions(n))
              .parallel()
              .mapToDouble(k -> measured.on(rng.split(k), n))
              .toArray();
    }
    return new Series(name, sizes, y, Slope.of(sizes, y, seed), expected);
  }

  // ---- V4 to V6, on two modes on the line ----

  /** A smooth function of size at most 1, the same at every level. */
  private static double bump(double x, double phase) {
    return Math.sin(3 * x + phase);
  }

  /** W1 of the flow of D + ε u to that of D, over ε. */
  Experiment scores() {
    double[] errors = {1 / 256.0, 1 / 128.0, 1 / 64.0, 1 / 32.0, 1 / 16.0};
    Mixture data = Mixture.twoModes(1);
    double[] starts = stratified(quick ? 200 : 1000);
    double[] exact = through(data, starts, 320, true);
    double[][] y = new double[errors.length][quick ? 4 : 16];
    for (int i = 0; i < errors.length; i++) {
      double epsilon = errors[i];
      for (int k = 0; k < y[i].length; k++) {
        double phase = 2 * Math.PI * k / y[i].length;
        Denoised wrong =
            (x, sigma, out) -> {
              data.at(x, sigma, out);
              out[0] += epsilon * bump(x[0], phase);
            };
        y[i][k] = Wasserstein1.onLine(through(wrong, starts, 320, true), exact);
      }
    }
    Series curve = new Series("D + ε sin(3x + φ)", errors, y, Slope.of(errors, y, seed), "1");
    String conclusion = "The error of samples is linear in the error of the scores.";
    return new Experiment("V4", "Error of the scores", "ε", "W1", List.of(curve), conclusion);
  }

  /**
   * W1 over the number M of intervals of which each adds an error δ of its own, with the steps of
   * the solver fixed.
   */
  Experiment intervals() {
    double[] numbers = {4, 8, 16, 32, 64};
    int steps = 320;
    Mixture data = Mixture.twoModes(1);
    double[] starts = stratified(quick ? 200 : 1000);
    double[] exact = through(data, starts, steps + 1, true);
    double[] sigmas = NoiseLevels.karras(steps + 1);
    double delta = 1e-4;
    List<Series> curves = new ArrayList<>();
    for (boolean alike : new boolean[] {true, false}) {
      double[][] y = new double[numbers.length][quick ? 4 : 16];
      for (int i = 0; i < numbers.length; i++) {
        int m = (int) numbers[i];
        for (int k = 0; k < y[i].length; k++) {
          Rng rng = Rng.of(seed).split(m).split(k);
          double[] phases = new double[m];
          double common = rng.nextDouble();
          for (int j = 0; j < m; j++) {
            phases[j] = 2 * Math.PI * (alike ? common : rng.nextDouble());
          }
          double[] made = map(starts, x -> composed(data, sigmas, x, phases, delta));
          y[i][k] = Wasserstein1.onLine(made, exact);
        }
      }
      curves.add(
          new Series(
              alike ? "errors alike" : "errors independent",
              numbers,
              y,
              Slope.of(numbers, y, seed),
              alike ? "1" : "1/2"));
    }
    String conclusion =
        "f_{k+1} = f_k after one interval of the solver, plus an error δ: the errors add up, like M"
            + " where they are alike and like √M where they are independent.";
    return new Experiment("V5", "Number of intervals", "intervals M", "W1", curves, conclusion);
  }

  /**
   * The consistency function at the largest level: the solver's endpoint, to which every interval
   * has added its error at the state where it begins.
   */
  private static double composed(
      Mixture data, double[] sigmas, double start, double[] phases, double delta) {
    int each = (sigmas.length - 1) / phases.length;
    double x = start;
    double added = 0;
    for (int j = 0; j < phases.length; j++) {
      added += delta * bump(x / (1 + sigmas[j * each]), phases[j]);
      double[] part = Arrays.copyOfRange(sigmas, j * each, (j + 1) * each + 1);
      x = data.flow(new double[] {x}, part, true)[0];
    }
    return x + added;
  }

  /** W1 of 1, 2 and 4 steps with one consistency function. */
  Experiment multistep() {
    Mixture data = Mixture.twoModes(1);
    double[] grid = NoiseLevels.karras(18);
    double[] fine = NoiseLevels.karras(18 * 16 - 15);
    double delta = 1e-2;
    double[] phases = new double[17];
    List<Series> curves = new ArrayList<>();
    curves.add(
        chained(
            "Euler, N = 18",
            data,
            grid,
            (x, node) -> {
              double[] rest = Arrays.copyOfRange(grid, node, grid.length);
              return data.flow(new double[] {x}, rest, false)[0];
            }));
    curves.add(
        chained(
            "an error of 0.01 in each of 17 intervals",
            data,
            grid,
            (x, node) -> {
              double[] rest = Arrays.copyOfRange(fine, 16 * node, fine.length);
              return composed(data, rest, x, Arrays.copyOf(phases, 17 - node), delta);
            }));
    String conclusion =
        "Adding noise and denoising again reduces the error of one and the same function, if the"
            + " levels in between are well chosen.";
    return new Experiment("V6", "Steps of sampling", "steps", "W1", curves, conclusion);
  }

  /** A consistency function at a node of the grid. */
  @FunctionalInterface
  private interface Consistent {
    double at(double x, int node);
  }

  /** Levels are added one by one where they help most, judged on a sample of their own. */
  private Series chained(String name, Mixture data, double[] grid, Consistent f) {
    double[] steps = {1, 2, 4};
    int n = quick ? 4096 : 16_384;
    double[][] y = new double[steps.length][quick ? 4 : 16];
    int[] nodes = {0};
    for (int i = 0; i < steps.length; i++) {
      while (nodes.length < steps[i]) {
        nodes = withBest(nodes, data, grid, f);
      }
      int[] chosen = nodes;
      for (int k = 0; k < y[i].length; k++) {
        y[i][k] = error(data, grid, chosen, f, Rng.of(seed).split(k), n);
      }
    }
    return new Series(name, steps, y, Slope.of(steps, y, seed), "below 0");
  }

  private int[] withBest(int[] nodes, Mixture data, double[] grid, Consistent f) {
    int[] best = null;
    double least = Double.POSITIVE_INFINITY;
    for (int node = 1; node + 1 < grid.length; node++) {
      int[] tried = Arrays.copyOf(nodes, nodes.length + 1);
      tried[nodes.length] = node;
      Arrays.sort(tried);
      double found = error(data, grid, tried, f, Rng.of(seed).split(SEARCH), SEARCHED);
      if (found < least) {
        least = found;
        best = tried;
      }
    }
    return best;
  }

  private static double error(
      Mixture data, double[] grid, int[] nodes, Consistent f, Rng rng, int n) {
    float[] noise = new float[n * nodes.length];
    rng.normal(noise);
    double end = grid[grid.length - 1];
    double[] made =
        IntStream.range(0, n)
            .parallel()
            .mapToDouble(
                i -> {
                  double x = 0;
                  for (int j = 0; j < nodes.length; j++) {
                    double sigma = grid[nodes[j]];
                    double added = j == 0 ? sigma : Math.sqrt(sigma * sigma - end * end);
                    x = f.at(x + added * noise[i * nodes.length + j], nodes[j]);
                  }
                  return x;
                })
            .toArray();
    return Wasserstein1.onLine(made, data::quantile, 1);
  }
}
