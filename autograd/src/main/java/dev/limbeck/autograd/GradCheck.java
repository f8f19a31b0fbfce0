package dev.limbeck.autograd;

import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.Random;
import java.util.function.Function;

/**
 * Compares gradients with difference quotients.
 *
 * <p>The function f is reduced to one number L(x) = Σ wᵢ fᵢ(x) with fixed weights w in [0.5, 1.5).
 * For each input x and random signs s the check compares ⟨∇L, s⟩ with (L(x + h·s) - L(x - h·s)) /
 * 2h. Inputs must keep a distance of 2h from kinks.
 */
public final class GradCheck {
  /** Half the distance of the quotient's two points, where nothing else is said. */
  public static final float STEP = 1e-2f;

  private static final int DIRECTIONS = 2;

  private GradCheck() {}

  /**
   * How far a derivative is from its difference quotient.
   *
   * @param input which input it belongs to
   * @param derivative what the tape found along the direction
   * @param quotient what the differences say
   * @param relative their distance, divided by the larger of |derivative| and the gradient's norm
   */
  public record Difference(int input, double derivative, double quotient, double relative) {}

  /** The worst difference over all inputs, with the usual step. */
  public static Difference worst(Function<Var[], Var> f, Tensor... inputs) {
    return worst(f, STEP, inputs);
  }

  /**
   * The worst difference over all inputs.
   *
   * <p>With step h, curvature contributes about h² and the rounding of L about 1e-7·√n/h: 2e-3 is a
   * fair limit for functions whose derivatives are of order one.
   */
  public static Difference worst(Function<Var[], Var> f, float step, Tensor... inputs) {
    Difference worst = new Difference(0, 0, 0, 0);
    float[][] gradients = gradients(f, inputs);
    Random random = new Random(7);
    for (int input = 0; input < inputs.length; input++) {
      for (int k = 0; k < DIRECTIONS; k++) {
        Difference d = along(f, step, inputs, input, gradients[input], random);
        // Not <=: a NaN must win.
        if (!(d.relative <= worst.relative)) {
          worst = d;
        }
      }
    }
    return worst;
  }

  private static Difference along(
      Function<Var[], Var> f,
      float step,
      Tensor[] inputs,
      int input,
      float[] gradient,
      Random random) {
    float[] direction = new float[gradient.length];
    double derivative = 0;
    double size = 0;
    for (int i = 0; i < direction.length; i++) {
      direction[i] = random.nextBoolean() ? step : -step;
      double share = Math.signum(direction[i]) * gradient[i];
      derivative += share;
      size += share * share;
    }
    double right = loss(f, inputs, input, direction, 1);
    double left = loss(f, inputs, input, direction, -1);
    double quotient = (right - left) / (2.0 * step);
    double scale = Math.max(Math.max(Math.sqrt(size), Math.abs(derivative)), 1e-6);
    return new Difference(input, derivative, quotient, Math.abs(derivative - quotient) / scale);
  }

  private static float[][] gradients(Function<Var[], Var> f, Tensor[] inputs) {
    try (Tape tape = Tape.open(List.of())) {
      Var[] vars = new Var[inputs.length];
      for (int i = 0; i < inputs.length; i++) {
        vars[i] = tape.inputWithGradient(inputs[i]);
      }
      Var y = f.apply(vars);
      Tensor weights = Tensor.of(inputs[0].device(), y.shape(), weights(y.value().size()));
      tape.backward(y, weights);
      float[][] gradients = new float[inputs.length][];
      for (int i = 0; i < inputs.length; i++) {
        Tensor gradient = vars[i].gradient();
        gradients[i] = gradient == null ? new float[inputs[i].size()] : gradient.toFloats();
      }
      return gradients;
    }
  }

  private static double loss(
      Function<Var[], Var> f, Tensor[] inputs, int moved, float[] direction, float times) {
    try (Scope scope = Scope.open()) {
      Var[] vars = new Var[inputs.length];
      for (int i = 0; i < inputs.length; i++) {
        vars[i] = Var.constant(i == moved ? moved(inputs[i], direction, times) : inputs[i]);
      }
      float[] y = f.apply(vars).value().toFloats();
      float[] w = weights(y.length);
      double sum = 0;
      for (int i = 0; i < y.length; i++) {
        sum += (double) w[i] * y[i];
      }
      return sum;
    }
  }

  private static Tensor moved(Tensor x, float[] direction, float times) {
    float[] values = x.toFloats();
    for (int i = 0; i < values.length; i++) {
      values[i] += times * direction[i];
    }
    return Tensor.of(x.device(), x.shape(), values);
  }

  /** The fixed weights w of the sum that is differentiated. */
  static float[] weights(int count) {
    Random random = new Random(11);
    float[] weights = new float[count];
    for (int i = 0; i < count; i++) {
      weights[i] = 0.5f + random.nextFloat();
    }
    return weights;
  }
}
