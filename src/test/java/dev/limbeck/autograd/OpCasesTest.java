package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** What holds for every operation, checked for every row of {@link OpCases}. */
class OpCasesTest {
  /** Ways to make or mark a variable; no operations. */
  private static final Set<String> NO_OPERATIONS =
      Set.of("constant", "dual", "withTangent", "beside", "record");

  /** Half the distance of the two points of a difference quotient; BF16 has 1 ± it. */
  private static final float STEP = 0x1p-7f;

  /**
   * Rounding of the two sums (1e-7 over the step, times the sum's length) and the curvature (the
   * step squared) both stay below this share of the derivative's natural size.
   */
  private static final double DERIVATIVE_TOLERANCE = 2e-3;

  @Test
  void everyOperationHasARow() {
    Set<String> missing = new TreeSet<>();
    for (Method method : Var.class.getDeclaredMethods()) {
      if (Modifier.isPublic(method.getModifiers()) && method.getReturnType() == Var.class) {
        missing.add(method.getName());
      }
    }
    missing.removeAll(NO_OPERATIONS);
    for (Method method : RowOps.class.getDeclaredMethods()) {
      if (Modifier.isPublic(method.getModifiers()) && method.getReturnType() == Var.class) {
        missing.add("RowOps." + method.getName());
      }
    }
    assertTrue(missing.size() > 20, missing + " can hardly be all operations");
    OpCases.all().forEach(row -> missing.remove(row.op()));
    assertEquals(Set.of(), missing, "operations of variables without a row in OpCases");
  }

  @DeviceTest
  void valuesAreThoseOfTheFormulaInDoublePrecision(Device device) {
    for (OpCase row : OpCases.all()) {
      if (row.exact() == null) {
        continue;
      }
      float[] x = row.values(0);
      float[] y = row.apply().on(Var.constant(row.input(device, 0))).value().toFloats();
      for (int i = 0; i < x.length; i++) {
        double exact = row.exact().applyAsDouble(x[i]);
        // A few units in the last place of a binary32.
        assertEquals(exact, y[i], 5e-7 * Math.max(1, Math.abs(exact)), row + " at " + x[i]);
      }
    }
  }

  @DeviceTest
  void derivativesAreThoseOfDifferences(Device device) {
    for (OpCase row : OpCases.all()) {
      try (Scope scope = Scope.open()) {
        checkDerivatives(device, row);
      }
    }
  }

  private static void checkDerivatives(Device device, OpCase row) {
    Result result = run(device, row);
    Random random = new Random(7);
    for (int input = 0; input < row.inputs().size(); input++) {
      float[] x = row.values(input);
      float[] direction = new float[x.length];
      double along = 0;
      double size = 0;
      for (int i = 0; i < x.length; i++) {
        direction[i] = random.nextBoolean() ? 1 : -1;
        double share = result.gradients.get(input)[i] * direction[i];
        along += share;
        size += share * share;
      }
      double difference =
          (loss(device, row, input, direction, STEP) - loss(device, row, input, direction, -STEP))
              / (2 * STEP);
      double tolerance = DERIVATIVE_TOLERANCE * Math.max(Math.sqrt(size), Math.abs(along));
      assertEquals(difference, along, tolerance, row + ", input " + input);
    }
  }

  @Test
  void theNumberOfThreadsChangesNoBit() {
    List<OpCase> rows = OpCases.all();
    try (CpuDevice one = CpuDevice.open(true, 1);
        CpuDevice four = CpuDevice.open(true, 4);
        Scope scope = Scope.open()) {
      for (OpCase row : rows) {
        Result expected = run(one, row);
        Result actual = run(four, row);
        assertArrayEquals(expected.value, actual.value, row.toString());
        assertArrayEquals(expected.tangent, actual.tangent, row + ", tangent");
        for (int i = 0; i < row.inputs().size(); i++) {
          assertArrayEquals(expected.gradients.get(i), actual.gradients.get(i), row + ", " + i);
        }
      }
    }
  }

  @Test
  void theVectorPathAgreesWithTheScalarPath() {
    try (CpuDevice scalar = CpuDevice.open(false, 1);
        CpuDevice simd = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      for (OpCase row : OpCases.all()) {
        Result expected = run(scalar, row);
        Result actual = run(simd, row);
        assertClose(expected.value, actual.value, row + ", value");
        assertClose(expected.tangent, actual.tangent, row + ", tangent");
        for (int i = 0; i < row.inputs().size(); i++) {
          assertClose(expected.gradients.get(i), actual.gradients.get(i), row + ", gradient " + i);
        }
      }
    }
  }

  /** Sums in another order, at most a few hundred terms long. */
  private static void assertClose(float[] expected, float[] actual, String what) {
    float largest = 1e-6f;
    for (float e : expected) {
      largest = Math.max(largest, Math.abs(e));
    }
    assertArrayEquals(expected, actual, 2e-6f * largest, what);
  }

  /** The same operands as slices of an arena: offsets, sums into what is there, nothing outside. */
  @DeviceTest
  void parametersInAnArenaReceiveTheSameGradients(Device device) {
    for (OpCase row : OpCases.all()) {
      try (Scope scope = Scope.open()) {
        Result expected = run(device, row);
        List<Buffer> arenas = new ArrayList<>();
        List<Parameter> parameters = new ArrayList<>();
        for (int i = 0; i < row.inputs().size(); i++) {
          Shape shape = row.inputs().get(i);
          arenas.add(arena(device, row.values(i)));
          arenas.add(arena(device, new float[shape.size()]));
          Tensor value = new Tensor(arenas.get(2 * i).slice(GUARD, shape.size()), shape);
          Tensor gradient = new Tensor(arenas.get(2 * i + 1).slice(GUARD, shape.size()), shape);
          parameters.add(new Parameter("p" + i, value, gradient));
        }
        Var[] operands = new Var[parameters.size()];
        for (int pass = 0; pass < 2; pass++) {
          try (Tape tape = Tape.open(parameters)) {
            Var recorded = tape.input(Tensor.zeros(device, Shape.of()));
            for (int i = 0; i < operands.length; i++) {
              operands[i] = parameters.get(i).var().beside(recorded);
            }
            Var y = row.apply().on(operands);
            float[] weights = weights(y.value().size());
            tape.backward(y, Tensor.of(device, y.shape(), weights));
          }
        }
        for (int i = 0; i < operands.length; i++) {
          float[] twice = expected.gradients.get(i).clone();
          for (int k = 0; k < twice.length; k++) {
            twice[k] *= 2;
          }
          float[] actual = parameters.get(i).gradient().toFloats();
          assertClose(twice, actual, row + ", gradient of parameter " + i);
          assertArrayEquals(row.values(i), parameters.get(i).value().toFloats(), row.toString());
        }
        arenas.forEach(arena -> assertGuarded(arena, row.toString()));
      }
    }
  }

  private static final int GUARD = Buffer.SLICE_ALIGNMENT;

  private static Buffer arena(Device device, float[] inner) {
    float[] host = new float[inner.length + 2 * GUARD];
    Arrays.fill(host, Float.NaN);
    System.arraycopy(inner, 0, host, GUARD, inner.length);
    Buffer arena = device.allocate(DType.F32, host.length);
    arena.upload(host, 0);
    return arena;
  }

  private static void assertGuarded(Buffer arena, String what) {
    float[] host = new float[arena.length()];
    arena.download(host, 0);
    for (int i = 0; i < host.length; i++) {
      boolean outside = i < GUARD || i >= host.length - GUARD;
      assertEquals(outside, Float.isNaN(host[i]), what + " touched " + (i - GUARD));
    }
  }

  record Result(float[] value, float[] tangent, List<float[]> gradients) {}

  /**
   * Value, tangent along the row's directions, and the gradients of Σ wᵢyᵢ with fixed weights w.
   */
  static Result run(Device device, OpCase row) {
    try (Tape tape = Tape.open(List.of())) {
      Var[] inputs = new Var[row.inputs().size()];
      Var[] operands = new Var[inputs.length];
      for (int i = 0; i < inputs.length; i++) {
        inputs[i] = tape.inputWithGradient(row.input(device, i));
        operands[i] = inputs[i].withTangent(row.tangent(device, i));
      }
      Var y = tape.retain(row.apply().on(operands));
      float[] value = y.value().toFloats();
      float[] tangent = y.tangent().toFloats();
      tape.backward(y, Tensor.of(device, y.shape(), weights(value.length)));
      List<float[]> gradients = new ArrayList<>();
      for (Var input : inputs) {
        gradients.add(input.gradient().toFloats());
      }
      return new Result(value, tangent, gradients);
    }
  }

  static float[] weights(int count) {
    Random random = new Random(11);
    float[] weights = new float[count];
    for (int i = 0; i < count; i++) {
      weights[i] = 0.5f + random.nextFloat();
    }
    return weights;
  }

  private static double loss(
      Device device, OpCase row, int moved, float[] direction, float distance) {
    try (Scope scope = Scope.open()) {
      Var[] inputs = new Var[row.inputs().size()];
      for (int i = 0; i < inputs.length; i++) {
        float[] x = row.values(i);
        for (int k = 0; k < x.length && i == moved; k++) {
          x[k] += distance * direction[k];
        }
        inputs[i] = Var.constant(Tensor.of(device, row.inputs().get(i), x));
      }
      float[] y = row.apply().on(inputs).value().toFloats();
      float[] w = weights(y.length);
      double sum = 0;
      for (int i = 0; i < y.length; i++) {
        sum += (double) w[i] * y[i];
      }
      return sum;
    }
  }
}
