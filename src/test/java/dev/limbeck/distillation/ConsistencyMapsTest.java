package dev.limbeck.distillation;

import static dev.limbeck.distillation.ConsistencyToys.GAUSSIAN;
import static dev.limbeck.distillation.ConsistencyToys.MAX;
import static dev.limbeck.distillation.ConsistencyToys.MIN;
import static dev.limbeck.distillation.ConsistencyToys.VARIANCE;
import static dev.limbeck.distillation.ConsistencyToys.distillation;
import static dev.limbeck.distillation.ConsistencyToys.input;
import static dev.limbeck.distillation.ConsistencyToys.mlp;
import static dev.limbeck.distillation.ConsistencyToys.teacher;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.ConsistencyLearning.Weighting;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.Condition;
import dev.limbeck.nn.Init;
import dev.limbeck.nn.Network;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The exact consistency maps of a normal distribution: where Euler's and Heun's grids lead, and
 * that the losses are at rest there.
 */
class ConsistencyMapsTest {
  private static ConsistencyTraining training(int nodes, Teacher.Blueprint blueprint) {
    return new ConsistencyTraining(
        new ConsistencyTraining.Config(
            ConsistencyToys.training(1, 0),
            new ConsistencyMetric.SquaredL2(),
            Weighting.UNIFORM,
            new ConsistencySchedule.Fixed(nodes),
            ConsistencySchedule.Constant.STOP_GRADIENT,
            MIN,
            MAX,
            false),
        teacher(GAUSSIAN, blueprint),
        1);
  }

  /** By upper level, the factor from there to the level below that a step's pairs show. */
  private static TreeMap<Double, Double> factors(ConsistencyLearning method, Device device) {
    TreeMap<Double, Double> factors = new TreeMap<>();
    ConsistencyLearning.Pair pair = method.pair(input(device, 20_000));
    float[] upper = pair.upper().toFloats();
    float[] lower = pair.lower().toFloats();
    for (int i = 0; i < upper.length; i++) {
      // Numbers near 0 are rounded coarsely against themselves.
      if (Math.abs(upper[i]) > .5 * pair.t()[i]) {
        factors.put(pair.t()[i], (double) lower[i] / upper[i]);
      }
    }
    return factors;
  }

  /** The whole map of a grid over the exact map √((v + ε²)/(v + σ_max²)). */
  private static double ratio(TreeMap<Double, Double> factors) {
    double product = 1;
    for (double factor : factors.values()) {
      product *= factor;
    }
    return product / Math.sqrt((VARIANCE + MIN * MIN) / (VARIANCE + MAX * MAX));
  }

  /** The consistency functions that distillation converges to, one node's target on the next. */
  @ParameterizedTest
  @CsvSource({
    "2, .010250, 80.0028",
    "11, .752777, 1.174619",
    "18, .846086, 1.055278",
    "40, .929727, 1.009782",
    "151, .981233, 1.000635"
  })
  void distillationReproducesTheTable(int nodes, double euler, double heun) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      var byEuler =
          factors(
              distillation(nodes, ProgressiveDistillation.Solver.EULER, mlp(device, 1)), device);
      var byHeun =
          factors(distillation(nodes, ProgressiveDistillation.Solver.HEUN, mlp(device, 1)), device);
      assertEquals(nodes - 1, byEuler.size());
      // Single precision: each of up to 150 factors is rounded by 6e-8.
      assertEquals(euler, ratio(byEuler), 1e-5 * Math.max(1, euler));
      assertEquals(heun, ratio(byHeun), 1e-5 * Math.max(1, heun));
    }
  }

  /**
   * Training without a teacher: both states share data and noise, so that the best factor is (v + t
   * r)/(v + t²), which is Euler's.
   */
  @ParameterizedTest
  @CsvSource({"11, .752777", "40, .929727", "151, .981233"})
  void trainingReproducesTheTable(int nodes, double euler) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      StepInput in = input(device, 5000);
      ConsistencyLearning.Pair pair = training(nodes, mlp(device, 1)).pair(in);
      float[] clean = in.images().toFloats();
      float[] noise = in.noise(ConsistencyLearning.NOISE).toFloats();
      float[] upper = pair.upper().toFloats();
      float[] lower = pair.lower().toFloats();
      TreeMap<Double, Double> factors = new TreeMap<>();
      for (int i = 0; i < clean.length; i++) {
        double t = pair.t()[i];
        double r = pair.r()[i];
        assertEquals(clean[i] + t * noise[i], upper[i], 1e-6 * (1 + t));
        assertEquals(clean[i] + r * noise[i], lower[i], 1e-6 * (1 + r));
        factors.put(t, (VARIANCE + t * r) / (VARIANCE + t * t));
      }
      assertEquals(nodes - 1, factors.size());
      assertEquals(euler, ratio(factors), 1e-5);
    }
  }

  /** f(x, σ) = s·m(σ)·x for a given m, as the raw answer of a network with the one parameter s. */
  record Scaled(Params params, Preconditioning by, DoubleUnaryOperator map) implements Network {
    static Teacher.Blueprint blueprint(Device device, DoubleUnaryOperator map) {
      return blueprint(
          device, new Preconditioning.Consistency(Preconditioning.Edm.SIGMA_DATA, MIN), map);
    }

    /** Under a preconditioning that tells networks ln(σ)/4. */
    static Teacher.Blueprint blueprint(Device device, Preconditioning by, DoubleUnaryOperator map) {
      return guided ->
          new Scaled(
              Params.builder().add("s", Shape.of(1), Init.ones()).build(device, Rng.of(0)),
              by,
              map);
    }

    @Override
    public Var forward(Var x, Condition condition, Dropout dropout) {
      float[] noise = condition.noise().value().toFloats();
      float[] scaled = new float[noise.length];
      float[] rest = new float[noise.length];
      for (int i = 0; i < noise.length; i++) {
        double sigma = Math.exp(4 * noise[i]);
        double out = by.out(sigma) * by.in(sigma);
        boolean boundary = by instanceof Preconditioning.Consistency && sigma < 1.001 * MIN;
        scaled[i] = boundary ? 0 : (float) (map.applyAsDouble(sigma) / out);
        rest[i] = boundary ? 0 : (float) (-by.skip(sigma) / out);
      }
      Tensor a = Tensor.of(x.value().device(), Shape.of(noise.length), scaled);
      Tensor b = Tensor.of(x.value().device(), Shape.of(noise.length), rest);
      return RowOps.combine(a, x.mul(params.get("s").var()), b, x);
    }

    @Override
    public Var features(Var x, Condition condition, Dropout dropout) {
      throw new UnsupportedOperationException("a map has no features");
    }

    @Override
    public Answer forwardWithFeatures(Var x, Condition condition, Dropout dropout) {
      throw new UnsupportedOperationException("a map has no features");
    }

    @Override
    public void close() {
      params.close();
    }
  }

  /** m at the nodes of a grid, from the factors between them. */
  private static DoubleUnaryOperator map(TreeMap<Double, Double> factors, double wrong) {
    TreeMap<Double, Double> map = new TreeMap<>();
    double product = 1;
    for (Map.Entry<Double, Double> entry : factors.entrySet()) {
      product *= entry.getValue() * wrong;
      map.put(entry.getKey(), product);
    }
    return sigma -> {
      Double above = map.ceilingKey(sigma * .999);
      return map.get(above);
    };
  }

  private static double gradient(ConsistencyLearning method, StepInput in) {
    Params params = method.networks().get("student");
    params.zeroGradients();
    try (Tape tape = Tape.open(params.list())) {
      tape.backward(method.objectives().get(0).loss(tape, in));
    }
    return params.get("s").gradient().toFloats()[0];
  }

  @Test
  void theGradientVanishesAtTheOptimum() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      StepInput in = input(device, 50_000);
      for (ProgressiveDistillation.Solver solver : ProgressiveDistillation.Solver.values()) {
        var factors = factors(distillation(18, solver, mlp(device, 1)), device);
        double[] at = new double[2];
        for (int i = 0; i < 2; i++) {
          Teacher.Blueprint blueprint = Scaled.blueprint(device, map(factors, 1 + .01 * i));
          at[i] = gradient(distillation(18, solver, blueprint), in);
        }
        // Every residual is 0 but for rounding, a few parts in 10⁶ of c_out's inverse.
        assertEquals(0, at[0], 1e-3 * Math.abs(at[1]), solver.name());
      }
      TreeMap<Double, Double> factors = new TreeMap<>();
      double[] grid = ConsistencySchedule.ascending(18, MIN, MAX);
      for (int i = 1; i < 18; i++) {
        double t = grid[i];
        factors.put(t, (VARIANCE + t * grid[i - 1]) / (VARIANCE + t * t));
      }
      double best = gradient(training(18, Scaled.blueprint(device, map(factors, 1))), in);
      double off = gradient(training(18, Scaled.blueprint(device, map(factors, 1.2))), in);
      // Residuals have mean 0 given x; 50,000 of them leave under a percent.
      assertEquals(0, best, .1 * Math.abs(off));
    }
  }

  /** Improved training as published, on one point of data; f(x, σ) = s m(σ) x. */
  private static ImprovedConsistencyTraining improved(Device device, DoubleUnaryOperator map) {
    return new ImprovedConsistencyTraining(
        ImprovedConsistencyTraining.Config.paper(),
        teacher(GAUSSIAN, Scaled.blueprint(device, map)),
        1);
  }

  private static StepInput onePoint(Device device, int count) {
    return new StepInput(0, Rng.of(2), Tensor.zeros(device, Shape.of(count, 3)), null);
  }

  private static double loss(ConsistencyLearning method, StepInput in) {
    try (Tape tape = Tape.open(method.networks().get("student").list())) {
      return method.objectives().get(0).loss(tape, in).value().item();
    }
  }

  /**
   * Where all data are 0, paths are straight and end at f(x, σ) = ε x/σ: improved training is at
   * rest there, and moves a map of another size back.
   */
  @Test
  void improvedTrainingRestsAtTheExactMap() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      StepInput in = onePoint(device, 2000);
      ImprovedConsistencyTraining exact = improved(device, sigma -> MIN / sigma);
      ImprovedConsistencyTraining other = improved(device, sigma -> 1.1 * MIN / sigma);
      ImprovedConsistencyTraining small = improved(device, sigma -> .9 * MIN / sigma);
      double size = loss(other, in);
      assertTrue(size > 0);
      // Rounding of x up to 80 in answers of .002.
      assertEquals(0, loss(exact, in), 1e-3 * size);
      double back = gradient(other, in);
      assertTrue(back > 0 && gradient(small, in) < 0);
      assertEquals(0, gradient(exact, in), .01 * back);
    }
  }

  /**
   * The same with f = √(ε/σ) x: the answers differ by √ε (√t − √r) n, so that the published loss is
   * known, (√(ε (√t − √r)² ‖n‖² + c²) − c)/(t − r) with c = 0.00054 √3, but at r = ε, where f = x.
   */
  @Test
  void improvedTrainingHasThePublishedLoss() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      int count = 500;
      StepInput in = onePoint(device, count);
      ImprovedConsistencyTraining method =
          improved(device, sigma -> Math.sqrt(MIN / Math.max(MIN, sigma)));
      ConsistencyLearning.Pair pair = method.pair(in);
      float[] noise = in.noise(ConsistencyLearning.NOISE).toFloats();
      double c = .00054 * Math.sqrt(3);
      double expected = 0;
      for (int i = 0; i < count; i++) {
        double t = pair.t()[i];
        double r = pair.r()[i];
        double apart = Math.sqrt(MIN) * (Math.sqrt(t) - Math.sqrt(r));
        double square = 0;
        for (int j = 0; j < 3; j++) {
          square += Math.pow(apart * noise[3 * i + j], 2);
        }
        expected += (Math.sqrt(square + c * c) - c) / (t - r) / count;
      }
      assertEquals(expected, loss(method, in), 2e-4 * expected);
    }
  }
}
