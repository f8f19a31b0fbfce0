package dev.limbeck.nn.optim;

import dev.limbeck.kernels.op.AdamStep;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Tensor;
import java.util.Map;

/**
 * Adam with decoupled weight decay.
 *
 * <p>p ← (1 − lr·decay)·p − lr·m̂/(√v̂ + ε), with m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ); PyTorch's
 * formula.
 *
 * @paper Loshchilov and Hutter 2019, 1711.05101
 */
public final class AdamW implements Optimizer {
  private final Params params;
  private final Config config;
  private final Moments moments;

  /**
   * The constants of Adam and of its relatives.
   *
   * @param learningRate lr
   * @param beta1 β₁
   * @param beta2 β₂
   * @param epsilon ε
   * @param weightDecay decoupled: values shrink by lr·weightDecay per step
   */
  public record Config(
      float learningRate, float beta1, float beta2, float epsilon, float weightDecay) {

    /** β = (0.9, 0.999), ε = 1e-8, no weight decay. */
    public static Config of(float learningRate) {
      return new Config(learningRate, 0.9f, 0.999f, 1e-8f, 0f);
    }

    public Config withBetas(float newBeta1, float newBeta2) {
      return new Config(learningRate, newBeta1, newBeta2, epsilon, weightDecay);
    }

    public Config withWeightDecay(float newWeightDecay) {
      return new Config(learningRate, beta1, beta2, epsilon, newWeightDecay);
    }
  }

  public AdamW(Params params, Config config) {
    this.params = params;
    this.config = config;
    this.moments = new Moments(params);
  }

  @Override
  public Params params() {
    return params;
  }

  public Config config() {
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
    double rate = (double) config.learningRate * learningRateScale;
    double correction1 = 1 - Math.pow(config.beta1, t);
    double correction2 = 1 - Math.pow(config.beta2, t);
    return new AdamStep.Coefficients(
        gradientScale,
        config.beta1,
        config.beta2,
        (float) (1 - rate * config.weightDecay),
        (float) (rate / correction1),
        (float) (1 / Math.sqrt(correction2)),
        config.epsilon,
        true,
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
