package dev.limbeck.distillation;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Device;
import dev.limbeck.nn.Initializer;
import dev.limbeck.nn.Linear;
import dev.limbeck.nn.Params;
import dev.limbeck.nn.TimeEmbedding;
import dev.limbeck.nn.UNetConfig.TimeFeatures;
import dev.limbeck.nn.Weights;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Tensor;

/**
 * A learned logarithm u(σ) of the size of an error at each noise level: E e^(−u) e + u, whose
 * minimum over u is u = ln E e, gives the errors of all levels the same weight.
 *
 * <p>u is a linear function of sines and cosines of ln(σ)/4, and 0 before training. Its gradient
 * and the error's do not mix: both are weighted sums of one loss.
 *
 * @paper Karras et al. 2024, arXiv 2312.02696, section 2.3; Lu and Song 2024, arXiv 2410.11081,
 *     section 4.2 (whose w is −u)
 */
final class LevelUncertainty {
  /** Enough to follow a smooth function over some ten units of ln σ. */
  private static final int FEATURES = 16;

  /** In units of ln(σ)/4, which spans about three over all levels that images are trained at. */
  private static final float BANDWIDTH = 0.3f;

  private final TimeEmbedding features;
  private final Linear linear;
  private final Params params;

  LevelUncertainty(Device device) {
    Weights weights = new Weights();
    features = new TimeEmbedding(device, TimeFeatures.fourier(BANDWIDTH), FEATURES);
    linear = new Linear(weights, "log_error", FEATURES, 1, Initializer.zero());
    params = weights.build(device, Rng.of(0));
  }

  Params params() {
    return params;
  }

  /**
   * The mean over samples of e^(−u) e + u.
   *
   * @shape errors, sigma: [N]; result: []
   */
  Var weigh(Var errors, double[] sigma, Tape tape, StepInput in) {
    double[] c = new double[sigma.length];
    for (int i = 0; i < c.length; i++) {
      c[i] = Math.log(sigma[i]) / 4;
    }
    Tensor level = in.perSample(c);
    Var numbers = tape.input(level);
    Var u = linear.forward(features.forward(numbers, numbers)).reshape(c.length);
    return errors.mul(u.neg().exp()).add(u).mean();
  }
}
