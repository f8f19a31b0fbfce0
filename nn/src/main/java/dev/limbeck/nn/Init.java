package dev.limbeck.nn;

import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import java.util.Arrays;

/**
 * The initial values of one parameter.
 *
 * <p>Fans are those of a weight [out,…,in] (linear [out,in], convolution [out,kh,kw,in]): fan-in is
 * the size of one output's weights, fan-out that of one input's. The names and gains are those of
 * the reference code of EDM: Xavier √(6/(in+out)) or √(2/(in+out)), Kaiming √(3/in) or √(1/in).
 */
@FunctionalInterface
public interface Init {
  /** Fills {@code values}, as many as the shape has, with numbers drawn from {@code rng} alone. */
  void fill(float[] values, Shape shape, Rng rng);

  /** Every element {@code value}. */
  static Init constant(float value) {
    return (values, shape, rng) -> Arrays.fill(values, value);
  }

  static Init zeros() {
    return constant(0f);
  }

  static Init ones() {
    return constant(1f);
  }

  /** Uniform in [−bound, bound). */
  static Init uniform(float bound) {
    return (values, shape, rng) -> {
      rng.uniform(values);
      for (int i = 0; i < values.length; i++) {
        values[i] = (2f * values[i] - 1f) * bound;
      }
    };
  }

  /** Normal with mean 0 and this standard deviation. */
  static Init normal(float deviation) {
    return (values, shape, rng) -> {
      rng.normal(values);
      for (int i = 0; i < values.length; i++) {
        values[i] *= deviation;
      }
    };
  }

  /** Uniform with bound √(6/(fanIn + fanOut)). */
  static Init xavierUniform() {
    return (values, shape, rng) ->
        uniform(root(6, fanIn(shape) + fanOut(shape))).fill(values, shape, rng);
  }

  /** Normal with deviation √(2/(fanIn + fanOut)). */
  static Init xavierNormal() {
    return (values, shape, rng) ->
        normal(root(2, fanIn(shape) + fanOut(shape))).fill(values, shape, rng);
  }

  /** Uniform with bound √(3/fanIn), so that the variance is 1/fanIn. */
  static Init kaimingUniform() {
    return (values, shape, rng) -> uniform(root(3, fanIn(shape))).fill(values, shape, rng);
  }

  /** Normal with deviation √(1/fanIn). */
  static Init kaimingNormal() {
    return (values, shape, rng) -> normal(root(1, fanIn(shape))).fill(values, shape, rng);
  }

  /** PyTorch's default for linear and convolution weights: uniform with bound √(1/fanIn). */
  static Init pytorch() {
    return (values, shape, rng) -> uniform(root(1, fanIn(shape))).fill(values, shape, rng);
  }

  /** PyTorch's default for the bias beside a weight of this fan-in: uniform, bound √(1/fanIn). */
  static Init pytorchBias(int fanIn) {
    return uniform(root(1, fanIn));
  }

  /** These values times a factor. */
  default Init scaled(float factor) {
    return (values, shape, rng) -> {
      fill(values, shape, rng);
      for (int i = 0; i < values.length; i++) {
        values[i] *= factor;
      }
    };
  }

  private static int fanIn(Shape shape) {
    return shape.rank() < 2 ? shape.size() : shape.product(1, shape.rank());
  }

  private static int fanOut(Shape shape) {
    return shape.rank() < 2 ? shape.size() : shape.product(0, shape.rank() - 1);
  }

  private static float root(double numerator, double fan) {
    return (float) Math.sqrt(numerator / Math.max(1, fan));
  }
}
