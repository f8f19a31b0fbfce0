package dev.limbeck.nn.optim;

import dev.limbeck.kernels.op.AdamStep;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Tensor;
import java.util.Map;

/**
 * Rectified Adam with decoupled weight decay.
 *
 * <p>With ρ∞ = 2/(1 − β₂) − 1 and ρ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ): where ρ > 5, p ← p − lr·r·m̂·√(1 −
 * β₂ᵗ)/(√v + ε) with r² = (ρ−4)(ρ−2)ρ∞/((ρ∞−4)(ρ∞−2)ρ), else p ← p − lr·m̂; PyTorch's threshold and
 * formula.
 *
 * @paper Liu et al. 2020, 1908.03265
 */
public final class RAdam implements Optimizer {
  /** Below this length of the averaging window the variance of the step is not tractable. */
  private static final double THRESHOLD = 5;

  private final Params params;
  private final AdamW.Config config;
  private final Moments moments;

  public RAdam(Params params, AdamW.Config config) {
    this.params = params;
    this.config = config;
    this.moments = new Moments(params);
  }

  @Override
  public Params params() {
    return params;
  }

  public AdamW.Config config() {
    return config;
  }

  @Override
  public long steps() {
    return moments.count;
  }

  @Override
  public void step(float learningRateScale, float gradientScale, Ema average) {
    moments.run(coefficients(learningRateScale, gradientScale, average), null, average);
  }

  @Override
  public void step(float learningRateScale, Tensor gradientScale, Ema average) {
    moments.run(coefficients(learningRateScale, 1f, average), gradientScale, average);
  }

  /** Counts a step. */
  private AdamStep.Coefficients coefficients(
      float learningRateScale, float gradientScale, Ema average) {
    long t = ++moments.count;
    double rate = (double) config.learningRate() * learningRateScale;
    double beta2 = config.beta2();
    double power2 = Math.pow(beta2, t);
    double correction1 = 1 - Math.pow(config.beta1(), t);
    double correction2 = 1 - power2;
    double rhoInf = 2 / (1 - beta2) - 1;
    double rho = rhoInf - 2 * t * power2 / correction2;
    boolean adaptive = rho > THRESHOLD;
    double step = rate / correction1;
    if (adaptive) {
      double r2 = (rho - 4) * (rho - 2) * rhoInf / ((rhoInf - 4) * (rhoInf - 2) * rho);
      step *= Math.sqrt(r2 * correction2);
    }
    return new AdamStep.Coefficients(
        gradientScale,
        config.beta1(),
        config.beta2(),
        (float) (1 - rate * config.weightDecay()),
        (float) step,
        1f,
        config.epsilon(),
        adaptive,
        Ema.nextRate(average));
  }

  @Override
  public Map<String, Tensor> state() {
    return moments.state();
  }

  @Override
  public void restore(Map<String, Tensor> state) {
    moments.restore(state);
  }

  @Override
  public void close() {
    moments.close();
  }
}
