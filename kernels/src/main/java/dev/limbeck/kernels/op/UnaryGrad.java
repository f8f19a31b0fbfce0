package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Multiplies a gradient by the derivative of a {@link Unary} function: dx ← g·f'(s), where s is
 * what the function saved: its result for EXP, SQRT, SIGMOID and TANH, else its argument. dx may be
 * g.
 *
 * <p>At kinks: |x| has slope 0 at 0, a leaky ReLU has its left slope there, and clamping lets the
 * gradient pass at both ends.
 */
@Definition(formula = "dx = g·f′(x)", cost = "12n bytes")
public record UnaryGrad(Unary.Op op, float p, float q, Buffer g, Buffer s, Buffer dx)
    implements Kernel {
  public UnaryGrad {
    if (g.length() != s.length() || g.length() != dx.length()) {
      throw new IllegalArgumentException(op + " gradient: lengths differ");
    }
  }

  @Override
  public String name() {
    return op.name().toLowerCase(java.util.Locale.ROOT) + "_grad";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(g, s, dx);
  }

  @Override
  public double flops() {
    return (op.flops() + 2) * dx.length();
  }

  @Override
  public Kernel on(Operands by) {
    return new UnaryGrad(op, p, q, by.read(g), by.read(s), by.written(dx));
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] gs = g.floats();
    float[] ss = s.floats();
    float[] ds = dx.floats();
    ranges.split(
        g.length(),
        Axpy.GRAIN,
        (from, to) -> {
          int done = 0;
          int n = to - from;
          if (ranges.simd()) {
            done =
                Simd.run(
                    op, p, gs, g.offset() + from, ss, s.offset() + from, ds, dx.offset() + from, n);
          }
          int first = from + done;
          run(gs, g.offset() + first, ss, s.offset() + first, ds, dx.offset() + first, n - done);
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    cuda.kernel("unary", name() + "_f32").i32(g.length()).f32(p).f32(q);
    cuda.pointer(g).pointer(s).pointer(dx);
    cuda.launch(cuda.blocks((g.length() + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }

  private void run(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    switch (op) {
      case NEG -> affine(g, go, d, o, n, -1f);
      case EXP -> exp(g, go, s, so, d, o, n);
      case LOG -> log(g, go, s, so, d, o, n);
      case SQRT -> sqrt(g, go, s, so, d, o, n);
      case SQUARE -> square(g, go, s, so, d, o, n);
      case ABS -> abs(g, go, s, so, d, o, n);
      case POW -> pow(g, go, s, so, d, o, n, p);
      case CLAMP -> clamp(g, go, s, so, d, o, n, p, q);
      case SIGMOID -> sigmoid(g, go, s, so, d, o, n);
      case TANH -> tanh(g, go, s, so, d, o, n);
      case SILU -> silu(g, go, s, so, d, o, n);
      case GELU -> gelu(g, go, s, so, d, o, n);
      case LEAKY_RELU -> leakyRelu(g, go, s, so, d, o, n, p);
      case SOFTPLUS -> softplus(g, go, s, so, d, o, n);
      case AFFINE -> affine(g, go, d, o, n, p);
    }
  }

  private static void affine(float[] g, int go, float[] d, int o, int n, float p) {
    for (int i = 0; i < n; i++) {
      d[o + i] = p * g[go + i];
    }
  }

  private static void exp(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      d[o + i] = g[go + i] * s[so + i];
    }
  }

  private static void log(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      d[o + i] = g[go + i] / s[so + i];
    }
  }

  private static void sqrt(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      d[o + i] = g[go + i] / (s[so + i] + s[so + i]);
    }
  }

  private static void square(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      d[o + i] = g[go + i] * (s[so + i] + s[so + i]);
    }
  }

  private static void abs(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      d[o + i] = g[go + i] * Math.signum(s[so + i]);
    }
  }

  private static void pow(float[] g, int go, float[] s, int so, float[] d, int o, int n, float p) {
    for (int i = 0; i < n; i++) {
      d[o + i] = g[go + i] * (float) (p * StrictMath.pow(s[so + i], p - 1.0));
    }
  }

  private static void clamp(
      float[] g, int go, float[] s, int so, float[] d, int o, int n, float p, float q) {
    for (int i = 0; i < n; i++) {
      d[o + i] = s[so + i] >= p && s[so + i] <= q ? g[go + i] : 0f;
    }
  }

  private static void sigmoid(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      d[o + i] = g[go + i] * (s[so + i] * (1f - s[so + i]));
    }
  }

  private static void tanh(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      d[o + i] = g[go + i] * Math.fma(-s[so + i], s[so + i], 1f);
    }
  }

  private static void silu(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      float x = s[so + i];
      float f = Mathf.sigmoid(x);
      d[o + i] = g[go + i] * Math.fma(x * f, 1f - f, f);
    }
  }

  private static void gelu(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      float x = s[so + i];
      d[o + i] = g[go + i] * Math.fma(x, Mathf.normalPdf(x), Mathf.normalCdf(x));
    }
  }

  private static void leakyRelu(
      float[] g, int go, float[] s, int so, float[] d, int o, int n, float p) {
    for (int i = 0; i < n; i++) {
      d[o + i] = s[so + i] > 0f ? g[go + i] : p * g[go + i];
    }
  }

  private static void softplus(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
    for (int i = 0; i < n; i++) {
      d[o + i] = g[go + i] * Mathf.sigmoid(s[so + i]);
    }
  }

  /** The same on vectors; answers how many elements it did. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int run(
        Unary.Op op, float p, float[] g, int go, float[] s, int so, float[] d, int o, int n) {
      int whole = S.loopBound(n);
      switch (op) {
        case SILU -> silu(g, go, s, so, d, o, whole);
        case GELU -> gelu(g, go, s, so, d, o, whole);
        case SOFTPLUS -> softplus(g, go, s, so, d, o, whole);
        case LEAKY_RELU -> leakyRelu(g, go, s, so, d, o, whole, p);
        case EXP -> exp(g, go, s, so, d, o, whole);
        case SQUARE -> square(g, go, s, so, d, o, whole);
        case SIGMOID -> sigmoid(g, go, s, so, d, o, whole);
        case TANH -> tanh(g, go, s, so, d, o, whole);
        default -> {
          return 0;
        }
      }
      return whole;
    }

    private static void silu(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector x = FloatVector.fromArray(S, s, so + i);
        FloatVector f = Mathf.Simd.sigmoid(x);
        FloatVector slope = x.mul(f).fma(x.broadcast(1f).sub(f), f);
        FloatVector.fromArray(S, g, go + i).mul(slope).intoArray(d, o + i);
      }
    }

    private static void gelu(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector x = FloatVector.fromArray(S, s, so + i);
        FloatVector slope = x.fma(Mathf.Simd.normalPdf(x), Mathf.Simd.normalCdf(x));
        FloatVector.fromArray(S, g, go + i).mul(slope).intoArray(d, o + i);
      }
    }

    private static void softplus(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector slope = Mathf.Simd.sigmoid(FloatVector.fromArray(S, s, so + i));
        FloatVector.fromArray(S, g, go + i).mul(slope).intoArray(d, o + i);
      }
    }

    private static void leakyRelu(
        float[] g, int go, float[] s, int so, float[] d, int o, int n, float p) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, g, go + i);
        FloatVector x = FloatVector.fromArray(S, s, so + i);
        v.mul(p).blend(v, x.compare(VectorOperators.GT, 0f)).intoArray(d, o + i);
      }
    }

    private static void exp(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, s, so + i);
        FloatVector.fromArray(S, g, go + i).mul(v).intoArray(d, o + i);
      }
    }

    private static void square(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, s, so + i);
        FloatVector.fromArray(S, g, go + i).mul(v.add(v)).intoArray(d, o + i);
      }
    }

    private static void sigmoid(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, s, so + i);
        FloatVector.fromArray(S, g, go + i).mul(v.mul(v.broadcast(1f).sub(v))).intoArray(d, o + i);
      }
    }

    private static void tanh(float[] g, int go, float[] s, int so, float[] d, int o, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, s, so + i);
        FloatVector.fromArray(S, g, go + i)
            .mul(v.neg().fma(v, v.broadcast(1f)))
            .intoArray(d, o + i);
      }
    }
  }
}
