package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import dev.limbeck.kernels.op.TileProduct.Matrix;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Scaled dot-product attention: per head, O = softmax(scale·Q·Kᵀ)·V.
 *
 * <p>Works on blocks of queries against blocks of keys, keeping for each query the running maximum
 * m and sum l of its softmax: when m grows to m′, what was summed so far shrinks by e^(m−m′). No
 * more than one block of scores exists at a time, stored transposed [keys, queries]: then all
 * queries of a block advance side by side in vector lanes, and nothing is added across lanes.
 *
 * @param logSum [N,heads,queries], written: m + ln l, which the gradient needs
 * @shape q, o [N,queries,heads·d]; k, v [N,keys,heads·d]
 * @paper Vaswani et al. 2017, 1706.03762; Milakov and Gimelshein 2018, 1805.02867; Dao et al. 2022,
 *     2205.14135
 * @cost 4·N·heads·queries·keys·d flops
 */
public record Attention(
    Layout layout, float scale, Buffer q, Buffer k, Buffer v, Buffer o, Buffer logSum)
    implements Kernel {

  /** Queries, and keys, per block. */
  static final int BLOCK = 64;

  /** The sizes: samples, queries and keys per sample, heads and features per head. */
  public record Layout(int samples, int queries, int keys, int heads, int features) {
    int row() {
      return heads * features;
    }

    /** Queries of a block, rounded up so that vectors divide them. */
    int width() {
      return Math.min(BLOCK, (queries + 15) / 16 * 16);
    }

    /** Features of a head, rounded up so that vectors divide them. */
    int padded() {
      return (features + 15) / 16 * 16;
    }

    int queryBlocks() {
      return (queries + BLOCK - 1) / BLOCK;
    }
  }

  public Attention {
    int queries = layout.samples * layout.queries * layout.row();
    int keys = layout.samples * layout.keys * layout.row();
    if (q.length() != queries
        || o.length() != queries
        || k.length() != keys
        || v.length() != keys
        || logSum.length() != layout.samples * layout.heads * layout.queries) {
      throw new IllegalArgumentException("attention: a buffer does not have the size of " + layout);
    }
  }

  @Override
  public String name() {
    return "attention";
  }

  @Override
  public List<Buffer> buffers() {
    return List.of(q, k, v, o, logSum);
  }

  @Override
  public void onCpu(Ranges ranges) {
    int blocks = layout.queryBlocks();
    ranges.chunks(
        layout.samples * layout.heads * blocks,
        chunk -> block(ranges, chunk / blocks, (chunk % blocks) * BLOCK));
  }

  /** One block of queries of one head against all keys. */
  private void block(Ranges ranges, int sampleHead, int from) {
    int n = sampleHead / layout.heads;
    int d = layout.features;
    int row = layout.row();
    int head = (sampleHead % layout.heads) * d;
    int rows = Math.min(BLOCK, layout.queries - from);
    int width = layout.width();
    int padded = layout.padded();
    boolean simd = ranges.simd();
    float[] qt = ranges.scratch(0, d * width);
    float[] scores = ranges.scratch(1, BLOCK * width);
    // The running maximum, the running sum and the last shrink factor of every query.
    float[] state = ranges.scratch(2, 3 * width);
    // Heads lie side by side in a row; copied apart, their rows do not fight for cache lines.
    float[] ks = ranges.scratch(3, BLOCK * padded);
    float[] vs = ranges.scratch(4, BLOCK * padded);
    float[] os = ranges.scratch(5, BLOCK * padded);
    int queryAt = (n * layout.queries + from) * row + head;
    transpose(q.floats(), q.offset() + queryAt, row, rows, width, d, qt);
    Arrays.fill(state, 0, width, Float.NEGATIVE_INFINITY);
    Arrays.fill(state, width, 2 * width, 0f);
    Matrix scoresT = Matrix.rows(scores, 0, width);
    for (int first = 0; first < layout.keys; first += BLOCK) {
      int keys = Math.min(BLOCK, layout.keys - first);
      int at = (n * layout.keys + first) * row + head;
      Matrix keyRows = rowsOf(k, at, keys, layout, ks);
      Matrix queries = Matrix.rows(qt, 0, width);
      TileProduct.multiply(simd, keys, width, d, keyRows, queries, scoresT, false);
      if (simd) {
        Simd.softmax(scores, keys, width, scale, state);
      } else {
        softmax(scores, keys, width, scale, state);
      }
      if (first > 0) {
        shrink(os, rows, padded, state, 2 * width);
      }
      Matrix weights = Matrix.transposed(scores, 0, width);
      Matrix values = rowsOf(v, at, keys, layout, vs);
      Matrix sums = Matrix.rows(os, 0, padded);
      TileProduct.multiply(simd, rows, padded, keys, weights, values, sums, first > 0);
    }
    finish(sampleHead, from, rows, os, state);
    unpack(os, 0, layout, rows, o.floats(), o.offset() + queryAt, row);
  }

  /** One head's rows: where they are if they are whole vectors next to each other, or copied. */
  static Matrix rowsOf(Buffer from, int at, int rows, Layout layout, float[] copy) {
    if (layout.heads == 1 && layout.features == layout.padded()) {
      return Matrix.rows(from.floats(), from.offset() + at, layout.row());
    }
    pack(from.floats(), from.offset() + at, layout.row(), rows, layout, copy, 0);
    return Matrix.rows(copy, 0, layout.padded());
  }

  /** Copies one head's rows next to each other, padded with zeros. */
  static void pack(
      float[] source, int at, int stride, int rows, Layout layout, float[] target, int to) {
    int d = layout.features;
    int padded = layout.padded();
    for (int r = 0; r < rows; r++) {
      System.arraycopy(source, at + r * stride, target, to + r * padded, d);
      Arrays.fill(target, to + r * padded + d, to + (r + 1) * padded, 0f);
    }
  }

  /** The way back of {@link #pack}. */
  static void unpack(
      float[] source, int from, Layout layout, int rows, float[] target, int at, int stride) {
    for (int r = 0; r < rows; r++) {
      System.arraycopy(
          source, from + r * layout.padded(), target, at + r * stride, layout.features);
    }
  }

  /** Copies rows of a head into columns; columns past the last row become 0. */
  static void transpose(
      float[] source, int at, int stride, int rows, int width, int d, float[] target) {
    for (int c = 0; c < d; c++) {
      for (int r = 0; r < rows; r++) {
        target[c * width + r] = source[at + r * stride + c];
      }
      Arrays.fill(target, c * width + rows, (c + 1) * width, 0f);
    }
  }

  /** Turns scores into e^(scale·score − m), moving on m, l and the shrink factor. */
  private static void softmax(float[] scores, int keys, int width, float scale, float[] state) {
    for (int r = 0; r < width; r++) {
      float old = state[r];
      float max = old;
      for (int j = 0; j < keys; j++) {
        max = Math.max(max, scores[j * width + r] * scale);
      }
      float shrink = Mathf.exp(old - max);
      float sum = state[width + r] * shrink;
      for (int j = 0; j < keys; j++) {
        float p = Mathf.exp(Math.fma(scores[j * width + r], scale, -max));
        scores[j * width + r] = p;
        sum += p;
      }
      state[r] = max;
      state[width + r] = sum;
      state[2 * width + r] = shrink;
    }
  }

  private static void shrink(float[] sums, int rows, int padded, float[] factors, int at) {
    for (int r = 0; r < rows; r++) {
      float factor = factors[at + r];
      for (int c = r * padded; c < (r + 1) * padded; c++) {
        sums[c] *= factor;
      }
    }
  }

  /** Divides by the sums, and writes m + ln l. */
  private void finish(int sampleHead, int from, int rows, float[] os, float[] state) {
    int width = layout.width();
    float[] logSums = logSum.floats();
    int at = logSum.offset() + sampleHead * layout.queries + from;
    for (int r = 0; r < rows; r++) {
      logSums[at + r] = state[r] + Mathf.log(state[width + r]);
      state[2 * width + r] = 1f / state[width + r];
    }
    shrink(os, rows, layout.padded(), state, 2 * width);
  }

  /** The same on vectors of queries. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    /** Loops over rows of queries, each on arrays: see {@link Mathf.Simd#exp(float[],int,int)}. */
    static void softmax(float[] scores, int keys, int width, float scale, float[] state) {
      int shrink = 2 * width;
      System.arraycopy(state, 0, state, shrink, width);
      for (int j = 0; j < keys; j++) {
        maximum(scores, j * width, width, scale, state);
      }
      shrink(state, width);
      for (int j = 0; j < keys; j++) {
        exponents(scores, j * width, width, scale, state);
      }
      Mathf.Simd.exp(scores, 0, keys * width);
      for (int j = 0; j < keys; j++) {
        Rows.add(true, scores, j * width, state, width, width);
      }
    }

    private static void maximum(float[] scores, int at, int width, float scale, float[] state) {
      for (int r = 0; r < width; r += S.length()) {
        FloatVector s = FloatVector.fromArray(S, scores, at + r).mul(scale);
        FloatVector.fromArray(S, state, r).max(s).intoArray(state, r);
      }
    }

    /** Turns the old maxima into e^(old − new), and shrinks the sums by it. */
    private static void shrink(float[] state, int width) {
      int at = 2 * width;
      for (int r = 0; r < width; r += S.length()) {
        FloatVector max = FloatVector.fromArray(S, state, r);
        FloatVector.fromArray(S, state, at + r).sub(max).intoArray(state, at + r);
      }
      Mathf.Simd.exp(state, at, width);
      for (int r = 0; r < width; r += S.length()) {
        FloatVector sum = FloatVector.fromArray(S, state, width + r);
        sum.mul(FloatVector.fromArray(S, state, at + r)).intoArray(state, width + r);
      }
    }

    private static void exponents(float[] scores, int at, int width, float scale, float[] state) {
      FloatVector scales = FloatVector.broadcast(S, scale);
      for (int r = 0; r < width; r += S.length()) {
        FloatVector minus = FloatVector.fromArray(S, state, r).neg();
        FloatVector.fromArray(S, scores, at + r).fma(scales, minus).intoArray(scores, at + r);
      }
    }
  }
}
