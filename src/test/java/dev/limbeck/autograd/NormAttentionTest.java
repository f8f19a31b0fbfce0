package dev.limbeck.autograd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.cpu.CpuDevice;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** Normalisations, attention and resizing against plain double loops, values and gradients. */
class NormAttentionTest {
  private static double act(double u, boolean silu) {
    return silu ? u / (1 + Math.exp(-u)) : u;
  }

  /** y of group normalisation, from the definition. Arguments: x, γ, β, scale, shift. */
  private static double[] groupNorm(
      double[][] in, int n, int pixels, int c, int groups, double eps, boolean silu) {
    double[] y = new double[in[0].length];
    int per = c / groups;
    for (int s = 0; s < n; s++) {
      for (int g = 0; g < groups; g++) {
        double mean = 0;
        double square = 0;
        for (int p = 0; p < pixels; p++) {
          for (int j = g * per; j < (g + 1) * per; j++) {
            mean += in[0][(s * pixels + p) * c + j] / (pixels * per);
          }
        }
        for (int p = 0; p < pixels; p++) {
          for (int j = g * per; j < (g + 1) * per; j++) {
            square += Math.pow(in[0][(s * pixels + p) * c + j] - mean, 2) / (pixels * per);
          }
        }
        for (int p = 0; p < pixels; p++) {
          for (int j = g * per; j < (g + 1) * per; j++) {
            int i = (s * pixels + p) * c + j;
            double u = (in[0][i] - mean) / Math.sqrt(square + eps) * in[1][j] + in[2][j];
            if (in.length > 3) {
              u = u * (1 + in[3][s * c + j]) + in[4][s * c + j];
            }
            y[i] = act(u, silu);
          }
        }
      }
    }
    return y;
  }

  /** O of attention, from the definition. Arguments: q, k, v. */
  private static double[] attention(
      double[][] in, int n, int tq, int tk, int heads, int d, double scale) {
    double[] o = new double[in[0].length];
    int row = heads * d;
    for (int s = 0; s < n; s++) {
      for (int h = 0; h < heads; h++) {
        for (int i = 0; i < tq; i++) {
          double[] w = new double[tk];
          double sum = 0;
          for (int j = 0; j < tk; j++) {
            for (int c = 0; c < d; c++) {
              w[j] += in[0][(s * tq + i) * row + h * d + c] * in[1][(s * tk + j) * row + h * d + c];
            }
            w[j] = Math.exp(scale * w[j]);
            sum += w[j];
          }
          for (int j = 0; j < tk; j++) {
            for (int c = 0; c < d; c++) {
              o[(s * tq + i) * row + h * d + c] +=
                  w[j] / sum * in[2][(s * tk + j) * row + h * d + c];
            }
          }
        }
      }
    }
    return o;
  }

  /** Compares values, and directional derivatives by central differences in double. */
  private static void check(
      List<Shape> shapes, Function<Var[], Var> op, Function<double[][], double[]> oracle) {
    float[][] reference = null;
    for (boolean simd : new boolean[] {false, true}) {
      for (int threads = 1; threads <= 2; threads++) {
        try (CpuDevice device = CpuDevice.open(simd, threads)) {
          float[][] results = run(device, shapes, op);
          if (reference == null) {
            reference = results;
            compare(shapes, results, oracle);
          }
          for (int i = 0; i < results.length; i++) {
            assertArrayEquals(reference[i], results[i], "simd " + simd + ", threads " + threads);
          }
          assertEquals(0, device.memory().liveBuffers());
        }
      }
    }
  }

  private static float[] host(Shape shape, int index) {
    float[] values = new float[shape.size()];
    Rng.of(17).split(index).normal(values);
    return values;
  }

  /** The result, then the gradient of every input for a random gradient of the result. */
  private static float[][] run(Device device, List<Shape> shapes, Function<Var[], Var> op) {
    try (Scope scope = Scope.open()) {
      Var[] inputs = new Var[shapes.size()];
      float[][] results = new float[shapes.size() + 1][];
      try (Tape tape = Tape.open(List.of())) {
        for (int i = 0; i < inputs.length; i++) {
          Shape s = shapes.get(i);
          inputs[i] = tape.inputWithGradient(Tensor.of(device, s, host(s, i)));
        }
        Var y = op.apply(inputs);
        results[0] = y.value().toFloats();
        tape.backward(y, Tensor.of(device, y.shape(), host(y.shape(), 100)));
        for (int i = 0; i < inputs.length; i++) {
          results[i + 1] = inputs[i].gradient().toFloats();
        }
      }
      return results;
    }
  }

  private static void compare(
      List<Shape> shapes, float[][] results, Function<double[][], double[]> oracle) {
    double[][] in = new double[shapes.size()][];
    for (int i = 0; i < in.length; i++) {
      in[i] = doubles(host(shapes.get(i), i));
    }
    double[] y = oracle.apply(in);
    for (int i = 0; i < y.length; i++) {
      // Single precision over sums of some hundred terms.
      assertEquals(y[i], results[0][i], 2e-5 * (1 + Math.abs(y[i])), "y[" + i + "]");
    }
    double[] dy = doubles(host(Shape.of(y.length), 100));
    double h = 1e-5;
    for (int a = 0; a < in.length; a++) {
      for (int trial = 0; trial < 3; trial++) {
        double[] direction = doubles(host(shapes.get(a), 200 + 10 * a + trial));
        double expected =
            (dot(dy, oracle.apply(moved(in, a, direction, h)))
                    - dot(dy, oracle.apply(moved(in, a, direction, -h))))
                / (2 * h);
        double norm = Math.sqrt(dot(doubles(results[a + 1]), doubles(results[a + 1])));
        double size = norm * Math.sqrt(dot(direction, direction));
        assertEquals(
            expected, dot(doubles(results[a + 1]), direction), 2e-6 * size + 1e-6, "input " + a);
      }
    }
  }

  private static double[][] moved(double[][] in, int index, double[] direction, double h) {
    double[][] copy = in.clone();
    copy[index] = in[index].clone();
    for (int i = 0; i < direction.length; i++) {
      copy[index][i] += h * direction[i];
    }
    return copy;
  }

  private static double[] doubles(float[] x) {
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = x[i];
    }
    return y;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static void groupNormCase(
      int n, int pixels, int c, int groups, boolean silu, boolean modulated) {
    Shape x = Shape.of(n, pixels, c);
    Shape channel = Shape.of(c);
    Shape sample = Shape.of(n, c);
    List<Shape> shapes =
        modulated ? List.of(x, channel, channel, sample, sample) : List.of(x, channel, channel);
    check(
        shapes,
        v ->
            modulated
                ? v[0].groupNorm(groups, v[1], v[2], 1e-5f, silu, v[3], v[4])
                : v[0].groupNorm(groups, v[1], v[2], 1e-5f, silu),
        in -> groupNorm(in, n, pixels, c, groups, 1e-5, silu));
  }

  @Test
  void groupNormOfManySamples() {
    groupNormCase(5, 9, 64, 16, true, false);
  }

  @Test
  void groupNormOfOneLargeSample() {
    groupNormCase(1, 700, 24, 4, true, true);
  }

  @Test
  void groupNormWithoutActivationOnRaggedChannels() {
    groupNormCase(2, 300, 21, 7, false, false);
    groupNormCase(3, 1, 6, 2, false, true);
  }

  private static void attentionCase(int n, int queries, int keys, int heads, int d) {
    Shape q = Shape.of(n, queries, heads * d);
    Shape k = Shape.of(n, keys, heads * d);
    float scale = (float) (1 / Math.sqrt(d));
    check(
        List.of(q, k, k),
        v -> Var.attention(v[0], v[1], v[2], heads, scale),
        in -> attention(in, n, queries, keys, heads, d, scale));
  }

  @Test
  void attentionWithinOneBlock() {
    attentionCase(2, 16, 16, 2, 8);
  }

  @Test
  void attentionOverSeveralRaggedBlocks() {
    attentionCase(1, 150, 150, 1, 19);
  }

  @Test
  void attentionOverOtherKeys() {
    attentionCase(2, 5, 70, 3, 4);
  }

  /** Layer or root-mean-square normalisation from the definition. Arguments: x, and maybe γ, β. */
  private static double[] rowNorm(double[][] in, int c, boolean centred, double eps) {
    double[] y = new double[in[0].length];
    for (int row = 0; row < y.length; row += c) {
      double mean = 0;
      for (int j = 0; j < c && centred; j++) {
        mean += in[0][row + j] / c;
      }
      double square = 0;
      for (int j = 0; j < c; j++) {
        square += Math.pow(in[0][row + j] - mean, 2) / c;
      }
      for (int j = 0; j < c; j++) {
        double v = (in[0][row + j] - mean) / Math.sqrt(square + eps);
        y[row + j] = in.length > 1 ? v * in[1][j] + in[2][j] : v;
      }
    }
    return y;
  }

  @Test
  void layerNorm() {
    for (int c : new int[] {5, 16, 67}) {
      List<Shape> shapes = List.of(Shape.of(3, 50, c), Shape.of(c), Shape.of(c));
      check(shapes, v -> v[0].layerNorm(v[1], v[2], 1e-6f), in -> rowNorm(in, c, true, 1e-6));
    }
    // More rows than one chunk holds, so that sums of chunks are added.
    check(
        List.of(Shape.of(700, 24), Shape.of(24), Shape.of(24)),
        v -> v[0].layerNorm(v[1], v[2], 1e-6f),
        in -> rowNorm(in, 24, true, 1e-6));
  }

  @Test
  void rmsNorm() {
    check(
        List.of(Shape.of(2, 3, 45)), v -> v[0].rmsNorm(1e-4f), in -> rowNorm(in, 45, false, 1e-4));
  }

  /** Bilinear resizing of one axis; the other rules are exact in few lines below. */
  private static double bilinear(double[] line, double at) {
    double x = Math.max(0, Math.min(line.length - 1, at));
    int low = (int) Math.floor(x);
    int high = Math.min(low + 1, line.length - 1);
    return line[low] + (x - low) * (line[high] - line[low]);
  }

  @Test
  void resizing() {
    for (int c : new int[] {3, 32, 21}) {
      Shape shape = Shape.of(2, 6, 4, c);
      check(
          List.of(shape),
          v -> v[0].avgPool(2),
          in -> resized(in[0], 6, 4, c, 3, 2, OpKind.AVERAGE));
      check(
          List.of(shape),
          v -> v[0].resizeNearest(12, 5),
          in -> resized(in[0], 6, 4, c, 12, 5, OpKind.NEAREST));
      check(
          List.of(shape),
          v -> v[0].resizeBilinear(9, 3),
          in -> resized(in[0], 6, 4, c, 9, 3, OpKind.BILINEAR));
    }
  }

  private enum OpKind {
    AVERAGE,
    NEAREST,
    BILINEAR
  }

  private static double[] resized(double[] x, int h, int w, int c, int toH, int toW, OpKind kind) {
    double[] y = new double[x.length / (h * w) * toH * toW];
    for (int i = 0; i < y.length; i++) {
      int channel = i % c;
      int column = i / c % toW;
      int row = i / c / toW % toH;
      int sample = i / c / toW / toH;
      double[] line = new double[h];
      for (int a = 0; a < h; a++) {
        double[] across = new double[w];
        for (int b = 0; b < w; b++) {
          across[b] = x[((sample * h + a) * w + b) * c + channel];
        }
        line[a] = one(across, column, toW, kind);
      }
      y[i] = one(line, row, toH, kind);
    }
    return y;
  }

  private static double one(double[] line, int i, int out, OpKind kind) {
    int n = line.length;
    return switch (kind) {
      case AVERAGE -> (line[2 * i] + line[2 * i + 1]) / 2;
      case NEAREST -> line[(int) Math.floor((double) i * n / out)];
      case BILINEAR -> bilinear(line, (i + 0.5) * n / out - 0.5);
    };
  }
}
