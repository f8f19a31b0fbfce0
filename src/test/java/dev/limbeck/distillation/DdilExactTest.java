package dev.limbeck.distillation;

import static dev.limbeck.distillation.DdilTest.BATCH;
import static dev.limbeck.distillation.DdilTest.EXACT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.Ddil.Source;
import dev.limbeck.distillation.diffusion.NoiseLevels;
import dev.limbeck.distillation.diffusion.Preconditioning;
import dev.limbeck.distillation.diffusion.Thresholding.Rule;
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
import java.util.Arrays;
import java.util.List;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Imitation around each base on data of N(0, 0.25), whose probability flow is linear: with a
 * student that follows it exactly there is no covariate shift, whichever source inputs come from,
 * and nothing to learn.
 */
class DdilExactTest {
  private static final double VARIANCE = .25;

  /** A denoiser D = k(σ) x, as a network under a preconditioning whose noise input is ln(σ)/4. */
  private static final class Linear implements Network {
    private final Preconditioning around;
    private final DoubleUnaryOperator factor;
    private final boolean guided;
    private final Params params;

    Linear(CpuDevice device, Preconditioning around, DoubleUnaryOperator factor, boolean guided) {
      this.around = around;
      this.factor = factor;
      this.guided = guided;
      this.params =
          Params.builder().add("offset", Shape.of(2), Init.zeros()).build(device, Rng.of(0));
    }

    @Override
    public Var forward(Var x, Condition condition, Dropout dropout) {
      float[] noise = condition.noise().value().toFloats();
      float[] scale = new float[noise.length];
      for (int i = 0; i < scale.length; i++) {
        double sigma = Math.exp(4 * noise[i]);
        double out = around.out(sigma) * around.in(sigma);
        // At a boundary the network is not asked.
        double wanted = factor.applyAsDouble(sigma) - around.skip(sigma);
        scale[i] = Math.abs(out) < 1e-6 ? 0 : (float) (wanted / out);
      }
      Tensor rows = Tensor.constant(x.value().device(), Shape.of(scale.length), scale);
      return RowOps.scale(rows, x).add(params.get("offset").var());
    }

    @Override
    public Var features(Var x, Condition condition, Dropout dropout) {
      return forward(x, condition, dropout);
    }

    @Override
    public Answer forwardWithFeatures(Var x, Condition condition, Dropout dropout) {
      Var answer = forward(x, condition, dropout);
      return new Answer(answer, answer);
    }

    @Override
    public boolean takesGuidance() {
      return guided;
    }

    @Override
    public Params params() {
      return params;
    }

    @Override
    public void close() {
      params.close();
    }
  }

  /** By how much the flow from σ to another level stretches. */
  private static double flow(double from, double to) {
    return Math.sqrt((VARIANCE + to * to) / (VARIANCE + from * from));
  }

  /** E[x₀ | x]/x: what the teacher says. */
  private static double mean(double sigma) {
    return VARIANCE / (VARIANCE + sigma * sigma);
  }

  /** The D of a student who goes from node to node by an Euler step each, with the flow. */
  private static double step(double[] grid, double sigma) {
    int node = 0;
    while (Math.abs(Math.log(grid[node] / sigma)) > 1e-3) {
      node++;
    }
    double ratio = grid[node + 1] / grid[node];
    return (flow(grid[node], grid[node + 1]) - ratio) / (1 - ratio);
  }

  /** The network that is a base's exact student; dmd2's critic is the exact denoiser. */
  private static DoubleUnaryOperator student(String base, double[] grid) {
    return switch (base) {
      case "pd" -> sigma -> step(grid, sigma);
      case "cd" -> sigma -> flow(sigma, grid[grid.length - 1]);
      case "lcm" -> sigma -> flow(sigma, LatentConsistency.Config.of(PRESET).table()[0]);
      default -> sigma -> flow(sigma, 0);
    };
  }

  private static final Preset PRESET = Preset.points().withSampleSteps(4).withBatch(BATCH);

  /** Fresh data. */
  private record Normal(CpuDevice device) implements Batches {
    @Override
    public int size() {
      return BATCH;
    }

    @Override
    public Rng random(long step) {
      return Rng.of(11).split(step);
    }

    @Override
    public StepInput at(long step) {
      Tensor x = Rng.of(12).split(step).normal(device, Shape.of(BATCH, 2));
      return new StepInput(step, random(step), x.mul((float) Math.sqrt(VARIANCE)), null);
    }
  }

  /** Of one source; chains are run before the first step alone. */
  private static Ddil ddil(
      String base,
      CpuDevice device,
      Source source,
      DoubleUnaryOperator student,
      DoubleUnaryOperator critic) {
    Ddil.Config only =
        new Ddil.Config(
            source == Source.FORWARD ? 1 : 0,
            0,
            source == Source.STUDENT ? 1 : 0,
            0,
            0,
            8,
            400,
            Rule.NONE,
            Rule.NONE);
    Preconditioning edm = new Preconditioning.Edm();
    Preconditioning consistency =
        new Preconditioning.Consistency(Preconditioning.Edm.SIGMA_DATA, NoiseLevels.SIGMA_MIN);
    Preconditioning own = base.equals("cd") ? consistency : edm;
    Teacher teacher =
        new Teacher(
            EXACT,
            null,
            guided -> {
              boolean told = guided && base.equals("dmd2");
              return new Linear(device, own, told ? critic : student, guided);
            },
            edm,
            Shape.of(2),
            0);
    return (Ddil) Methods.of("ddil+" + base).create(PRESET.with(only), teacher);
  }

  private static double[] grid(String base, CpuDevice device) {
    return ddil(base, device, Source.FORWARD, sigma -> 0, sigma -> 0).base().grid(0);
  }

  /** The mean loss of an objective over some steps, without training. */
  private static double loss(Ddil ddil, int number, Batches data) {
    double sum = 0;
    Objective objective = ddil.objectives().get(number);
    for (int step = 0; step < 8; step++) {
      ddil.begin(step);
      try (Scope scope = Scope.open();
          Tape tape = Tape.open(List.of())) {
        sum += objective.loss(tape, data.at(step)).value().toFloats()[0] / 8;
      }
    }
    return sum;
  }

  /**
   * The error of Heun's steps is left, which is far less than that of a student who is wrong by a
   * tenth; of dmd2 rounding, and the critic is what is wrong.
   */
  @ParameterizedTest
  @ValueSource(strings = {"pd", "cd", "lcm", "dmd2"})
  void anExactStudentHasNothingToLearn(String base) {
    try (CpuDevice device = CpuDevice.open(true, 2)) {
      DoubleUnaryOperator exact = student(base, grid(base, device));
      DoubleUnaryOperator wrong = sigma -> exact.applyAsDouble(sigma) * 1.1;
      DoubleUnaryOperator critic = DdilExactTest::mean;
      DoubleUnaryOperator wrongCritic = sigma -> mean(sigma) * 1.1;
      for (Source source : Source.values()) {
        double right = loss(ddil(base, device, source, exact, critic), 0, new Normal(device));
        double other = loss(ddil(base, device, source, wrong, wrongCritic), 0, new Normal(device));
        assertTrue(right < .03 * other, base + " of " + source + ": " + right + ", " + other);
      }
    }
  }

  /**
   * What an exact generator makes has the data's law, of which the exact denoiser's error has the
   * variance that the critic's weight divides by.
   */
  @Test
  void anExactGeneratorsSamplesAreTheData() {
    try (CpuDevice device = CpuDevice.open(true, 2)) {
      DoubleUnaryOperator exact = student("dmd2", null);
      for (Source source : Source.values()) {
        Ddil ddil = ddil("dmd2", device, source, exact, DdilExactTest::mean);
        // 4,096 squares.
        assertEquals(1, loss(ddil, 1, new Normal(device)), .1, source + "");
      }
    }
  }

  /** At each node inputs are normal with variance 0.25 + σ², whatever their source. */
  @ParameterizedTest
  @ValueSource(strings = {"pd", "cd", "lcm", "dmd2"})
  void anExactStudentsInputsHaveOneLaw(String base) {
    try (CpuDevice device = CpuDevice.open(true, 2)) {
      double[] grid = grid(base, device);
      DoubleUnaryOperator exact = student(base, grid);
      for (Source source : Source.values()) {
        Ddil ddil = ddil(base, device, source, exact, DdilExactTest::mean);
        ddil.begin(0);
        NoisyInputs inputs = ddil.inputs();
        for (int node = 0; node + 1 < grid.length; node++) {
          double square = 0;
          double fourth = 0;
          int n = 0;
          for (int step = 0; step < 4; step++) {
            try (Scope scope = Scope.open()) {
              int[] nodes = new int[BATCH];
              Arrays.fill(nodes, node);
              StepInput in = new Normal(device).at(step);
              for (float x : inputs.at(in, grid, nodes, new double[BATCH]).x().toFloats()) {
                double u = x / Math.sqrt(VARIANCE + grid[node] * grid[node]);
                square += u * u;
                fourth += u * u * u * u;
                n++;
              }
            }
          }
          String what = base + " of " + source + " at " + grid[node];
          // Of 2,048 numbers from 4,096: deviations of 0.04 and 0.3.
          assertEquals(1, square / n, .15, what);
          assertEquals(3, fourth / n, 1, what);
        }
      }
    }
  }
}
