package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.distillation.ConsistencyLearning.Weighting;
import dev.limbeck.distillation.LatentConsistency.Boundary;
import dev.limbeck.distillation.LatentConsistency.Config;
import dev.limbeck.distillation.ProgressiveDistillation.Solver;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.distillation.diffusion.NetworkDenoiser;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Samplers;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Latent consistency against exact guided trajectories. */
class LatentConsistencyTest {
  private static final int SAMPLES = 500;
  private static final ConsistencyMetric SQUARES = new ConsistencyMetric.SquaredL2();
  private static final ConsistencyMetric HUBER = new ConsistencyMetric.Huber(.001);

  private static Config config(
      int stride, long iterations, Boundary boundary, ConsistencyMetric metric) {
    return config(stride, iterations, boundary, metric, Weighting.UNIFORM);
  }

  private static Config config(
      int stride,
      long iterations,
      Boundary boundary,
      ConsistencyMetric metric,
      Weighting weighting) {
    return new Config(
        Config.cosineTable(.5),
        stride,
        new GuidanceWeights(0, 4),
        Solver.EULER,
        boundary,
        metric,
        weighting,
        0.95,
        iterations,
        2e-3,
        20,
        0.3,
        1,
        4);
  }

  /** The nodes that the released scheduler takes from 50 of 1000 times. */
  @Test
  void inferenceNodes() {
    Config paper = Config.paper();
    assertEquals(50, paper.nodes());
    assertArrayEquals(new int[] {999}, paper.times(1));
    assertArrayEquals(new int[] {999, 499}, paper.times(2));
    assertArrayEquals(new int[] {999, 759, 499, 259}, paper.times(4));
    assertArrayEquals(new int[] {999, 879, 759, 639, 499, 379, 259, 139}, paper.times(8));
    // ᾱ of the first and the last time of Stable Diffusion's table.
    double first = 1 / (1 + Math.pow(paper.table()[0], 2));
    double last = 1 / (1 + Math.pow(paper.table()[999], 2));
    assertEquals(1 - .00085, first, 1e-9);
    assertEquals(.00466, last, 1e-5);
  }

  @ParameterizedTest
  @CsvSource({"3", "7", "1000", "0"})
  void stridesDivideTheTimes(int stride) {
    assertThrows(
        IllegalArgumentException.class, () -> config(stride, 1, Boundary.EFFECTIVE, SQUARES));
  }

  /** Both formulas are next to a step function; the printed one answers in units of σ_d. */
  @Test
  void boundaries() {
    assertEquals(6.925e-6, Boundary.RELEASED.skip(19), 1e-9);
    assertEquals(.9999965, Boundary.RELEASED.out(19), 1e-7);
    for (Boundary boundary : Boundary.values()) {
      assertEquals(1, boundary.skip(0), boundary.name());
      assertEquals(0, boundary.out(0), boundary.name());
      assertEquals(boundary.factor(), boundary.out(19), 4e-6, boundary.name());
    }
    assertEquals(.5, Boundary.PRINTED.factor());
  }

  /** At t' = 0 the target is z itself, whatever the network says; under each of the rules. */
  @ParameterizedTest
  @EnumSource(Boundary.class)
  void theTargetAtTheBoundaryIsTheState(Boundary boundary) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Teacher teacher = GuidedDistillationTest.teacher(device, new Preconditioning.Edm());
      Config config = config(20, 10, boundary, SQUARES);
      LatentConsistency method = new LatentConsistency(config, teacher, 100);
      StepInput in = new GuidedDistillationTest.Points(device, 100).at(3);
      double[] weights = new double[100];
      Arrays.fill(weights, 1.5);
      Tensor w = Samplers.level(in.images(), 1.5);
      int[] lowest = new int[100];
      Arrays.fill(lowest, config.nodes() - 1);
      double high = config.table()[19];
      double low = config.table()[0];
      NoisyInputs.Noisy noisy = NoisyInputs.FORWARD.at(in, config.grid(), lowest, weights);
      float[] wanted = method.wanted(noisy, lowest, in).toFloats();
      Tensor guided =
          GuidanceWeights.guided(GuidedDistillationTest.EXACT, w)
              .denoise(noisy.x(), Samplers.level(noisy.x(), high), noisy.labels());
      float[] x = noisy.x().toFloats();
      float[] clean = guided.toFloats();
      for (int i = 0; i < x.length; i++) {
        double state = low / high * x[i] + (1 - low / high) * clean[i];
        assertEquals(state / Math.sqrt(1 + low * low), wanted[i], 2e-6);
      }
    }
  }

  /** λ of the upper node's level and the lower's, on a batch of one sample. */
  @ParameterizedTest
  @EnumSource(Weighting.class)
  void theLossCarriesTheWeightOfItsNode(Weighting weighting) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      for (int step = 0; step < 5; step++) {
        StepInput in = new GuidedDistillationTest.Points(device, 1).at(step);
        Config config = config(20, 10, Boundary.EFFECTIVE, HUBER, weighting);
        int time = config.time(in.integers("node", config.nodes())[0]);
        double[] table = config.table();
        double weight = weighting.of(table[time], table[Math.max(time - 20, 0)]);
        double plain = loss(device, config(20, 10, Boundary.EFFECTIVE, HUBER), in);
        // The loss is a mean of two numbers in F32.
        assertEquals(weight, loss(device, config, in) / plain, 1e-5 * weight, "step " + step);
      }
    }
  }

  private static double loss(CpuDevice device, Config config, StepInput in) {
    LatentConsistency method =
        new LatentConsistency(
            config, GuidedDistillationTest.teacher(device, new Preconditioning.Edm()), 1);
    try (Tape tape = Tape.open(method.networks().get("student").list())) {
      return method.objectives().get(0).loss(tape, in).value().item();
    }
  }

  /**
   * What a perfect student answers at the noisiest node: with a student that answers its input, the
   * method's own target is the state that its teacher's step leads to, from each node to the next
   * and down to z at t = 0.
   */
  private static float[] perfect(CpuDevice device, int stride, double w) {
    Config config = config(stride, 1, Boundary.EFFECTIVE, SQUARES);
    Preconditioning edm = new Preconditioning.Edm();
    Teacher teacher =
        new Teacher(
            GuidedDistillationTest.EXACT,
            null,
            ConsistencyMapsTest.Scaled.blueprint(device, edm, sigma -> 1),
            edm,
            Shape.of(2),
            2);
    LatentConsistency method = new LatentConsistency(config, teacher, SAMPLES);
    double[] weights = new double[SAMPLES];
    Arrays.fill(weights, w);
    float[] x = start(device, config).toFloats();
    for (int step = 0; step < config.nodes(); step++) {
      int[] node = new int[SAMPLES];
      Arrays.fill(node, step);
      try (Scope scope = Scope.open()) {
        Tensor state = Tensor.of(device, Shape.of(SAMPLES, 2), x);
        StepInput in = new StepInput(0, Rng.of(1), state, labels(device));
        NoisyInputs.Noisy noisy = new NoisyInputs.Noisy(state, in.labels(), weights);
        x = method.wanted(noisy, node, in).toFloats();
      }
    }
    return x;
  }

  /** Noise of the highest node. */
  private static Tensor start(CpuDevice device, Config config) {
    Tensor noise = Rng.of(8).normal(device, Shape.of(SAMPLES, 2));
    return noise.mul((float) config.grid()[0]);
  }

  /** Where the guided flow leads from there: Heun's steps over all thousand times. */
  private static float[] flow(CpuDevice device, double w) {
    Config config = config(1, 1, Boundary.EFFECTIVE, SQUARES);
    try (Scope scope = Scope.open()) {
      Tensor x = start(device, config);
      Denoiser guided = GuidanceWeights.guided(GuidedDistillationTest.EXACT, Samplers.level(x, w));
      return Samplers.heun(guided, x, config.grid(), labels(device), Samplers.Churn.none(), null)
          .toFloats();
    }
  }

  private static Tensor labels(CpuDevice device) {
    return new GuidedDistillationTest.Points(device, SAMPLES).at(0).labels();
  }

  private static double distance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (a[i] - b[i]) * (double) (a[i] - b[i]);
    }
    return Math.sqrt(sum / a.length);
  }

  /** The error of the map that the method's targets define, to the flow's, is O(k). */
  @ParameterizedTest
  @CsvSource({"0", "1", "3"})
  void theErrorOfTheMapIsProportionalToTheStride(double w) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      float[] exact = flow(device, w);
      double at10 = distance(perfect(device, 10, w), exact);
      double at20 = distance(perfect(device, 20, w), exact);
      double at50 = distance(perfect(device, 50, w), exact);
      assertEquals(1, Math.log(at20 / at10) / Math.log(2), .05, "10 to 20");
      assertEquals(1, Math.log(at50 / at20) / Math.log(2.5), .05, "20 to 50");
    }
  }

  private static LatentConsistency trained(
      CpuDevice device, int stride, long iterations, ConsistencyMetric metric) {
    LatentConsistency method =
        new LatentConsistency(
            config(stride, iterations, Boundary.EFFECTIVE, metric),
            GuidedDistillationTest.teacher(device, new Preconditioning.Edm()),
            128);
    GuidedDistillationTest.train(method, device);
    return method;
  }

  /** One step of the student from the same noise as all nodes of the guided teacher. */
  private static double error(CpuDevice device, LatentConsistency method, int stride, double w) {
    try (Scope scope = Scope.open()) {
      Tensor noise = Rng.of(8).normal(device, Shape.of(SAMPLES, 2));
      NetworkDenoiser student = method.student();
      Denoiser told = student.weighted(Samplers.level(noise, w));
      double top = NoiseLevels.SIGMA_MAX;
      Tensor made =
          told.denoise(noise.mul((float) top), Samplers.level(noise, top), labels(device));
      return distance(made.toFloats(), perfect(device, stride, w));
    }
  }

  static List<ConsistencyMetric> metrics() {
    return List.of(SQUARES, HUBER);
  }

  /** One network is told w, and follows each weight's own trajectory. */
  @ParameterizedTest
  @MethodSource("metrics")
  void oneStepFollowsTheTrajectoryOfEachWeight(ConsistencyMetric metric) {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      LatentConsistency method = trained(device, 50, 3000, metric);
      // Trajectories of weights 0 and 4 end this far from one another.
      double apart = distance(perfect(device, 50, 0), perfect(device, 50, 4));
      for (double w : new double[] {0, .5, 1, 2, 4}) {
        double error = error(device, method, 50, w);
        assertTrue(error < apart / 5, metric + ", w " + w + ": " + error + " of " + apart);
      }
    }
  }

  /** The paper's reason for skipping: with k = 1 as many iterations leave the map far behind. */
  @Test
  void strideMakesTrainingConverge() {
    try (CpuDevice device = CpuDevice.open(true, 1)) {
      double one = error(device, trained(device, 1, 1000, HUBER), 1, 1);
      double twenty = error(device, trained(device, 20, 1000, HUBER), 1, 1);
      // A twentieth, of which another order of sums may leave a fifteenth.
      assertTrue(twenty < one / 15, one + " and " + twenty);
    }
  }
}
