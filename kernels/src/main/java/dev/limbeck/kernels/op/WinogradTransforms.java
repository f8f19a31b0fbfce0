package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Ranges;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The linear maps around Winograd's F(4×4, 3×3): with matrices B, G and A, the 4×4 outputs of a 6×6
 * tile d under a 3×3 kernel w are Aᵀ[(G·w·Gᵀ) ⊙ (Bᵀ·d·B)]A.
 *
 * <p>The three adjoint maps serve the weight gradient: dw = Gᵀ[Σ (Bᵀ·d·B) ⊙ (A·g·Aᵀ)]G. Every map
 * runs along the channels, first over rows, then over columns, with the half-way result in scratch.
 *
 * @paper Lavin and Gray 2015, arXiv 1509.09308, section 4.3
 */
final class WinogradTransforms {
  /** Side of an input tile. */
  static final int TILE = 6;

  /** Positions of an input tile; each becomes one matrix product. */
  static final int POINTS = TILE * TILE;

  /** Side of an output tile. */
  static final int OUT = 4;

  /** Elements of scratch that each map needs. */
  static final int SCRATCH = Ranges.LEAD + 2 * POINTS * 16;

  /** Where the half-way results start in it. */
  private static final int HALF = Ranges.LEAD;

  private WinogradTransforms() {}

  /** The maps; see the enclosing class. */
  static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;
    static final int LANES = S.length();

    private Simd() {}

    /**
     * Bᵀ·d·B for some channels of one tile.
     *
     * @param column elements between neighbouring pixels of the source
     * @param row elements between its rows
     * @param point elements between the points of the result
     */
    static void input(
        float[] d,
        int from,
        int column,
        int row,
        int channels,
        float[] scratch,
        float[] v,
        int to,
        int point) {
      for (int c = 0; c < channels; c += LANES) {
        for (int i = 0; i < TILE; i++) {
          inputLine(d, from + c + i * row, column, scratch, HALF + i * TILE * LANES, LANES);
        }
        for (int j = 0; j < TILE; j++) {
          inputLine(scratch, HALF + j * LANES, TILE * LANES, v, to + c + j * point, TILE * point);
        }
      }
    }

    private static void inputLine(float[] d, int from, int step, float[] t, int to, int apart) {
      FloatVector d1 = FloatVector.fromArray(S, d, from + step);
      FloatVector d2 = FloatVector.fromArray(S, d, from + 2 * step);
      FloatVector d3 = FloatVector.fromArray(S, d, from + 3 * step);
      FloatVector d4 = FloatVector.fromArray(S, d, from + 4 * step);
      FloatVector four = FloatVector.broadcast(S, 4f);
      FloatVector minusFive = FloatVector.broadcast(S, -5f);
      FloatVector d0 = FloatVector.fromArray(S, d, from);
      d0.fma(four, d2.fma(minusFive, d4)).intoArray(t, to);
      FloatVector minusFour = FloatVector.broadcast(S, -4f);
      FloatVector even = d2.fma(minusFour, d4);
      FloatVector odd = d1.fma(minusFour, d3);
      even.add(odd).intoArray(t, to + apart);
      even.sub(odd).intoArray(t, to + 2 * apart);
      FloatVector two = FloatVector.broadcast(S, 2f);
      even = d4.sub(d2);
      odd = d3.sub(d1).mul(two);
      even.add(odd).intoArray(t, to + 3 * apart);
      even.sub(odd).intoArray(t, to + 4 * apart);
      FloatVector d5 = FloatVector.fromArray(S, d, from + 5 * step);
      d1.fma(four, d3.fma(minusFive, d5)).intoArray(t, to + 5 * apart);
    }

    /** Aᵀ·m·A + bias for some channels of one tile. */
    static void output(
        float[] m,
        int from,
        int point,
        int channels,
        float[] scratch,
        float[] bias,
        int biasFrom,
        float[] y,
        int to,
        int column,
        int row) {
      FloatVector zero = FloatVector.zero(S);
      for (int c = 0; c < channels; c += LANES) {
        for (int i = 0; i < TILE; i++) {
          int at = HALF + i * OUT * LANES;
          outputLine(m, from + c + i * TILE * point, point, zero, scratch, at, LANES);
        }
        FloatVector b = FloatVector.fromArray(S, bias, biasFrom + c);
        for (int j = 0; j < OUT; j++) {
          outputLine(scratch, HALF + j * LANES, OUT * LANES, b, y, to + c + j * column, row);
        }
      }
    }

    private static void outputLine(
        float[] m, int from, int step, FloatVector bias, float[] t, int to, int apart) {
      FloatVector m1 = FloatVector.fromArray(S, m, from + step);
      FloatVector m2 = FloatVector.fromArray(S, m, from + 2 * step);
      FloatVector m3 = FloatVector.fromArray(S, m, from + 3 * step);
      FloatVector m4 = FloatVector.fromArray(S, m, from + 4 * step);
      FloatVector nearSum = m1.add(m2);
      FloatVector nearDifference = m1.sub(m2).add(bias);
      FloatVector farSum = m3.add(m4);
      FloatVector farDifference = m3.sub(m4);
      FloatVector m0 = FloatVector.fromArray(S, m, from);
      m0.add(nearSum).add(farSum).add(bias).intoArray(t, to);
      farDifference.fma(FloatVector.broadcast(S, 2f), nearDifference).intoArray(t, to + apart);
      FloatVector four = FloatVector.broadcast(S, 4f);
      farSum.fma(four, nearSum).add(bias).intoArray(t, to + 2 * apart);
      FloatVector m5 = FloatVector.fromArray(S, m, from + 5 * step);
      FloatVector eight = FloatVector.broadcast(S, 8f);
      farDifference.fma(eight, nearDifference).add(m5).intoArray(t, to + 3 * apart);
    }

    /** A·g·Aᵀ for some channels of one output tile's gradient: the adjoint of {@link #output}. */
    static void gradient(
        float[] g,
        int from,
        int column,
        int row,
        int channels,
        float[] scratch,
        float[] v,
        int to,
        int point) {
      for (int c = 0; c < channels; c += LANES) {
        for (int i = 0; i < OUT; i++) {
          gradientLine(g, from + c + i * row, column, scratch, HALF + i * TILE * LANES, LANES);
        }
        for (int j = 0; j < TILE; j++) {
          gradientLine(
              scratch, HALF + j * LANES, TILE * LANES, v, to + c + j * point, TILE * point);
        }
      }
    }

    private static void gradientLine(float[] g, int from, int step, float[] t, int to, int apart) {
      FloatVector g0 = FloatVector.fromArray(S, g, from);
      FloatVector g1 = FloatVector.fromArray(S, g, from + step);
      FloatVector g2 = FloatVector.fromArray(S, g, from + 2 * step);
      FloatVector g3 = FloatVector.fromArray(S, g, from + 3 * step);
      g0.intoArray(t, to);
      FloatVector even = g0.add(g2);
      FloatVector odd = g1.add(g3);
      even.add(odd).intoArray(t, to + apart);
      even.sub(odd).intoArray(t, to + 2 * apart);
      even = g2.fma(FloatVector.broadcast(S, 4f), g0);
      odd = g3.fma(FloatVector.broadcast(S, 8f), g1.add(g1));
      even.add(odd).intoArray(t, to + 3 * apart);
      even.sub(odd).intoArray(t, to + 4 * apart);
      g3.intoArray(t, to + 5 * apart);
    }

    /** G·w·Gᵀ for a run of channels; {@code tap} is the distance between kernel elements. */
    static void weight(
        float[] w, int from, int tap, int channels, float[] scratch, float[] u, int to, int point) {
      for (int c = 0; c < channels; c += LANES) {
        for (int i = 0; i < 3; i++) {
          weightLine(w, from + c + i * 3 * tap, tap, scratch, HALF + i * TILE * LANES, LANES);
        }
        for (int j = 0; j < TILE; j++) {
          weightLine(scratch, HALF + j * LANES, TILE * LANES, u, to + c + j * point, TILE * point);
        }
      }
    }

    private static void weightLine(float[] w, int from, int step, float[] t, int to, int apart) {
      FloatVector w0 = FloatVector.fromArray(S, w, from);
      FloatVector w1 = FloatVector.fromArray(S, w, from + step);
      FloatVector w2 = FloatVector.fromArray(S, w, from + 2 * step);
      w0.mul(0.25f).intoArray(t, to);
      FloatVector even = w0.add(w2).mul(-1f / 6);
      FloatVector odd = w1.mul(1f / 6);
      even.sub(odd).intoArray(t, to + apart);
      even.add(odd).intoArray(t, to + 2 * apart);
      even = w0.fma(FloatVector.broadcast(S, 1f / 24), w2.mul(1f / 6));
      odd = w1.mul(1f / 12);
      even.add(odd).intoArray(t, to + 3 * apart);
      even.sub(odd).intoArray(t, to + 4 * apart);
      w2.intoArray(t, to + 5 * apart);
    }

    /**
     * Gᵀ·u·G for a run of channels, where u is the sum of {@code parts} partial sums: the adjoint
     * of {@link #weight}.
     *
     * @param part elements between partial sums
     * @param tap elements between kernel elements of the result
     */
    static void weightGradient(
        float[] u,
        int from,
        int point,
        int parts,
        int part,
        int channels,
        float[] scratch,
        float[] w,
        int to,
        int tap) {
      int half = HALF + POINTS * LANES;
      for (int c = 0; c < channels; c += LANES) {
        for (int p = 0; p < POINTS; p++) {
          FloatVector sum = FloatVector.fromArray(S, u, from + c + p * point);
          for (int i = 1; i < parts; i++) {
            sum = sum.add(FloatVector.fromArray(S, u, from + c + p * point + i * part));
          }
          sum.intoArray(scratch, HALF + p * LANES);
        }
        for (int i = 0; i < TILE; i++) {
          weightGradientLine(
              scratch, HALF + i * TILE * LANES, LANES, scratch, half + i * 3 * LANES, LANES);
        }
        for (int j = 0; j < 3; j++) {
          weightGradientLine(scratch, half + j * LANES, 3 * LANES, w, to + c + j * tap, 3 * tap);
        }
      }
    }

    private static void weightGradientLine(
        float[] u, int from, int step, float[] t, int to, int apart) {
      FloatVector u1 = FloatVector.fromArray(S, u, from + step);
      FloatVector u2 = FloatVector.fromArray(S, u, from + 2 * step);
      FloatVector u3 = FloatVector.fromArray(S, u, from + 3 * step);
      FloatVector u4 = FloatVector.fromArray(S, u, from + 4 * step);
      FloatVector near = u1.add(u2).mul(-1f / 6);
      FloatVector far = u3.add(u4);
      FloatVector u0 = FloatVector.fromArray(S, u, from);
      FloatVector w0 = u0.fma(FloatVector.broadcast(S, 0.25f), near);
      far.fma(FloatVector.broadcast(S, 1f / 24), w0).intoArray(t, to);
      FloatVector w1 = u2.sub(u1).mul(1f / 6);
      u3.sub(u4).fma(FloatVector.broadcast(S, 1f / 12), w1).intoArray(t, to + apart);
      FloatVector u5 = FloatVector.fromArray(S, u, from + 5 * step);
      far.fma(FloatVector.broadcast(S, 1f / 6), near.add(u5)).intoArray(t, to + 2 * apart);
    }
  }
}
