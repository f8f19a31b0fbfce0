package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
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
 * Applies a function to each element: y ← f(x; p, q). y may be x.
 *
 * <p>Each function has its own loop: one loop that calls a function object is forty times slower
 * once it has met several.
 */
@Definition(
    formula = "y = f(x), f one of 15 functions",
    cost = "8n bytes; a transcendental function about 20 flops per element")
public record Unary(Op op, float p, float q, Buffer x, Buffer y) implements Kernel {
  /** The functions. */
  public enum Op {
    NEG,
    EXP,
    LOG,
    SQRT,
    SQUARE,
    ABS,
    /** x^p. */
    POW,
    /** min(max(x, p), q). */
    CLAMP,
    SIGMOID,
    TANH,
    /** x·sigmoid(x). */
    SILU,
    /** x·Φ(x), with Φ the normal distribution function. */
    GELU,
    /** x if positive, else p·x. */
    LEAKY_RELU,
    /** ln(1 + e^x). */
    SOFTPLUS,
    /** p·x + q. */
    AFFINE;

    /** Operations on an element, those of a polynomial included. */
    double flops() {
      return switch (this) {
        case NEG, ABS, SQRT, SQUARE -> 1;
        case CLAMP, LEAKY_RELU, AFFINE -> 2;
        case EXP, LOG, SIGMOID, TANH, SILU, SOFTPLUS -> 20;
        case GELU, POW -> 40;
      };
    }
  }

  public Unary {
    if (x.length() != y.length()) {
      throw new IllegalArgumentException(op + ": " + x.length() + " against " + y.length());
    }
  }

  @Override
  public String name() {
    return op.name().toLowerCase(java.util.Locale.ROOT);
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(x, y);
  }

  @Override
  public double flops() {
    return op.flops() * x.length();
  }

  @Override
  public boolean takesHalves(int ptx) {
    return ptx > 0 && op == Op.AFFINE && x.type() == y.type();
  }

  @Override
  public Kernel on(Operands by) {
    return new Unary(op, p, q, by.read(x), by.written(y));
  }

  @Override
  public void onCpu(Ranges ranges) {
    float[] xs = x.floats();
    float[] ys = y.floats();
    ranges.split(
        x.length(),
        Axpy.GRAIN,
        (from, to) -> {
          int xo = x.offset() + from;
          int yo = y.offset() + from;
          int n = to - from;
          int done = ranges.simd() ? Simd.run(op, p, q, xs, xo, ys, yo, n) : 0;
          run(op, p, q, xs, xo + done, ys, yo + done, n - done);
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    if (y.type() == DType.BF16) {
      cuda.kernel("halves", "affine_bf16").i32(x.length()).f32(p).f32(q).pointer(x).pointer(y);
      cuda.launch(cuda.blocks((x.length() + 7) / 8, Launcher.THREADS), Launcher.THREADS);
      return;
    }
    cuda.kernel("unary", name() + "_f32").i32(x.length()).f32(p).f32(q).pointer(x).pointer(y);
    cuda.launch(cuda.blocks((x.length() + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }

  private static void run(Op op, float p, float q, float[] x, int xo, float[] y, int yo, int n) {
    switch (op) {
      case NEG -> affine(x, xo, y, yo, n, -1f, -0f);
      case EXP -> exp(x, xo, y, yo, n);
      case LOG -> log(x, xo, y, yo, n);
      case SQRT -> sqrt(x, xo, y, yo, n);
      case SQUARE -> square(x, xo, y, yo, n);
      case ABS -> abs(x, xo, y, yo, n);
      case POW -> pow(x, xo, y, yo, n, p);
      case CLAMP -> clamp(x, xo, y, yo, n, p, q);
      case SIGMOID -> sigmoid(x, xo, y, yo, n);
      case TANH -> tanh(x, xo, y, yo, n);
      case SILU -> silu(x, xo, y, yo, n);
      case GELU -> gelu(x, xo, y, yo, n);
      case LEAKY_RELU -> leakyRelu(x, xo, y, yo, n, p);
      case SOFTPLUS -> softplus(x, xo, y, yo, n);
      case AFFINE -> affine(x, xo, y, yo, n, p, q);
    }
  }

  private static void exp(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Mathf.exp(x[xo + i]);
    }
  }

  private static void log(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Mathf.log(x[xo + i]);
    }
  }

  private static void sqrt(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = (float) Math.sqrt(x[xo + i]);
    }
  }

  private static void square(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = x[xo + i] * x[xo + i];
    }
  }

  private static void abs(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Math.abs(x[xo + i]);
    }
  }

  /** In double precision: a float's logarithm would lose digits when multiplied by p. */
  private static void pow(float[] x, int xo, float[] y, int yo, int n, float p) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = (float) StrictMath.pow(x[xo + i], p);
    }
  }

  private static void clamp(float[] x, int xo, float[] y, int yo, int n, float p, float q) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Math.min(Math.max(x[xo + i], p), q);
    }
  }

  private static void sigmoid(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Mathf.sigmoid(x[xo + i]);
    }
  }

  private static void tanh(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Mathf.tanh(x[xo + i]);
    }
  }

  private static void silu(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Mathf.silu(x[xo + i]);
    }
  }

  private static void gelu(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = x[xo + i] * Mathf.normalCdf(x[xo + i]);
    }
  }

  private static void leakyRelu(float[] x, int xo, float[] y, int yo, int n, float p) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = x[xo + i] > 0f ? x[xo + i] : p * x[xo + i];
    }
  }

  private static void softplus(float[] x, int xo, float[] y, int yo, int n) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Mathf.softplus(x[xo + i]);
    }
  }

  private static void affine(float[] x, int xo, float[] y, int yo, int n, float p, float q) {
    for (int i = 0; i < n; i++) {
      y[yo + i] = Math.fma(p, x[xo + i], q);
    }
  }

  /** The same on vectors; answers how many elements it did. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int run(Op op, float p, float q, float[] x, int xo, float[] y, int yo, int n) {
      int whole = S.loopBound(n);
      switch (op) {
        case EXP -> exp(x, xo, y, yo, whole);
        case LOG -> log(x, xo, y, yo, whole);
        case SIGMOID -> sigmoid(x, xo, y, yo, whole);
        case TANH -> tanh(x, xo, y, yo, whole);
        case SILU -> silu(x, xo, y, yo, whole);
        case GELU -> gelu(x, xo, y, yo, whole);
        case LEAKY_RELU -> leakyRelu(x, xo, y, yo, whole, p);
        case SOFTPLUS -> softplus(x, xo, y, yo, whole);
        case AFFINE -> affine(x, xo, y, yo, whole, p, q);
        case NEG -> affine(x, xo, y, yo, whole, -1f, -0f);
        case SQUARE -> square(x, xo, y, yo, whole);
        case ABS -> abs(x, xo, y, yo, whole);
        case SQRT -> sqrt(x, xo, y, yo, whole);
        case CLAMP -> clamp(x, xo, y, yo, whole, p, q);
        default -> {
          return 0;
        }
      }
      return whole;
    }

    private static void exp(float[] x, int xo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        Mathf.Simd.exp(FloatVector.fromArray(S, x, xo + i)).intoArray(y, yo + i);
      }
    }

    private static void log(float[] x, int xo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        Mathf.Simd.log(FloatVector.fromArray(S, x, xo + i)).intoArray(y, yo + i);
      }
    }

    private static void sigmoid(float[] x, int xo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        Mathf.Simd.sigmoid(FloatVector.fromArray(S, x, xo + i)).intoArray(y, yo + i);
      }
    }

    private static void tanh(float[] x, int xo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        Mathf.Simd.tanh(FloatVector.fromArray(S, x, xo + i)).intoArray(y, yo + i);
      }
    }

    private static void silu(float[] x, int xo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, x, xo + i);
        Mathf.Simd.silu(v).intoArray(y, yo + i);
      }
    }

    private static void gelu(float[] x, int xo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, x, xo + i);
        v.mul(Mathf.Simd.normalCdf(v)).intoArray(y, yo + i);
      }
    }

    private static void leakyRelu(float[] x, int xo, float[] y, int yo, int n, float p) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, x, xo + i);
        v.mul(p).blend(v, v.compare(VectorOperators.GT, 0f)).intoArray(y, yo + i);
      }
    }

    private static void softplus(float[] x, int xo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        Mathf.Simd.softplus(FloatVector.fromArray(S, x, xo + i)).intoArray(y, yo + i);
      }
    }

    private static void affine(float[] x, int xo, float[] y, int yo, int n, float p, float q) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, x, xo + i);
        v.broadcast(p).fma(v, v.broadcast(q)).intoArray(y, yo + i);
      }
    }

    private static void square(float[] x, int xo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, x, xo + i);
        v.mul(v).intoArray(y, yo + i);
      }
    }

    private static void abs(float[] x, int xo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, x, xo + i);
        v.abs().intoArray(y, yo + i);
      }
    }

    private static void sqrt(float[] x, int xo, float[] y, int yo, int n) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, x, xo + i);
        v.sqrt().intoArray(y, yo + i);
      }
    }

    private static void clamp(float[] x, int xo, float[] y, int yo, int n, float p, float q) {
      for (int i = 0; i < n; i += S.length()) {
        FloatVector v = FloatVector.fromArray(S, x, xo + i);
        v.max(p).min(q).intoArray(y, yo + i);
      }
    }
  }
}
