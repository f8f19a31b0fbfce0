package dev.limbeck.nn;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.UNetConfig.AttendIn;
import dev.limbeck.nn.UNetConfig.ClassInput;
import dev.limbeck.nn.UNetConfig.Resampling;
import dev.limbeck.nn.UNetConfig.TimeFeatures;
import dev.limbeck.nn.UNetConfig.TimeKind;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class UNetTest {
  private final CpuDevice device = CpuDevice.open(true, 2);

  @TempDir Path folder;

  @AfterEach
  void nothingStaysAlive() {
    assertEquals(0, device.memory().liveBuffers());
    device.close();
  }

  private static final List<AttendIn> LAST = List.of(AttendIn.NO_BLOCK, AttendIn.LAST_BLOCK);

  /** Small networks that together have every kind of part. */
  static Stream<UNetConfig> configurations() {
    UNetConfig toy = UNetConfig.toy(2);
    return Stream.of(
        toy,
        toy.withAttention(LAST, LAST).withBlocksPerLevel(2),
        toy.with(Map.of("resampling", Resampling.RESIDUAL, "modulation", "SCALE_SHIFT"))
            .with(Map.of("initial", "TORCH", "headChannels", 4, "classInput", "TABLE")),
        toy.with(Map.of("resampling", Resampling.CONVOLUTION, "downPadding", 0))
            .withTime(TimeFeatures.fourier(1f)),
        toy.withGuidanceInput(true).withMiddleAttention(false),
        toy.withTime(new TimeFeatures(TimeKind.FOURIER_OF_LOG, false, 0f, 16f, 1f))
            .with(Map.of("divideByTime", true, "centerInput", true)),
        toy.withClasses(0).with(Map.of("classInput", ClassInput.TIME_LIKE)),
        toy.withClasses(0).with(Map.of("classInput", ClassInput.VECTOR)),
        toy.withDropout(0.5f).withWidths(8));
  }

  static Tensor labels(UNetConfig config, Device device) {
    return switch (config.classInput()) {
      case NONE -> null;
      case TABLE, TABLE_BEFORE_LAYERS -> Tensor.of(device, Shape.of(2), 1, 3);
      case TIME_LIKE -> Tensor.of(device, Shape.of(2), 0.5f, 2f);
      case VECTOR -> Rng.of(9).normal(device, Shape.of(2, config.embedding()));
    };
  }

  /** Draws all parameters anew, so that no zero hides an error. */
  static void perturb(Params params) {
    for (Parameter p : params.list()) {
      float[] values = p.value().toFloats();
      float[] noise = new float[values.length];
      Rng.of(p.name().hashCode()).normal(noise);
      for (int i = 0; i < values.length; i++) {
        values[i] += 0.1f * noise[i];
      }
      p.value().buffer().upload(values, 0);
    }
    params.touch();
  }

  /** Σ w·net(x) for fixed random w; with a tape also its gradients. */
  private static double loss(UNet net, Tensor x, Tape tape, List<Var> inputs) {
    Device device = x.device();
    Tensor t = Tensor.of(device, Shape.of(2), 0.3f, 1.7f);
    Tensor guidance = net.config().guidanceInput() ? Tensor.of(device, Shape.of(2), 1f, 2f) : null;
    Var in = tape == null ? Var.constant(x) : tape.inputWithGradient(x);
    Var y =
        net.forward(
            in,
            new Condition(
                Var.constant(t),
                labels(net.config(), device),
                guidance == null ? null : Var.constant(guidance)),
            new Dropout(0.5f, 77));
    float[] weights = new float[y.value().size()];
    Rng.of(4).normal(weights);
    float[] output = y.value().toFloats();
    double sum = 0;
    for (int i = 0; i < output.length; i++) {
      sum += (double) weights[i] * output[i];
    }
    if (tape != null) {
      inputs.add(in);
      tape.backward(y, Tensor.of(device, y.shape(), weights));
    }
    return sum;
  }

  @ParameterizedTest
  @MethodSource("configurations")
  void gradientsAgreeWithDifferences(UNetConfig config) {
    try (Scope scope = Scope.open();
        UNet net = new UNet(config, device, Rng.of(1))) {
      perturb(net.params());
      int side = 4 * config.sideMultiple();
      Tensor x = Rng.of(2).normal(device, Shape.of(2, side, side / 2, 2));
      float[] inputGradient;
      try (Tape tape = Tape.open(net.params().list())) {
        List<Var> inputs = new ArrayList<>();
        loss(net, x, tape, inputs);
        inputGradient = inputs.get(0).gradient().toFloats();
      }
      // Along a random direction of all parameters and the input, so that one difference sees all.
      double slope = 0;
      float[] xs = x.toFloats();
      float[] direction = new float[xs.length];
      Rng.of(5).normal(direction);
      for (int i = 0; i < xs.length; i++) {
        slope += (double) direction[i] * inputGradient[i];
      }
      List<float[]> values = new ArrayList<>();
      List<float[]> directions = new ArrayList<>();
      for (Parameter p : net.params().list()) {
        float[] v = p.value().toFloats();
        float[] d = new float[v.length];
        Rng.of(6 + p.name().hashCode()).normal(d);
        float[] g = p.gradient().toFloats();
        double norm = 0;
        for (int i = 0; i < v.length; i++) {
          slope += (double) d[i] * g[i];
          norm += Math.abs(g[i]);
        }
        assertTrue(norm > 0, p.name() + " receives no gradient");
        values.add(v);
        directions.add(d);
      }
      double h = 1e-3;
      double[] sides = new double[2];
      for (int s = 0; s < 2; s++) {
        double step = s == 0 ? h : -h;
        for (int k = 0; k < values.size(); k++) {
          net.params()
              .list()
              .get(k)
              .value()
              .buffer()
              .upload(moved(values.get(k), directions.get(k), step), 0);
        }
        net.params().touch();
        Tensor moved = Tensor.of(device, x.shape(), moved(xs, direction, step));
        sides[s] = loss(net, moved, null, null);
      }
      double difference = (sides[0] - sides[1]) / (2 * h);
      // Curvature along thousands of directions at once, and float32 under a step of 1e-3.
      assertEquals(difference, slope, 2e-2 * (1 + Math.abs(slope)), config.toString());
    }
  }

  /** One step's gradients, the input's last, and the peak of memory. */
  private List<float[]> gradients(UNet net, Tensor x, long[] peak) {
    net.params().zeroGradients();
    try (Tape tape = Tape.open(net.params().list())) {
      List<Var> inputs = new ArrayList<>();
      device.resetPeak();
      long before = device.memory().liveBytes();
      loss(net, x, tape, inputs);
      peak[0] = device.memory().peakBytes() - before;
      List<float[]> all = new ArrayList<>();
      net.params().list().forEach(p -> all.add(p.gradient().toFloats()));
      all.add(inputs.get(0).gradient().toFloats());
      return all;
    }
  }

  @ParameterizedTest
  @MethodSource("configurations")
  void recomputingChangesNoBitAndHoldsLess(UNetConfig config) {
    try (Scope scope = Scope.open();
        UNet net = new UNet(config, device, Rng.of(1))) {
      perturb(net.params());
      int side = 16 * config.sideMultiple();
      Tensor x = Rng.of(2).normal(device, Shape.of(2, side, side, 2));
      long[] kept = new long[1];
      long[] recomputed = new long[1];
      List<float[]> expected = gradients(net, x, kept);
      List<float[]> found = gradients(net.recomputing(true), x, recomputed);
      for (int i = 0; i < expected.size(); i++) {
        assertArrayEquals(expected.get(i), found.get(i));
      }
      assertTrue(recomputed[0] < 0.8 * kept[0], recomputed[0] + " against " + kept[0]);
    }
  }

  private static float[] moved(float[] values, float[] direction, double step) {
    float[] moved = new float[values.length];
    for (int i = 0; i < moved.length; i++) {
      moved[i] = (float) (values[i] + step * direction[i]);
    }
    return moved;
  }

  @Test
  void shapesThatDoNotHalveAreRefused() {
    UNetConfig config = UNetConfig.toy(2).withWidths(8, 8, 8);
    try (UNet net = new UNet(config, device, Rng.of(1))) {
      for (Shape shape :
          List.of(
              Shape.of(1, 6, 8, 2),
              Shape.of(1, 8, 6, 2),
              Shape.of(1, 8, 8, 3),
              Shape.of(8, 8, 2))) {
        try (Scope scope = Scope.open()) {
          Var x = Var.constant(Tensor.zeros(device, shape));
          Tensor t = Tensor.zeros(device, Shape.of(1));
          String message =
              assertThrows(
                      ShapeException.class,
                      () -> net.forward(x, Condition.of(t, null), Dropout.off()))
                  .getMessage();
          assertTrue(message.contains(shape.toString()), message);
        }
      }
      try (Scope scope = Scope.open()) {
        Var x = Var.constant(Tensor.zeros(device, Shape.of(1, 4, 12, 2)));
        Tensor t = Tensor.zeros(device, Shape.of(1));
        assertEquals(x.shape(), net.forward(x, Condition.of(t, null), Dropout.off()).shape());
        Tensor two = Tensor.zeros(device, Shape.of(2));
        assertThrows(
            ShapeException.class, () -> net.forward(x, Condition.of(two, null), Dropout.off()));
        Tensor label = Tensor.of(device, Shape.of(2), 0, 0);
        assertThrows(
            ShapeException.class, () -> net.forward(x, Condition.of(t, label), Dropout.off()));
      }
    }
  }

  @Test
  void noLabelMeansTheNullClassAndClassesDiffer() {
    UNetConfig config = UNetConfig.toy(1);
    try (Scope scope = Scope.open();
        UNet net = new UNet(config, device, Rng.of(1))) {
      perturb(net.params());
      Var x = Var.constant(Rng.of(2).normal(device, Shape.of(2, 8, 8, 1)));
      Tensor t = Tensor.of(device, Shape.of(2), 0f, 1f);
      int none = config.nullLabel();
      float[] absent = net.forward(x, Condition.of(t, null), Dropout.off()).value().toFloats();
      Tensor nulls = Tensor.of(device, Shape.of(2), none, none);
      Tensor zeros = Tensor.of(device, Shape.of(2), 0, 0);
      assertArrayEquals(
          absent, net.forward(x, Condition.of(t, nulls), Dropout.off()).value().toFloats());
      assertFalse(
          Arrays.equals(
              absent, net.forward(x, Condition.of(t, zeros), Dropout.off()).value().toFloats()));
    }
  }

  @Test
  void featuresAreTheSameAloneAndWithTheAnswer() {
    try (Scope scope = Scope.open();
        UNet net = new UNet(UNetConfig.toy(1), device, Rng.of(1))) {
      Tensor noise = Rng.of(2).normal(device, Shape.of(2, 8, 8, 1));
      Tensor t = Tensor.of(device, Shape.of(2), 0f, 1f);
      Var x = Var.constant(noise);
      Network.Answer both = net.forwardWithFeatures(x, Condition.of(t, null), Dropout.off());
      Var alone = net.features(x, Condition.of(t, null), Dropout.off());
      assertEquals(Shape.of(2, 4, 4, net.featureChannels()), alone.shape());
      assertArrayEquals(alone.value().toFloats(), both.features().value().toFloats());
      assertArrayEquals(
          net.forward(x, Condition.of(t, null), Dropout.off()).value().toFloats(),
          both.output().value().toFloats());
      try (Tape tape = Tape.open(List.of())) {
        Var in = tape.inputWithGradient(noise);
        Var f = net.features(in, Condition.of(t, null), Dropout.off());
        tape.backward(f.square().mean());
        assertTrue(Arrays.stream(toDoubles(in.gradient())).anyMatch(g -> g != 0));
      }
      for (Parameter p : net.params().list()) {
        assertTrue(
            Arrays.stream(toDoubles(p.gradient())).allMatch(g -> g == 0), p.name() + " is frozen");
      }
    }
  }

  private static double[] toDoubles(Tensor t) {
    float[] floats = t.toFloats();
    double[] doubles = new double[floats.length];
    Arrays.setAll(doubles, i -> floats[i]);
    return doubles;
  }

  @Test
  void checkpointsHoldConfigurationAndWeights() throws IOException {
    Path path = folder.resolve("net.safetensors");
    UNetConfig config = UNetConfig.toy(1).withTime(TimeFeatures.fourier(3f));
    try (UNet net = new UNet(config, device, Rng.of(1))) {
      TensorFileWriter writer = TensorFile.writer();
      net.addTo(writer, "model.");
      writer.write(path);
      try (TensorFile file = TensorFile.open(path);
          UNet again = UNet.load(file, "model.", device)) {
        assertEquals(config, again.config());
        assertArrayEquals(net.randomFrequencies().toFloats(), again.randomFrequencies().toFloats());
        for (Parameter p : net.params().list()) {
          assertArrayEquals(
              p.value().toFloats(), again.params().get(p.name()).value().toFloats(), p.name());
        }
      }
    }
  }

  @Test
  void inferenceHoldsFewActivations() {
    UNetConfig config = UNetConfig.mnist16();
    try (Scope scope = Scope.open();
        UNet net = new UNet(config, device, Rng.of(1))) {
      Tensor x = Tensor.zeros(device, Shape.of(16, 16, 16, 1));
      Tensor t = Tensor.zeros(device, Shape.of(16));
      long before = device.memory().liveBytes();
      device.resetPeak();
      try (Scope inner = Scope.open()) {
        net.forward(Var.constant(x), Condition.of(t, null), Dropout.off());
      }
      assertEquals(before, device.memory().liveBytes());
      long activation = 16L * 16 * 16 * 32 * Float.BYTES;
      long peak = device.memory().peakBytes() - before;
      // Three skips of the finest level, and what its widest block holds at once; kept skips and
      // block results alone would be 30.
      assertTrue(peak < 16 * activation, peak / (double) activation + " activations");
    }
  }

  @Test
  void aTrainingStepHoldsWhatItsGradientNeedsAndNoMore() {
    try (Scope scope = Scope.open();
        UNet net = new UNet(UNetConfig.mnist16(), device, Rng.of(1))) {
      Tensor x = Rng.of(2).normal(device, Shape.of(16, 16, 16, 1));
      Tensor t = Tensor.zeros(device, Shape.of(16));
      long before = device.memory().liveBytes();
      long first = 0;
      for (int step = 0; step < 3; step++) {
        device.resetPeak();
        try (Tape tape = Tape.open(net.params().list())) {
          Var y = net.forward(tape.input(x), Condition.of(t, null), Dropout.off());
          tape.backward(y.square().mean());
        }
        assertEquals(before, device.memory().liveBytes());
        long peak = device.memory().peakBytes() - before;
        first = step == 0 ? peak : first;
        assertEquals(first, peak, "step " + step + " needs more than the first");
      }
      double activations = first / (16.0 * 16 * 16 * 32 * Float.BYTES);
      // Per finest block: input, both normalised results, their inputs, statistics: about 31 in
      // all.
      assertTrue(activations < 36, activations + " activations");
    }
  }

  @Test
  void presetsHaveTheirPublishedSizes() {
    try (UNet small = new UNet(UNetConfig.mnist16(), device, Rng.of(1))) {
      assertEquals(381_473, small.params().count());
    }
    assertTrue(UNetConfig.imagenet64().widths().get(3) == 768);
  }

  @Test
  void aPerceptronLearnsItsPartsToo() {
    try (Scope scope = Scope.open();
        Mlp net = new Mlp(Mlp.Config.toy(2, 3), device, Rng.of(1))) {
      Tensor t = Tensor.of(device, Shape.of(4), 0f, 1f, -1f, 0.5f);
      Tensor labels = Tensor.of(device, Shape.of(4), 0, 1, 2, 3);
      try (Tape tape = Tape.open(net.params().list())) {
        Var x = tape.input(Rng.of(2).normal(device, Shape.of(4, 2)));
        Var y = net.forward(x, Condition.of(t, labels), Dropout.off());
        assertEquals(Shape.of(4, 2), y.shape());
        tape.backward(y.square().mean());
      }
      for (Parameter p : net.params().list()) {
        assertTrue(Arrays.stream(toDoubles(p.gradient())).anyMatch(g -> g != 0), p.name());
      }
      Var x = Var.constant(Rng.of(2).normal(device, Shape.of(4, 2)));
      assertEquals(Shape.of(4, 64), net.features(x, Condition.of(t, null), Dropout.off()).shape());
      assertThrows(
          ShapeException.class,
          () -> net.forward(Var.constant(t), Condition.of(t, labels), Dropout.off()));
    }
  }
}
