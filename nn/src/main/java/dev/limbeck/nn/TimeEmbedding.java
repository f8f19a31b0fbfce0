package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.op.Sinusoid;
import dev.limbeck.nn.UNetConfig.TimeFeatures;
import dev.limbeck.nn.UNetConfig.TimeKind;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;

/**
 * Expands numbers (noise conditions, guidance weights) into sines and cosines of fixed frequencies.
 *
 * @shape t [N], features [N, width]
 * @paper Vaswani et al. 2017, arXiv 1706.03762, section 3.5; random frequencies: Tancik et al.
 *     2020, arXiv 2006.10739
 */
public final class TimeEmbedding implements AutoCloseable {
  /** The longest wavelength over 2π, as in the original. */
  private static final float MAX_PERIOD = 10000f;

  /**
   * Random frequencies are drawn from this seed, whatever the network's: they are no parameters,
   * and a checkpoint without them must find the same again.
   */
  private static final long FREQUENCY_SEED = 0x4c696d6265636bL;

  private final TimeFeatures features;
  private final int width;
  private final Tensor frequencies;

  /** Prepares {@code width} features. */
  public TimeEmbedding(Device device, TimeFeatures features, int width) {
    this.features = features;
    this.width = width;
    float[] f = frequencies(features, width);
    frequencies = new Tensor(Params.arena(device, DType.F32, f.length), Shape.of(f.length));
    frequencies.buffer().upload(f, 0);
  }

  private static float[] frequencies(TimeFeatures features, int width) {
    int half = width / 2;
    float[] f = new float[half];
    Rng rng = Rng.of(FREQUENCY_SEED);
    for (int k = 0; k < half; k++) {
      if (features.kind() == TimeKind.POSITIONAL) {
        // Rounded step by step as PyTorch does: the sines of large t depend on the last bit.
        float exponent = (float) -Math.log(MAX_PERIOD) * k / (half - features.frequencyShift());
        f[k] = (float) StrictMath.exp(exponent);
      } else {
        f[k] = features.bandwidth() * gaussian(rng);
      }
    }
    return f;
  }

  private static float gaussian(Rng rng) {
    double radius = StrictMath.sqrt(-2 * StrictMath.log(1 - rng.nextDouble()));
    return (float) (radius * StrictMath.cos(2 * Math.PI * rng.nextDouble()));
  }

  /** The fixed frequencies [width / 2]. */
  Tensor frequencies() {
    return frequencies;
  }

  /**
   * The features of t (F32 [N]): recorded where t is, else a constant of the tape that {@code
   * beside} is on, if any.
   */
  public Var forward(Var t, Var beside) {
    if (t.shape().rank() != 1 || t.value().type() != DType.F32) {
      throw new ShapeException("time embedding: expects F32 numbers [N], got " + t.value());
    }
    Var x = features.scale() == 1f ? t : t.mul(features.scale());
    if (features.kind() == TimeKind.FOURIER_OF_LOG) {
      x = x.log();
    }
    return waves(x).beside(beside);
  }

  private Var waves(Var x) {
    Tensor numbers = x.value();
    return Var.record(
        waves(numbers, features.cosineFirst()),
        new Var[] {x},
        new Tensor[] {numbers},
        g -> x.accumulate(g.mul(slopes(numbers)).sum(1, false)),
        () -> slopes(numbers).mul(x.tangent().reshape(numbers.size(), 1)));
  }

  private float circular() {
    return features.kind() == TimeKind.POSITIONAL ? 1f : 2 * (float) Math.PI;
  }

  private Tensor waves(Tensor x, boolean cosineFirst) {
    Tensor y = Tensor.empty(x.device(), Shape.of(x.size(), width));
    x.device()
        .execute(
            new Sinusoid(
                circular(), cosineFirst, width, frequencies.buffer(), x.buffer(), y.buffer()));
    return y;
  }

  /** The features' derivatives by x: sines and cosines have changed places. */
  private Tensor slopes(Tensor x) {
    Tensor up = frequencies.mul(features.cosineFirst() ? -circular() : circular());
    int unused = width - 2 * frequencies.size();
    Tensor rates =
        unused == 0
            ? Tensor.concat(0, up, up.neg())
            : Tensor.concat(0, up, up.neg(), Tensor.zeros(x.device(), Shape.of(unused)));
    return waves(x, !features.cosineFirst()).mul(rates);
  }

  @Override
  public void close() {
    frequencies.close();
  }
}
