package dev.limbeck.distillation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.data.Datasets;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Values by hand, and gradients against differences of values. */
class ConsistencyMetricTest {
  private static final float[] ANSWER = {3, 4, 1, 1};
  private static final float[] TARGET = {0, 0, 1, 1};

  private static double value(ConsistencyMetric metric, double... weight) {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Var answer = Var.constant(Tensor.of(device, Shape.of(2, 2), ANSWER));
      Tensor target = Tensor.of(device, Shape.of(2, 2), TARGET);
      Tensor w = Tensor.of(device, Shape.of(2), (float) weight[0], (float) weight[1]);
      return metric.on(device).between(answer, target, w).value().item();
    }
  }

  /** Errors (3, 4) and (0, 0); means over two samples. */
  @Test
  void values() {
    assertEquals(2 * 12.5 / 2, value(new ConsistencyMetric.SquaredL2(), 2, 1), 1e-5);
    assertEquals(2 * 3.5 / 2, value(new ConsistencyMetric.L1(), 2, 1), 1e-5);
    assertEquals(2 * 5.0 / 2, value(new ConsistencyMetric.PseudoHuber(0, false), 2, 1), 1e-5);
    // The mean of √(9 + 16) − 4 and √(16 + 16) − 4.
    assertEquals(1.328427, value(new ConsistencyMetric.Huber(4), 2, 1), 1e-5);
    // c² = 2·6² = 72, and √(25 + 72) − √72 = 1.363567.
    assertEquals(1.363567, value(new ConsistencyMetric.PseudoHuber(6, false), 2, 1), 1e-5);
    // The mean of √(9 + 72) − √72 and √(16 + 72) − √72.
    double element = ((9 - Math.sqrt(72)) + (Math.sqrt(88) - Math.sqrt(72))) / 2;
    assertEquals(element, value(new ConsistencyMetric.PseudoHuber(6, true), 2, 1), 1e-5);
  }

  private static Tensor digits(Device device, int from) {
    return Datasets.mnist().fitted(8).images(device, new int[] {from, from + 1});
  }

  @Test
  void gradientsAreThoseOfDifferences() {
    List<ConsistencyMetric> all =
        List.of(
            new ConsistencyMetric.SquaredL2(),
            new ConsistencyMetric.L1(),
            new ConsistencyMetric.Huber(.1),
            new ConsistencyMetric.PseudoHuber(0, false),
            new ConsistencyMetric.PseudoHuber(.1, false),
            new ConsistencyMetric.PseudoHuber(.1, true),
            new ConsistencyMetric.Features());
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Tensor target = digits(device, 0);
      // A quarter of noise besides: pictures are constant in places.
      Tensor noise = Rng.of(1).normal(device, target.shape()).mul(.25f);
      Tensor x = digits(device, 5).add(noise);
      Tensor direction = Rng.of(2).normal(device, x.shape());
      Tensor weight = Tensor.of(device, Shape.of(2), 1.5f, .5f);
      for (ConsistencyMetric metric : all) {
        ConsistencyMetric.Distance distance = metric.on(device);
        double slope;
        try (Tape tape = Tape.open(List.of())) {
          Var answer = tape.inputWithGradient(x);
          tape.backward(distance.between(answer, target, weight));
          slope = answer.gradient().mul(direction).sum().item();
        }
        float h = 1e-4f;
        Var more = Var.constant(x.add(direction.mul(h)));
        Var less = Var.constant(x.sub(direction.mul(h)));
        double up = distance.between(more, target, weight).value().item();
        double down = distance.between(less, target, weight).value().item();
        double measured = (up - down) / (2 * h);
        // Single precision over 2h; larger steps cross kinks of ReLU.
        assertEquals(measured, slope, 2e-2 * Math.abs(measured) + 2e-3, metric.toString());
      }
    }
  }

  /** Where answer and target agree, the distance and its slope are 0, roots or not. */
  @Test
  void agreementHasNoGradient() {
    List<ConsistencyMetric> all =
        List.of(
            new ConsistencyMetric.PseudoHuber(0, false),
            new ConsistencyMetric.PseudoHuber(0, true),
            new ConsistencyMetric.Features());
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Tensor x = digits(device, 0);
      Tensor weight = Tensor.of(device, Shape.of(2), 1f, 1f);
      for (ConsistencyMetric metric : all) {
        try (Tape tape = Tape.open(List.of())) {
          Var answer = tape.inputWithGradient(x);
          Var loss = metric.on(device).between(answer, x, weight);
          tape.retain(loss);
          tape.backward(loss);
          assertEquals(0, loss.value().item(), 1e-6, metric.toString());
          for (float g : answer.gradient().toFloats()) {
            // A fused multiply-add leaves the rounding of the product.
            assertEquals(0f, g, 1e-6f, metric.toString());
          }
        }
      }
    }
  }

  /** The same digit in another hand is nearer than another digit, brightness matters little. */
  @Test
  void featuresSeeDigits() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      var distance = new ConsistencyMetric.Features().on(device);
      var digits = Datasets.mnist().fitted(16);
      double same = 0;
      double other = 0;
      Tensor one = Tensor.of(device, Shape.of(1), 1f);
      int pairs = 0;
      for (int i = 0; i < 20; i++) {
        for (int j = 0; j < i; j++) {
          Tensor a = digits.images(device, new int[] {i});
          Tensor b = digits.images(device, new int[] {j});
          double d = distance.between(Var.constant(a), b, one).value().item();
          if (digits.label(i) == digits.label(j)) {
            same += d;
            pairs++;
          } else {
            other += d;
          }
        }
      }
      assertTrue(same / pairs < other / (190 - pairs), same + " and " + other);
    }
  }

  @Test
  void pointsHaveNoFeatures() {
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class, () -> value(new ConsistencyMetric.Features(), 1, 1));
    assertTrue(e.getMessage().contains("compares grey images"), e.getMessage());
  }

  /** The feature network saw grey digits: three channels are none of them. */
  @Test
  void colourImagesHaveNoFeatures() {
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Tensor colour = Tensor.zeros(device, Shape.of(1, 8, 8, 3));
      Tensor one = Tensor.of(device, Shape.of(1), 1f);
      ConsistencyMetric paper = ConsistencyTraining.Config.paper().metric();
      assertEquals(paper, ConsistencyDistillation.Config.paper().metric());
      ConsistencyMetric.Distance distance = paper.on(device);
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class,
              () -> distance.between(Var.constant(colour), colour, one));
      assertEquals(
          "the feature metric compares grey images [N,H,W,1], not samples [1,8,8,3]; other data fit"
              + " squared L2, L1, Huber or pseudo-Huber",
          e.getMessage());
    }
  }
}
