package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.distillation.diffusion.Samplers.Kind;
import dev.limbeck.distillation.diffusion.Samplers.Method;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What every sampler has to keep, in each of its variants, all of them found in the registry: with
 * the exact denoiser of N(0, 0.25) its error is known.
 */
class SamplerContractTest {
  private static final double VARIANCE = 0.25;

  private static final Denoiser EXACT =
      ExactDenoisers.gaussian(new double[] {0}, new double[] {VARIANCE});

  /** The exact flow to σ = 0: what an ideal consistency model answers. */
  private static final Denoiser FLOW_MAP =
      (x, sigma, labels) -> {
        float[] levels = sigma.toFloats();
        double scale = Math.sqrt(VARIANCE / (VARIANCE + levels[0] * levels[0]));
        return x.mul((float) scale);
      };

  private static final double[] TO_ZERO = {80, 20, 6, 2, .7, .2, .05, 0};

  /** Every method by default, and with each choice, order, and share of noise. */
  static List<SamplerSettings> variants() {
    List<SamplerSettings> all = new ArrayList<>();
    for (Method method : Method.values()) {
      SamplerSettings usual = method.settings();
      all.add(usual);
      for (Tuning tuning : method.tunings()) {
        for (double value : values(method.tuned(tuning))) {
          if (value != usual.get(tuning)) {
            all.add(usual.with(tuning, value));
          }
        }
      }
    }
    return all;
  }

  private static double[] values(SamplerSettings.Tuned tuned) {
    return switch (tuned.tuning()) {
      case ETA -> new double[] {0, 0.5, 1};
      // No more than 0.25 of a level in each of 20 steps: below the cap of √2 − 1.
      case S_CHURN -> new double[] {5};
      case GAMMA -> new double[] {0, 1};
      case R -> new double[] {0.7};
      case ORDER, SOLVER, CURVATURE, VARIANT, TIME, VARIANCE -> {
        double[] all = new double[(int) (tuned.most() - tuned.least()) + 1];
        Arrays.setAll(all, i -> tuned.least() + i);
        yield all;
      }
      default -> new double[0];
    };
  }

  static List<SamplerSettings> converging() {
    List<SamplerSettings> some = new ArrayList<>(variants());
    some.removeIf(s -> s.method().order(s) == 0 || isNoisy(s));
    return some;
  }

  /** Those on a grid whose noise is the Brownian path's, if not without noise in the last step. */
  static List<SamplerSettings> onPaths() {
    List<SamplerSettings> some = new ArrayList<>(variants());
    some.removeIf(s -> s.method().order(s) == 0 || !isNoisy(s));
    some.removeIf(s -> s.method() == Method.DOUBLE_STEPS);
    return some;
  }

  static List<SamplerSettings> noisy() {
    List<SamplerSettings> some = new ArrayList<>(variants());
    some.removeIf(s -> s.method().kind() == Kind.FLOW_MAP || !isNoisy(s));
    return some;
  }

  static List<SamplerSettings> flowMaps() {
    List<SamplerSettings> some = new ArrayList<>(variants());
    some.removeIf(s -> s.method().kind() != Kind.FLOW_MAP);
    return some;
  }

  private static boolean isNoisy(SamplerSettings s) {
    boolean tuned = s.get(Tuning.ETA) > 0 || s.get(Tuning.S_CHURN) > 0 || s.get(Tuning.GAMMA) > 0;
    boolean always = s.method() == Method.DOUBLE_STEPS || s.method().solvesOneLevel();
    return tuned || always;
  }

  private static double[] toZero() {
    return TO_ZERO.clone();
  }

  private static double[] notToZero() {
    return Arrays.copyOf(TO_ZERO, TO_ZERO.length - 1);
  }

  /** Counts, and may change the answer to one of its calls. */
  private static final class Watched implements Denoiser {
    private final int changed;
    private int calls;
    private float[] last;

    Watched(int changed) {
      this.changed = changed;
    }

    @Override
    public Tensor denoise(Tensor x, Tensor sigma, Tensor labels) {
      calls++;
      Tensor clean = EXACT.denoise(x, sigma, labels);
      Tensor answer = calls == changed ? clean.add(1f) : clean;
      last = answer.toFloats();
      return answer;
    }
  }

  private static float[] draw(Sampler sampler, Denoiser denoiser, int from, int rows) {
    try (Scope scope = Scope.open()) {
      Tensor noise = Rng.of(3).normalRows(Device.cpu(), Shape.of(rows, 1), from);
      return sampler.sample(denoiser, noise, null, Rng.of(4), from).toFloats();
    }
  }

  @ParameterizedTest
  @MethodSource("variants")
  void evaluationsAreCounted(SamplerSettings settings) {
    for (double[] sigmas : new double[][] {toZero(), notToZero()}) {
      Sampler sampler = Samplers.of(settings, sigmas);
      if (!sampler.isRecordable()) {
        assertEquals(0, sampler.evaluations());
      }
      Watched watched = new Watched(-1);
      draw(sampler, watched, 0, 3);
      assertEquals(watched.calls, sampler.evaluations());
      assertTrue(watched.calls >= sigmas.length - 1, watched.calls + " evaluations");
    }
  }

  @ParameterizedTest
  @MethodSource("variants")
  void theTextIsReadBack(SamplerSettings settings) {
    Sampler sampler = Samplers.of(settings, toZero());
    Sampler read = Samplers.parse(sampler.text());
    assertEquals(sampler.text(), read.text());
    assertEquals(settings, Samplers.settings(read));
    assertArrayEquals(draw(sampler, EXACT, 0, 3), draw(read, EXACT, 0, 3));
  }

  /** Samples 5 and 6 are the same in any batch, bit for bit, and different from each other. */
  @ParameterizedTest
  @MethodSource("variants")
  void samplesDoNotDependOnTheirBatch(SamplerSettings settings) {
    Sampler sampler = Samplers.of(settings, toZero());
    float[] all = draw(sampler, EXACT, 0, 8);
    float[] two = draw(sampler, EXACT, 5, 2);
    assertArrayEquals(Arrays.copyOfRange(all, 5, 7), two);
    assertFalse(two[0] == two[1]);
    assertArrayEquals(all, draw(sampler, EXACT, 0, 8));
  }

  @ParameterizedTest
  @MethodSource("variants")
  void onlyNoisySamplersUseTheStream(SamplerSettings settings) {
    Sampler sampler = Samplers.of(settings, toZero());
    try (Scope scope = Scope.open()) {
      Tensor noise = Rng.of(3).normal(Device.cpu(), Shape.of(4, 1));
      float[] first = sampler.sample(EXACT, noise, null, Rng.of(4)).toFloats();
      float[] second = sampler.sample(EXACT, noise, null, Rng.of(5)).toFloats();
      assertEquals(isNoisy(settings), !Arrays.equals(first, second));
    }
  }

  @ParameterizedTest
  @MethodSource("variants")
  void nothingButTheResultIsLeftInMemory(SamplerSettings settings) {
    for (double[] sigmas : new double[][] {toZero(), notToZero()}) {
      Sampler sampler = Samplers.of(settings, sigmas);
      Tensor noise = Tensor.of(Device.cpu(), Shape.of(2, 1), 1f, -.5f);
      long before = Device.cpu().memory().liveBuffers();
      Denoiser tidy =
          (x, sigma, labels) -> {
            try (Scope scope = Scope.open()) {
              return scope.keep(EXACT.denoise(x, sigma, labels));
            }
          };
      Tensor made = sampler.sample(tidy, noise, null, Rng.of(4));
      assertEquals(before + 1, Device.cpu().memory().liveBuffers());
      assertArrayEquals(new float[] {1f, -.5f}, noise.toFloats());
      made.close();
      noise.close();
    }
  }

  /** The last evaluation is of use; where the grid ends in 0 its answer is the sample itself. */
  @ParameterizedTest
  @MethodSource("variants")
  void noStepIsDead(SamplerSettings settings) {
    for (double[] sigmas : new double[][] {toZero(), notToZero()}) {
      Sampler sampler = Samplers.of(settings, sigmas);
      Watched plain = new Watched(-1);
      float[] expected = draw(sampler, plain, 0, 1);
      if (!sampler.isRecordable() && sigmas[sigmas.length - 1] > 0) {
        continue; // another answer in a trial is a larger error: the trial is made once more
      }
      Watched changed = new Watched(plain.calls);
      assertFalse(Arrays.equals(expected, draw(sampler, changed, 0, 1)));
      // A linear multistep method extrapolates to the end, of order 1 it does not.
      boolean extrapolates = settings.method() == Method.LMS && settings.get(Tuning.ORDER) > 1;
      if (sigmas[sigmas.length - 1] == 0 && !extrapolates) {
        assertArrayEquals(plain.last, expected);
      }
    }
  }

  /** √(1 + σ²) n is the variance-preserving process's N(0, I). */
  @ParameterizedTest
  @EnumSource(Method.class)
  void theStartIsThatOfTheProcess(Method method) {
    float[] starts = new float[2];
    for (int k = 0; k < 2; k++) {
      SamplerSettings settings = method.settings().with(Tuning.START, k);
      int at = k;
      Denoiser asked =
          (x, sigma, labels) -> {
            starts[at] = starts[at] == 0 ? x.toFloats()[0] : starts[at];
            return EXACT.denoise(x, sigma, labels);
          };
      draw(Samplers.of(settings, .75, .5, .25, .1), asked, 0, 1);
    }
    // √(1 + 0.75²) = 1.25.
    assertEquals(1.25 / .75, starts[1] / starts[0], 1e-5);
  }

  /** Levels from 80, where low orders in the first steps do no harm: D is next to nothing. */
  private static double[] grid(int n) {
    return NoiseLevels.karras(n + 1, .1, 80, 7);
  }

  private static double error(SamplerSettings settings, double[] sigmas) {
    double last = sigmas[sigmas.length - 1];
    double exact =
        Math.sqrt((VARIANCE + last * last) / (VARIANCE + sigmas[0] * sigmas[0])) * sigmas[0];
    try (Scope scope = Scope.open()) {
      Tensor one = Tensor.of(Device.cpu(), Shape.of(1, 1), 1f);
      float made = Samplers.of(settings, sigmas).sample(EXACT, one, null, Rng.of(1)).item();
      return Math.abs(made / exact - 1);
    }
  }

  /**
   * The slope of log error against log steps on the exact flow, between 38 and 110 steps (which
   * DPM-Solver-fast makes of orders 3 and 2 alone); floats leave errors above 1e-5 exact to a
   * percent.
   */
  @ParameterizedTest
  @MethodSource("converging")
  void theErrorFallsWithTheOrder(SamplerSettings settings) {
    int order = settings.method().order(settings);
    int few = 38;
    int many = 110;
    double slope =
        Math.log(error(settings, grid(few)) / error(settings, grid(many)))
            / Math.log((double) many / few);
    // Some have one more order on this problem; none may have less than it claims, though linear
    // multistep methods of order 4 start up slowly.
    assertTrue(slope > order - .3 && slope < order + 1.4, settings + " has slope " + slope);
  }

  /** The same seed on ever finer grids: to the path's own solution, with order 1. */
  @ParameterizedTest
  @MethodSource("onPaths")
  void theSameSeedConvergesToOnePicture(SamplerSettings settings) {
    int n = 200;
    int[] steps = {20, 80, 640};
    float[][] made = new float[3][];
    for (int k = 0; k < 3; k++) {
      Sampler sampler = Samplers.of(settings, NoiseLevels.karras(steps[k] + 1, .1, 10, 7));
      made[k] = draw(sampler, EXACT, 0, n);
    }
    double coarse = distance(made[0], made[2]);
    double fine = distance(made[1], made[2]);
    double slope = Math.log(coarse / fine) / Math.log(4);
    assertTrue(slope > .8, settings + " has strong order " + slope);
    // The deviation of samples is 0.5; another picture would be 0.7 away.
    assertTrue(fine < .06, settings + " is " + fine + " from the limit");
  }

  private static double distance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += Math.pow(a[i] - b[i], 2);
    }
    return Math.sqrt(sum / a.length);
  }

  /** With many steps every sampler of denoisers that adds noise has the data's deviation. */
  @ParameterizedTest
  @MethodSource("noisy")
  void theMarginalIsKept(SamplerSettings settings) {
    int n = 4000;
    SamplerSettings tight = settings;
    if (settings.method() == Method.DPM_ADAPTIVE) {
      tight = settings.with(Tuning.RTOL, .002).with(Tuning.ATOL, .0005);
    }
    double[] sigmas = NoiseLevels.toZero(NoiseLevels.karras(80, .02, 20, 7));
    float[] made = draw(Samplers.of(tight, sigmas), EXACT, 0, n);
    double square = 0;
    for (float x : made) {
      square += (double) x * x;
    }
    // A deviation is known to 1/√(2n) = 1.1 %, four of which are 4.5 %; methods of order 1 are
    // 3.5 % off with these steps.
    assertEquals(1, Math.sqrt(square / n / VARIANCE), .08, settings.text());
  }

  /**
   * Two of the three that map to data are exact in one step and in three; a trajectory step with 0
   * &lt; γ &lt; 1 interpolates, and its variance follows a recursion.
   */
  @ParameterizedTest
  @MethodSource("flowMaps")
  void flowMapsKeepTheMarginalWithFewSteps(SamplerSettings settings) {
    int n = 20_000;
    double gamma = settings.get(Tuning.GAMMA);
    boolean trajectory = settings.method() == Method.TCD;
    double[] sigmas = trajectory ? new double[] {80, 3, .5, 0} : new double[] {80, 3, .5};
    float[] made = draw(Samplers.of(settings, sigmas), FLOW_MAP, 0, n);
    double expected = VARIANCE;
    if (trajectory) {
      expected = sigmas[0] * sigmas[0];
      TimeScale scale = TimeScale.of(settings);
      for (int i = 0; i < 3; i++) {
        double from = sigmas[i];
        double low = scale.sigma((1 - gamma) * scale.time(sigmas[i + 1]));
        double r = low / from;
        double map = Math.sqrt(VARIANCE / (VARIANCE + from * from));
        expected *= Math.pow(r + (1 - r) * map, 2);
        expected += sigmas[i + 1] * sigmas[i + 1] - low * low;
      }
    } else if (settings.method() == Method.CONSISTENCY) {
      // The noise lacks ε², 0.002² of 0.5².
      expected = VARIANCE;
    }
    double square = 0;
    for (float x : made) {
      square += (double) x * x;
    }
    // Four deviations of 1/√(2n) = 0.5 %.
    assertEquals(1, Math.sqrt(square / n / expected), .02);
  }
}
