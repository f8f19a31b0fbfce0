package dev.limbeck.autograd;

import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;

/**
 * One row of {@link OpCases}: an operation on inputs of given shapes.
 *
 * @param op the name of the method of {@link Var}, or the name behind that of another class
 * @param gap inputs keep this far from zero, where the operation has a kink
 * @param apart no value of one input comes near a value of another
 * @param exact the operation in double precision, element by element; null if it is none such
 */
record OpCase(
    String op,
    List<Shape> inputs,
    float low,
    float high,
    float gap,
    boolean apart,
    DoubleUnaryOperator exact,
    Op apply) {

  /** The operation itself. */
  @FunctionalInterface
  interface Op {
    Var on(Var... inputs);
  }

  static OpCase of(String op, List<Shape> inputs, Op apply) {
    return new OpCase(op, inputs, -1.5f, 1.5f, 0f, false, null, apply);
  }

  /** An operation on one input, of a ragged size; {@code exact} as above. */
  static OpCase unary(String op, DoubleUnaryOperator exact, Op apply) {
    return new OpCase(op, List.of(Shape.of(3, 5, 71)), -3f, 3f, 0f, false, exact, apply);
  }

  OpCase within(float newLow, float newHigh) {
    return new OpCase(op, inputs, newLow, newHigh, gap, apart, exact, apply);
  }

  OpCase awayFromZero() {
    return new OpCase(op, inputs, low, high, 0.2f, apart, exact, apply);
  }

  OpCase inputsApart() {
    return new OpCase(op, inputs, low, high, gap, true, exact, apply);
  }

  /** The same host values for every device. */
  float[] values(int input) {
    Random random = new Random(31L * op.hashCode() + input);
    float[] values = new float[inputs.get(input).size()];
    for (int i = 0; i < values.length; i++) {
      float value = low + (high - low) * random.nextFloat();
      if (apart) { // quarters of different numerators
        value = Math.round(value) + 0.25f * input;
      }
      values[i] = Math.abs(value) < gap ? Math.copySign(gap, value) : value;
    }
    return values;
  }

  Tensor input(Device device, int input) {
    return Tensor.of(device, inputs.get(input), values(input));
  }

  /** A direction for tangents: no element is zero, and all are 1 or −1 for inputs apart. */
  float[] direction(int input) {
    Random random = new Random(17L * op.hashCode() + input);
    float[] direction = new float[inputs.get(input).size()];
    for (int i = 0; i < direction.length; i++) {
      float size = apart ? 1f : 0.25f + 0.75f * random.nextFloat();
      direction[i] = random.nextBoolean() ? size : -size;
    }
    return direction;
  }

  Tensor tangent(Device device, int input) {
    return Tensor.of(device, inputs.get(input), direction(input));
  }

  @Override
  public String toString() {
    return op + " on " + inputs;
  }
}
