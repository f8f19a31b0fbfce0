package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceTest;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

class CheckpointTest {
  private static final int BLOCKS = 4;
  private static final int LAYERS = 6;
  private static final int WIDTH = 37;
  private static final int ROWS = 101;

  private record Outcome(float[] loss, float[] input, List<float[]> weights, long peak) {}

  private static List<Parameter> parameters(Device device) {
    Random random = new Random(3);
    List<Parameter> list = new ArrayList<>();
    for (int i = 0; i < BLOCKS * LAYERS; i++) {
      float[] values = new float[WIDTH];
      for (int k = 0; k < WIDTH; k++) {
        values[k] = (float) random.nextGaussian();
      }
      Shape shape = Shape.of(WIDTH);
      list.add(
          new Parameter("w" + i, Tensor.of(device, shape, values), Tensor.zeros(device, shape)));
    }
    return list;
  }

  private static Var block(Var[] in, List<Parameter> layers, int number) {
    Var x = in[0];
    for (Parameter layer : layers) {
      x = x.mul(layer.var()).add(in[1]).tanh();
    }
    return x.dropout(new Dropout(0.2f, number));
  }

  private static Outcome run(Device device, boolean checkpointed) {
    List<Parameter> parameters = parameters(device);
    device.resetPeak();
    try (Tape tape = Tape.open(parameters)) {
      Tensor start = Tensor.full(device, Shape.of(ROWS, WIDTH), 0.3f);
      Var x = tape.inputWithGradient(start);
      // Read by every block: its gradient has shares from each.
      Var condition = tape.inputWithGradient(Tensor.full(device, Shape.of(ROWS, 1), 0.1f));
      Var y = x;
      for (int i = 0; i < BLOCKS; i++) {
        int number = i;
        List<Parameter> layers = parameters.subList(i * LAYERS, (i + 1) * LAYERS);
        Var[] in = {y, condition};
        y = checkpointed ? Checkpoint.run(v -> block(v, layers, number), in) : block(in, layers, i);
      }
      Var loss = y.square().mean();
      tape.backward(loss);
      List<float[]> weights = new ArrayList<>();
      parameters.forEach(p -> weights.add(p.gradient().toFloats()));
      weights.add(condition.gradient().toFloats());
      float[] value = loss.value().toFloats();
      return new Outcome(value, x.gradient().toFloats(), weights, device.memory().peakBytes());
    }
  }

  @DeviceTest
  void gradientsKeepTheirBitsAndThePeakFalls(Device device) {
    Outcome plain = run(device, false);
    Outcome checkpointed = run(device, true);
    assertArrayEquals(plain.loss, checkpointed.loss);
    assertArrayEquals(plain.input, checkpointed.input);
    assertEquals(plain.weights.size(), checkpointed.weights.size());
    for (int i = 0; i < plain.weights.size(); i++) {
      assertArrayEquals(plain.weights.get(i), checkpointed.weights.get(i));
    }
    assertTrue(
        checkpointed.peak < 0.6 * plain.peak, checkpointed.peak + " of " + plain.peak + " bytes");
  }
}
