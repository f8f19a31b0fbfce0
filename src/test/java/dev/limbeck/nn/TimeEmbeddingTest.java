package dev.limbeck.nn;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.limbeck.autograd.Tape;
import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.nn.UNetConfig.TimeFeatures;
import dev.limbeck.nn.UNetConfig.TimeKind;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;

class TimeEmbeddingTest {
  private static float[] features(TimeFeatures features, int width, float... t) {
    try (CpuDevice device = CpuDevice.open(false, 1);
        Scope scope = Scope.open();
        TimeEmbedding embedding = new TimeEmbedding(device, features, width)) {
      Var beside = Var.constant(Tensor.zeros(device, Shape.of(1)));
      return embedding
          .forward(Var.constant(Tensor.of(device, Shape.of(t.length), t)), beside)
          .value()
          .toFloats();
    }
  }

  @Test
  void positionalFeaturesFollowTheFormula() {
    for (float shift : new float[] {0f, 1f}) {
      for (boolean cosineFirst : new boolean[] {false, true}) {
        float[] y =
            features(
                new TimeFeatures(TimeKind.POSITIONAL, cosineFirst, shift, 0f, 2f), 7, 3f, 0.25f);
        for (int n = 0; n < 2; n++) {
          for (int k = 0; k < 3; k++) {
            double angle = (n == 0 ? 6 : 0.5) * Math.pow(10000, -k / (3.0 - shift));
            double sine = y[7 * n + k + (cosineFirst ? 3 : 0)];
            double cosine = y[7 * n + k + (cosineFirst ? 0 : 3)];
            assertEquals(Math.sin(angle), sine, 1e-6);
            assertEquals(Math.cos(angle), cosine, 1e-6);
          }
          assertEquals(0f, y[7 * n + 6], "an odd width ends in a zero");
        }
      }
    }
  }

  @Test
  void randomFrequenciesAreFixedAndHaveTheirBandwidth() {
    float[] y = features(TimeFeatures.fourier(0.1f), 4000, 0.01f);
    double sum = 0;
    for (int k = 0; k < 2000; k++) {
      double f = Math.asin(y[k]) / (2 * Math.PI * 0.01);
      sum += f * f;
    }
    assertEquals(0.1, Math.sqrt(sum / 2000), 0.005);
    float[] log = features(new TimeFeatures(TimeKind.FOURIER_OF_LOG, false, 0f, 0.1f, 1f), 4, 2f);
    float[] plain = features(TimeFeatures.fourier(0.1f), 4, (float) Math.log(2));
    for (int i = 0; i < 4; i++) {
      assertEquals(plain[i], log[i], 1e-6);
    }
  }

  /** Tangents and gradients by the formula, at frequencies that no difference quotient follows. */
  @Test
  void derivativesFollowTheFormula() {
    List<TimeFeatures> kinds =
        List.of(
            new TimeFeatures(TimeKind.FOURIER_OF_LOG, true, 0f, 16f, 3f),
            new TimeFeatures(TimeKind.FOURIER, false, 0f, 2f, 1f),
            new TimeFeatures(TimeKind.POSITIONAL, true, 1f, 0f, 2f));
    float[] t = {0.4f, 1.7f};
    float[] along = {2f, -1f};
    int width = 9;
    int half = width / 2;
    for (TimeFeatures kind : kinds) {
      try (CpuDevice device = CpuDevice.open(false, 1);
          TimeEmbedding embedding = new TimeEmbedding(device, kind, width);
          Tape tape = Tape.open(List.of())) {
        Var input = tape.inputWithGradient(Tensor.of(device, Shape.of(2), t));
        Var y = embedding.forward(input.withTangent(Tensor.of(device, Shape.of(2), along)), input);
        float[] tangent = y.tangent().toFloats();
        float[] f = embedding.frequencies().toFloats();
        float[] u = new float[2 * width];
        Rng.of(3).normal(u);
        tape.backward(y, Tensor.of(device, y.shape(), u));
        boolean log = kind.kind() == TimeKind.FOURIER_OF_LOG;
        double turn = kind.kind() == TimeKind.POSITIONAL ? 1 : 2 * Math.PI;
        for (int n = 0; n < 2; n++) {
          double x = log ? Math.log(kind.scale() * t[n]) : kind.scale() * t[n];
          double inner = log ? 1.0 / t[n] : kind.scale();
          double gradient = 0;
          double size = 0;
          for (int k = 0; k < half; k++) {
            double rate = turn * f[k] * inner;
            int sine = n * width + k + (kind.cosineFirst() ? half : 0);
            int cosine = n * width + k + (kind.cosineFirst() ? 0 : half);
            double rises = rate * Math.cos(turn * f[k] * x);
            double falls = -rate * Math.sin(turn * f[k] * x);
            // Angles of some hundreds are rounded by 1e-5.
            double tolerance = 3e-5 * Math.abs(rate * along[n]);
            assertEquals(rises * along[n], tangent[sine], tolerance, kind + ", sine " + k);
            assertEquals(falls * along[n], tangent[cosine], tolerance, kind + ", cosine " + k);
            gradient += u[sine] * rises + u[cosine] * falls;
            size += Math.abs(rate);
          }
          assertEquals(0f, tangent[n * width + width - 1], 0f);
          assertEquals(gradient, input.gradient().toFloats()[n], 1e-4 * size, kind + ", gradient");
        }
      }
    }
  }

  @Test
  void otherShapesAreRefused() {
    try (CpuDevice device = CpuDevice.open(false, 1);
        Scope scope = Scope.open();
        TimeEmbedding embedding = new TimeEmbedding(device, TimeFeatures.positional(), 4)) {
      Tensor t = Tensor.zeros(device, Shape.of(2, 1));
      assertThrows(ShapeException.class, () -> embedding.forward(Var.constant(t), Var.constant(t)));
    }
  }
}
