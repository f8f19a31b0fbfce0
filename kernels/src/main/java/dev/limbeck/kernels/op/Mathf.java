package dev.limbeck.kernels.op;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Transcendental functions in single precision, as polynomials of our own.
 *
 * <p>{@code Math} and the Vector API's own functions give other bits from one JDK to the next, or
 * interpreted than compiled. Here every step is one correctly rounded operation, in the same order
 * for a float and for a vector of floats, so that both paths give the same bits everywhere. The
 * coefficients are minimax fits (Lawson's iteration on 2000 Chebyshev nodes, rounded to float).
 */
public final class Mathf {
  private static final float LOG2_E = 1.44269504f;
  // ln 2 in two parts: the float nearest to it (enough for e^-|x|), and the rest.
  private static final float LN2_HIGH = 0.69314718f;
  private static final float LN2_LOW = -1.90465430e-9f;

  /** Adding 1.5·2^23 rounds to an integer, which then stands in the low bits. */
  private static final float ROUND = 12582912f;

  private static final int ROUND_BITS = 0x4B400000;

  // e^x is 0 below and infinite above.
  private static final float EXP_MIN = -104.5f;
  private static final float EXP_MAX = 89f;

  // e^r = 1 + r + r²·q(r) for |r| ≤ ln(2)/2, relative error 3.1e-9.
  private static final float E0 = 4.999999404e-01f;
  private static final float E1 = 1.666651964e-01f;
  private static final float E2 = 4.166839272e-02f;
  private static final float E3 = 8.368780836e-03f;
  private static final float E4 = 1.381446491e-03f;

  // e^-r = 1 + r·p(r) for |r| ≤ ln(2)/2, relative error 9.2e-8.
  private static final float N1 = -9.999997020e-01f;
  private static final float N2 = 4.999914765e-01f;
  private static final float N3 = -1.666763872e-01f;
  private static final float N4 = 4.189815745e-02f;
  private static final float N5 = -8.290270343e-03f;

  /** Bits of 87: e^-87 is just above the smallest normal number. */
  private static final int FAR_BITS = 0x42AE0000;

  private static final int MAGNITUDE = 0x7FFFFFFF;

  // log(1+f) = f - f²/2 + f³·p(f) for √½ ≤ 1+f ≤ √2, relative error 7.5e-10.
  private static final float L0 = 3.333331347e-01f;
  private static final float L1 = -2.500000894e-01f;
  private static final float L2 = 2.000211924e-01f;
  private static final float L3 = -1.666799635e-01f;
  private static final float L4 = 1.421955079e-01f;
  private static final float L5 = -1.240559146e-01f;
  private static final float L6 = 1.188817471e-01f;
  private static final float L7 = -1.167564094e-01f;
  private static final float L8 = 6.746601313e-02f;

  /** Bits of the float nearest to √½: subtracting them makes the exponent round to nearest. */
  private static final int SQRT_HALF_BITS = 0x3F3504F3;

  private static final float TWO_23 = 8388608f;

  /** Half of the argument beyond which tanh rounds to ±1. */
  private static final float TANH_MAX = 10f;

  // erf(x) = x·p(x²) for |x| ≤ 1, relative error 1.2e-9.
  private static final float R0 = 1.128379107e+00f;
  private static final float R1 = -3.761262596e-01f;
  private static final float R2 = 1.128358543e-01f;
  private static final float R3 = -2.685381100e-02f;
  private static final float R4 = 5.188327748e-03f;
  private static final float R5 = -8.010192541e-04f;
  private static final float R6 = 7.853857824e-05f;

  // erf(x) = 1 - e^q(x) for 1 ≤ x ≤ 4, relative error 1.1e-9; erf(4) = 1 in single precision.
  private static final float ERF_MAX = 4f;
  private static final float Q0 = -3.415125830e-04f;
  private static final float Q1 = -1.127089262e+00f;
  private static final float Q2 = -6.381447315e-01f;
  private static final float Q3 = -1.031068191e-01f;
  private static final float Q4 = 2.183809690e-02f;
  private static final float Q5 = -2.947666915e-03f;
  private static final float Q6 = 1.863800862e-04f;

  static final float SQRT_HALF = 0.70710678f;

  /** 1/√(2π), the height of the standard normal density. */
  static final float INV_SQRT_2PI = 0.39894228f;

  private Mathf() {}

  /** e^x, relative error below 2e-7 (results below 1e-38 round to a denormal). */
  public static float exp(float x) {
    float c = Math.min(Math.max(x, EXP_MIN), EXP_MAX);
    float t = Math.fma(c, LOG2_E, ROUND);
    float n = t - ROUND;
    float r = Math.fma(n, -LN2_LOW, Math.fma(n, -LN2_HIGH, c));
    float q = Math.fma(Math.fma(Math.fma(Math.fma(E4, r, E3), r, E2), r, E1), r, E0);
    float e = Math.fma(r * r, q, r) + 1f;
    int k = Float.floatToRawIntBits(t) - ROUND_BITS;
    // In two factors, because 2^k alone overflows before the result does.
    int half = k >> 1;
    float a = Float.intBitsToFloat((half + 127) << 23);
    float b = Float.intBitsToFloat((k - half + 127) << 23);
    return Float.isNaN(x) ? x : e * a * b;
  }

  /** ln x, relative error below 2e-7; NaN below 0, -∞ at 0. */
  public static float log(float x) {
    if (!(x > 0f) || x == Float.POSITIVE_INFINITY) {
      return x == 0f ? Float.NEGATIVE_INFINITY : x > 0f ? x : Float.NaN;
    }
    boolean tiny = x < Float.MIN_NORMAL;
    int bits = Float.floatToRawIntBits(tiny ? x * TWO_23 : x);
    int exponent = (bits - SQRT_HALF_BITS) >> 23;
    float f = Float.intBitsToFloat(bits - (exponent << 23)) - 1f;
    float n = exponent - (tiny ? 23f : 0f);
    float p = Math.fma(Math.fma(Math.fma(Math.fma(L8, f, L7), f, L6), f, L5), f, L4);
    p = Math.fma(Math.fma(Math.fma(Math.fma(p, f, L3), f, L2), f, L1), f, L0);
    float z = f * f;
    float tail = Math.fma(f * z, p, Math.fma(n, LN2_LOW, z * -0.5f));
    return Math.fma(n, LN2_HIGH, f + tail);
  }

  /** ln(1 + x) for 0 ≤ x, accurate where x is small too. */
  public static float log1p(float x) {
    float w = 1f + x;
    // What rounding 1 + x lost, to first order.
    return w == Float.POSITIVE_INFINITY ? w : log(w) + (x - (w - 1f)) / w;
  }

  /**
   * 1/(1 + e^-x), relative error below 3e-7 for x ≥ -30 and below 6e-7 beyond; up to -87 it is
   * 1.6e-38.
   */
  public static float sigmoid(float x) {
    return Float.isNaN(x) ? x : 1f / onePlusExpMinus(x);
  }

  /** x·sigmoid(x), as one division: relative error as of {@link #sigmoid}. */
  public static float silu(float x) {
    return x / onePlusExpMinus(x);
  }

  /** 1 + e^-x for x between -87 and 87; beyond, and for NaN, its value there. */
  private static float onePlusExpMinus(float x) {
    int bits = Float.floatToRawIntBits(x);
    float m = Float.intBitsToFloat(Math.min(bits & MAGNITUDE, FAR_BITS) | bits & ~MAGNITUDE);
    return 1f + expMinus(m);
  }

  /**
   * e^-|x|, relative error below 3e-7 for |x| ≤ 20 and below 5e-7 beyond; from 87 on it stays at
   * 1.6e-38, for NaN too.
   */
  public static float decay(float x) {
    int bits = Float.floatToRawIntBits(x);
    return expMinus(Float.intBitsToFloat(Math.min(bits & MAGNITUDE, FAR_BITS)));
  }

  /** e^-m for |m| ≤ 87. */
  private static float expMinus(float m) {
    float t = Math.fma(m, -LOG2_E, ROUND);
    float n = t - ROUND;
    float r = Math.fma(n, LN2_HIGH, m);
    float p = Math.fma(Math.fma(Math.fma(N5, r, N4), r, N3), r, N2);
    p = Math.fma(Math.fma(p, r, N1), r, 1f);
    // Times 2^n by an integer addition, which on vectors leaves the multipliers alone.
    return Float.intBitsToFloat(Float.floatToRawIntBits(p) + (Float.floatToRawIntBits(t) << 23));
  }

  /**
   * The hyperbolic tangent as E/(E + 2) with E = e^2x - 1, relative error below 3e-7.
   *
   * <p>E is found without cancellation: 2^k·(e^r - 1) + (2^k - 1).
   */
  public static float tanh(float x) {
    float c = Math.min(Math.max(x, -TANH_MAX), TANH_MAX);
    c = c + c;
    float t = Math.fma(c, LOG2_E, ROUND);
    float n = t - ROUND;
    float r = Math.fma(n, -LN2_LOW, Math.fma(n, -LN2_HIGH, c));
    float q = Math.fma(Math.fma(Math.fma(Math.fma(E4, r, E3), r, E2), r, E1), r, E0);
    float e = Math.fma(r * r, q, r);
    float s = Float.intBitsToFloat((Float.floatToRawIntBits(t) - ROUND_BITS + 127) << 23);
    e = Math.fma(s, e, s - 1f);
    return e / (e + 2f);
  }

  /** The error function, relative error below 2e-7. */
  public static float erf(float x) {
    float a = Math.min(Math.abs(x), ERF_MAX);
    float z = a * a;
    float p = Math.fma(Math.fma(Math.fma(R6, z, R5), z, R4), z, R3);
    p = Math.fma(Math.fma(Math.fma(p, z, R2), z, R1), z, R0);
    float q = Math.fma(Math.fma(Math.fma(Q6, a, Q5), a, Q4), a, Q3);
    q = Math.fma(Math.fma(Math.fma(q, a, Q2), a, Q1), a, Q0);
    return Math.copySign(a <= 1f ? a * p : 1f - exp(q), x);
  }

  /** max(x, 0) + ln(1 + e^-|x|). */
  public static float softplus(float x) {
    return Math.max(x, 0f) + log1p(exp(-Math.abs(x)));
  }

  /** The standard normal distribution function. */
  public static float normalCdf(float x) {
    return 0.5f * (1f + erf(x * SQRT_HALF));
  }

  /** The standard normal density. */
  public static float normalPdf(float x) {
    return INV_SQRT_2PI * exp(-0.5f * x * x);
  }

  /** The same on vectors, bit for bit. */
  static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> I = IntVector.SPECIES_PREFERRED;

    private Simd() {}

    /**
     * u/(1 + e^-u) for u = a·x + b, for some rows of one vector of columns.
     *
     * @param map starts where a and b stand, {@code stride} elements apart
     *     <p>Written out rather than by calls: a function of vectors that was once compiled by
     *     itself may be too large for the compiler to put into a loop, and then every vector that
     *     goes in or comes out is an object on the heap, at a hundred times the cost. Loops that
     *     matter call these. They end there themselves when they grow: beyond HotSpot's limit of
     *     nodes (NodeCountInliningCutoff) the compiler puts off what it inlines, and may end with
     *     the objects.
     *     <p>Bounds are kept on the bits: minimum and maximum of floats are several instructions
     *     each.
     */
    static void silu(
        float[] x, int xo, int rows, int stride, float[] map, int at, float[] y, int to) {
      IntVector magnitude = IntVector.broadcast(I, MAGNITUDE);
      IntVector far = IntVector.broadcast(I, FAR_BITS);
      FloatVector one = FloatVector.broadcast(S, 1f);
      FloatVector round = FloatVector.broadcast(S, ROUND);
      FloatVector a = FloatVector.fromArray(S, map, at);
      FloatVector b = FloatVector.fromArray(S, map, at + stride);
      for (int row = 0; row < rows; row++) {
        FloatVector u = FloatVector.fromArray(S, x, xo + row * stride).fma(a, b);
        IntVector bits = u.reinterpretAsInts();
        IntVector sign = bits.and(magnitude.not());
        FloatVector m = bits.and(magnitude).min(far).or(sign).reinterpretAsFloats();
        FloatVector t = m.fma(one.broadcast(-LOG2_E), round);
        FloatVector r = t.sub(round).fma(one.broadcast(LN2_HIGH), m);
        FloatVector p = r.fma(one.broadcast(N5), one.broadcast(N4)).fma(r, one.broadcast(N3));
        p = p.fma(r, one.broadcast(N2)).fma(r, one.broadcast(N1)).fma(r, one);
        IntVector power = t.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
        FloatVector e = p.reinterpretAsInts().add(power).reinterpretAsFloats();
        u.div(e.add(one)).intoArray(y, to + row * stride);
      }
    }

    /**
     * For some rows of one vector of columns, u = a·x + b and x̂ = c·x + d: writes dy times the
     * slope of u/(1 + e^-u), and adds what it wrote, and that times x̂, to two sums.
     *
     * @param map starts where a, b, c, d stand, {@code stride} elements apart
     * @param sums starts where the two sums stand, {@code stride} elements apart
     */
    static void siluSlope(
        float[] x,
        int xo,
        float[] dy,
        int go,
        int rows,
        int stride,
        float[] map,
        int at,
        float[] sums,
        int so,
        float[] d,
        int to) {
      IntVector magnitude = IntVector.broadcast(I, MAGNITUDE);
      IntVector far = IntVector.broadcast(I, FAR_BITS);
      FloatVector one = FloatVector.broadcast(S, 1f);
      FloatVector round = FloatVector.broadcast(S, ROUND);
      FloatVector s1 = FloatVector.fromArray(S, sums, so);
      FloatVector s2 = FloatVector.fromArray(S, sums, so + stride);
      for (int row = 0; row < rows; row++) {
        FloatVector v = FloatVector.fromArray(S, x, xo + row * stride);
        FloatVector a = FloatVector.fromArray(S, map, at);
        FloatVector u = v.fma(a, FloatVector.fromArray(S, map, at + stride));
        IntVector bits = u.reinterpretAsInts();
        IntVector sign = bits.and(magnitude.not());
        FloatVector m = bits.and(magnitude).min(far).or(sign).reinterpretAsFloats();
        FloatVector t = m.fma(one.broadcast(-LOG2_E), round);
        FloatVector r = t.sub(round).fma(one.broadcast(LN2_HIGH), m);
        FloatVector p = r.fma(one.broadcast(N5), one.broadcast(N4)).fma(r, one.broadcast(N3));
        p = p.fma(r, one.broadcast(N2)).fma(r, one.broadcast(N1)).fma(r, one);
        IntVector power = t.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
        FloatVector e = p.reinterpretAsInts().add(power).reinterpretAsFloats();
        FloatVector s = one.div(e.add(one));
        FloatVector slope = s.mul(u.fma(one.sub(s), one));
        FloatVector g = FloatVector.fromArray(S, dy, go + row * stride).mul(slope);
        g.intoArray(d, to + row * stride);
        s1 = s1.add(g);
        FloatVector c = FloatVector.fromArray(S, map, at + 2 * stride);
        s2 = g.fma(v.fma(c, FloatVector.fromArray(S, map, at + 3 * stride)), s2);
      }
      s1.intoArray(sums, so);
      s2.intoArray(sums, so + stride);
    }

    /**
     * e^-|scale·x − s| in place for some rows, column by column, each added to its sum; {@code
     * count} is a multiple of the vector's length. It does not look for NaN.
     *
     * <p>Rows and sums are this method's business, because it has to be too large to be put into
     * its caller: see {@link #silu}.
     *
     * @param stride elements between rows
     * @param sums starts where the sums of the columns stand
     */
    static void decay(
        float[] x,
        int at,
        int rows,
        int stride,
        int count,
        float scale,
        float[] s,
        int from,
        float[] sums,
        int to) {
      FloatVector scales = FloatVector.broadcast(S, scale);
      FloatVector one = FloatVector.broadcast(S, 1f);
      FloatVector round = FloatVector.broadcast(S, ROUND);
      IntVector magnitude = IntVector.broadcast(I, MAGNITUDE);
      IntVector far = IntVector.broadcast(I, FAR_BITS);
      for (int i = 0; i < count; i += S.length()) {
        FloatVector minus = FloatVector.fromArray(S, s, from + i).neg();
        FloatVector sum = FloatVector.fromArray(S, sums, to + i);
        for (int row = 0; row < rows; row++) {
          int element = at + row * stride + i;
          FloatVector u = FloatVector.fromArray(S, x, element).fma(scales, minus);
          FloatVector m = u.reinterpretAsInts().and(magnitude).min(far).reinterpretAsFloats();
          FloatVector t = m.fma(one.broadcast(-LOG2_E), round);
          FloatVector r = t.sub(round).fma(one.broadcast(LN2_HIGH), m);
          FloatVector p = r.fma(one.broadcast(N5), one.broadcast(N4)).fma(r, one.broadcast(N3));
          p = p.fma(r, one.broadcast(N2)).fma(r, one.broadcast(N1)).fma(r, one);
          IntVector power = t.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
          FloatVector e = p.reinterpretAsInts().add(power).reinterpretAsFloats();
          e.intoArray(x, element);
          sum = sum.add(e);
        }
        sum.intoArray(sums, to + i);
      }
    }

    static FloatVector exp(FloatVector x) {
      FloatVector c = x.max(EXP_MIN).min(EXP_MAX);
      FloatVector t = c.fma(LOG2_E, ROUND);
      FloatVector n = t.sub(ROUND);
      FloatVector r = n.fma(x.broadcast(-LN2_HIGH), c);
      r = n.fma(x.broadcast(-LN2_LOW), r);
      FloatVector q = r.broadcast(E4).fma(r, r.broadcast(E3)).fma(r, r.broadcast(E2));
      q = q.fma(r, r.broadcast(E1)).fma(r, r.broadcast(E0));
      FloatVector e = r.mul(r).fma(q, r).add(1f);
      IntVector k = t.reinterpretAsInts().sub(ROUND_BITS);
      IntVector half = k.lanewise(VectorOperators.ASHR, 1);
      FloatVector a = half.add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
      FloatVector b = k.sub(half).add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
      return e.mul(a).mul(b).blend(x, x.compare(VectorOperators.NE, x));
    }

    static FloatVector log(FloatVector x) {
      VectorMask<Float> tiny = x.lt(Float.MIN_NORMAL);
      IntVector bits = x.blend(x.mul(TWO_23), tiny).reinterpretAsInts();
      IntVector exponent = bits.sub(SQRT_HALF_BITS).lanewise(VectorOperators.ASHR, 23);
      FloatVector f =
          bits.sub(exponent.lanewise(VectorOperators.LSHL, 23)).reinterpretAsFloats().sub(1f);
      FloatVector n = (FloatVector) exponent.castShape(x.species(), 0);
      n = n.blend(n.sub(23f), tiny);
      FloatVector p = f.broadcast(L8).fma(f, f.broadcast(L7)).fma(f, f.broadcast(L6));
      p = p.fma(f, f.broadcast(L5)).fma(f, f.broadcast(L4)).fma(f, f.broadcast(L3));
      p = p.fma(f, f.broadcast(L2)).fma(f, f.broadcast(L1)).fma(f, f.broadcast(L0));
      FloatVector z = f.mul(f);
      FloatVector tail = f.mul(z).fma(p, n.fma(n.broadcast(LN2_LOW), z.mul(-0.5f)));
      FloatVector y = n.fma(n.broadcast(LN2_HIGH), f.add(tail));
      y = y.blend(x, x.compare(VectorOperators.EQ, Float.POSITIVE_INFINITY));
      y = y.blend(Float.NEGATIVE_INFINITY, x.compare(VectorOperators.EQ, 0f));
      return y.blend(Float.NaN, x.compare(VectorOperators.GE, 0f).not());
    }

    static FloatVector sigmoid(FloatVector x) {
      FloatVector one = x.broadcast(1f);
      FloatVector y = one.div(onePlusExpMinus(x));
      return y.blend(x, x.compare(VectorOperators.NE, x));
    }

    static FloatVector silu(FloatVector x) {
      return x.div(onePlusExpMinus(x));
    }

    private static FloatVector onePlusExpMinus(FloatVector x) {
      FloatVector one = x.broadcast(1f);
      IntVector bits = x.reinterpretAsInts();
      IntVector bounded = bits.and(MAGNITUDE).min(FAR_BITS).or(bits.and(~MAGNITUDE));
      FloatVector m = bounded.reinterpretAsFloats();
      FloatVector t = m.fma(one.broadcast(-LOG2_E), one.broadcast(ROUND));
      FloatVector r = t.sub(ROUND).fma(one.broadcast(LN2_HIGH), m);
      FloatVector p = r.fma(one.broadcast(N5), one.broadcast(N4)).fma(r, one.broadcast(N3));
      p = p.fma(r, one.broadcast(N2)).fma(r, one.broadcast(N1)).fma(r, one);
      IntVector power = t.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
      return p.reinterpretAsInts().add(power).reinterpretAsFloats().add(one);
    }

    static FloatVector tanh(FloatVector x) {
      FloatVector c = x.max(-TANH_MAX).min(TANH_MAX);
      c = c.add(c);
      FloatVector t = c.fma(LOG2_E, ROUND);
      FloatVector n = t.sub(ROUND);
      FloatVector r = n.fma(x.broadcast(-LN2_HIGH), c);
      r = n.fma(x.broadcast(-LN2_LOW), r);
      FloatVector q = r.broadcast(E4).fma(r, r.broadcast(E3)).fma(r, r.broadcast(E2));
      q = q.fma(r, r.broadcast(E1)).fma(r, r.broadcast(E0));
      FloatVector e = r.mul(r).fma(q, r);
      IntVector k = t.reinterpretAsInts().sub(ROUND_BITS - 127);
      FloatVector s = k.lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
      e = s.fma(e, s.sub(1f));
      return e.div(e.add(2f));
    }

    static FloatVector softplus(FloatVector x) {
      FloatVector u = exp(x.abs().neg());
      FloatVector w = u.add(1f);
      return x.max(0f).add(log(w).add(u.sub(w.sub(1f)).div(w)));
    }

    static FloatVector erf(FloatVector x) {
      FloatVector a = x.abs().min(ERF_MAX);
      FloatVector z = a.mul(a);
      FloatVector p = z.broadcast(R6).fma(z, z.broadcast(R5)).fma(z, z.broadcast(R4));
      p = p.fma(z, z.broadcast(R3)).fma(z, z.broadcast(R2)).fma(z, z.broadcast(R1));
      p = p.fma(z, z.broadcast(R0));
      FloatVector q = a.broadcast(Q6).fma(a, a.broadcast(Q5)).fma(a, a.broadcast(Q4));
      q = q.fma(a, a.broadcast(Q3)).fma(a, a.broadcast(Q2)).fma(a, a.broadcast(Q1));
      q = q.fma(a, a.broadcast(Q0));
      FloatVector large = x.broadcast(1f).sub(exp(q));
      FloatVector y = large.blend(a.mul(p), a.compare(VectorOperators.LE, 1f));
      return y.blend(y.neg(), x.lt(0f));
    }

    static FloatVector normalCdf(FloatVector x) {
      return erf(x.mul(SQRT_HALF)).add(1f).mul(0.5f);
    }

    static FloatVector normalPdf(FloatVector x) {
      return exp(x.mul(-0.5f).mul(x)).mul(INV_SQRT_2PI);
    }
  }
}
