package dev.limbeck.distillation.diffusion;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.distillation.diffusion.Samplers.Method;
import dev.limbeck.distillation.diffusion.Samplers.Sampler;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Steps of the solver's own choice on the exact flow of N(0, 0.25), whose error is known. */
class AdaptiveDpmSolverTest {
  private static final double VARIANCE = .25;

  private static final Denoiser EXACT =
      ExactDenoisers.gaussian(new double[] {0}, new double[] {VARIANCE});

  /** The relative error at the last of two levels. */
  private static double error(Sampler sampler, double first, double last) {
    double exact = first * Math.sqrt((VARIANCE + last * last) / (VARIANCE + first * first));
    try (Scope scope = Scope.open()) {
      Tensor one = Tensor.of(Device.cpu(), Shape.of(1, 1), 1f);
      return Math.abs(sampler.sample(EXACT, one, null, Rng.of(1)).item() / exact - 1);
    }
  }

  /**
   * A control without coefficients keeps the first step's size h and takes every step: over ln 25 =
   * 3.22 of λ in 3.22/h steps, with an error that falls like h to the order.
   */
  @ParameterizedTest
  @CsvSource({"2, .4, .1", "3, .8, .2"})
  void stepsOfOneSizeHaveTheOrder(int order, double coarse, double fine) {
    double[] errors = new double[2];
    for (int k = 0; k < 2; k++) {
      double h = k == 0 ? coarse : fine;
      SamplerSettings settings =
          Method.DPM_ADAPTIVE
              .settings()
              .with(Tuning.ORDER, order)
              .with(Tuning.ICOEFF, 0)
              .with(Tuning.H_INIT, h);
      Sampler sampler = Samplers.of(settings, 5, .2);
      errors[k] = error(sampler, 5, .2);
      assertEquals(order * Math.ceil(Math.log(25) / h), sampler.evaluations());
    }
    double slope = Math.log(errors[0] / errors[1]) / Math.log(coarse / fine);
    assertEquals(order, slope, .3);
  }

  /**
   * The control holds what two orders differ by in a step, h^p, to the tolerance; the steps' errors
   * of h^(p+1) sum up to h^p over all of them: the error falls like the tolerance itself.
   */
  @ParameterizedTest
  @ValueSource(ints = {2, 3})
  void theErrorFallsLikeTheTolerance(int order) {
    double[] errors = new double[2];
    double[] tolerances = {1e-2, 1e-5};
    for (int k = 0; k < 2; k++) {
      SamplerSettings settings =
          Method.DPM_ADAPTIVE
              .settings()
              .with(Tuning.ORDER, order)
              .with(Tuning.RTOL, tolerances[k])
              .with(Tuning.ATOL, tolerances[k] / 10);
      errors[k] = error(Samplers.of(settings, 10, .1), 10, .1);
    }
    double slope = Math.log(errors[0] / errors[1]) / Math.log(tolerances[0] / tolerances[1]);
    assertEquals(1, slope, .2);
  }
}
