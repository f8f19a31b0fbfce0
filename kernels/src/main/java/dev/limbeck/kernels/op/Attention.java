package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
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
 */
@Definition(
    formula = "o = softmax(s·q·kᵀ)·v for each head",
    cost = "4·N·heads·queries·keys·d flops")
public record Attention(
    Layout layout, float scale, Buffer q, Buffer k, Buffer v, Buffer o, Buffer logSum)
    implements Kernel {

  /** The sizes: samples, queries and keys per sample, heads and features per head. */
  public record Layout(int samples, int queries, int keys, int heads, int features) {
    int row() {
      return heads * features;
    }

    /** Scores: a query and a key of one head each. */
    double pairs() {
      return (double) samples * heads * queries * keys;
    }

    int queryBlocks() {
      return (queries + HeadBlock.ROWS - 1) / HeadBlock.ROWS;
    }

    int keyBlocks() {
      return (keys + HeadBlock.ROWS - 1) / HeadBlock.ROWS;
    }

    /** Where a row of a head starts in q and o, or (by keys) in k and v. */
    int at(int sampleHead, int length, int first) {
      return (sampleHead / heads * length + first) * row() + sampleHead % heads * features;
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
  public double flops() {
    return 4.0 * layout.pairs() * layout.features();
  }

  @Override
  public boolean takesHalves(int ptx) {
    return takesHalves(ptx, q, k, v, o);
  }

  /** Whether the functions for BF16 take these operands: rows of whole chunks of 16 bytes. */
  boolean takesHalves(int ptx, Buffer... operands) {
    boolean takes = ptx >= 80 && layout.features % 8 == 0;
    for (Buffer each : operands) {
      takes &= each.type() == DType.BF16;
    }
    return takes;
  }

  @Override
  public Kernel on(Operands by) {
    return new Attention(layout, scale, by.read(q), by.read(k), by.read(v), by.written(o), logSum);
  }

  @Override
  public void onCpu(Ranges ranges) {
    HeadBlock shape = new HeadBlock(ranges, layout.features);
    int keyBlocks = layout.keyBlocks();
    int all = layout.samples * layout.heads * keyBlocks;
    float[] ks = ranges.scratch(0, Ranges.LEAD + all * shape.stripsSize());
    float[] vs = ranges.scratch(1, Ranges.LEAD + all * shape.stripsSize());
    ranges.chunks(
        all,
        i -> {
          int first = i % keyBlocks * HeadBlock.ROWS;
          int rows = Math.min(HeadBlock.ROWS, layout.keys - first);
          int at = layout.at(i / keyBlocks, layout.keys, first);
          int row = layout.row();
          int strips = Ranges.LEAD + i * shape.stripsSize();
          shape.strips(k.floats(), k.offset() + at, row, rows, ks, strips);
          shape.strips(v.floats(), v.offset() + at, row, rows, vs, strips);
        });
    int blocks = layout.queryBlocks();
    ranges.chunks(
        layout.samples * layout.heads * blocks,
        i -> block(shape, ks, vs, i / blocks, i % blocks * HeadBlock.ROWS));
  }

  @Override
  public void onCuda(Launcher cuda) {
    AttentionTiles tiles = AttentionTiles.of(cuda, layout.features, q.type());
    tiles.forward(cuda, layout).f32(scale);
    cuda.pointer(q).pointer(k).pointer(v).pointer(o).pointer(logSum);
    tiles.launch(cuda, layout, tiles.forwardBlocks(layout.queries));
  }

  /** One block of queries of one head against all keys. */
  private void block(HeadBlock shape, float[] ks, float[] vs, int sampleHead, int from) {
    Ranges ranges = shape.ranges();
    int lead = Ranges.LEAD;
    int rows = Math.min(HeadBlock.ROWS, layout.queries - from);
    float[] qt = ranges.scratch(2, lead + shape.turnedSize());
    float[] scores = ranges.scratch(3, lead + HeadBlock.SCORES);
    // The running maximum, the running sum and the last shrink factor of every query; and room.
    float[] state = ranges.scratch(4, lead + 4 * HeadBlock.ROWS);
    float[] os = ranges.scratch(5, lead + shape.stripsSize());
    int at = layout.at(sampleHead, layout.queries, from);
    shape.turn(q.floats(), q.offset() + at, layout.row(), rows, qt, lead);
    Arrays.fill(state, lead, lead + HeadBlock.ROWS, Float.NEGATIVE_INFINITY);
    Arrays.fill(state, lead + HeadBlock.ROWS, lead + 2 * HeadBlock.ROWS, 0f);
    HeadBlock.Sum sums = new HeadBlock.Sum(os, lead);
    for (int first = 0; first < layout.keys; first += HeadBlock.ROWS) {
      int keys = Math.min(HeadBlock.ROWS, layout.keys - first);
      int block = sampleHead * layout.keyBlocks() + first / HeadBlock.ROWS;
      int strips = lead + block * shape.stripsSize();
      shape.scores(ks, strips, qt, lead, keys, rows, scores, lead);
      if (ranges.simd()) {
        Simd.softmax(scores, keys, HeadBlock.lanes(rows), scale, state);
      } else {
        softmax(scores, keys, rows, scale, state);
      }
      if (first > 0) {
        shrink(ranges.simd(), os, rows, state);
      }
      shape.overKeys(scores, lead, vs, strips, rows, keys, first > 0, sums);
    }
    finish(ranges.simd(), sampleHead, from, rows, os, state);
    shape.unstrip(os, lead, rows, o.floats(), o.offset() + at, layout.row());
  }

  /** Turns scores into e^(scale·score − m), moving on m, l and the shrink factor. */
  private static void softmax(float[] scores, int keys, int rows, float scale, float[] state) {
    for (int r = Ranges.LEAD; r < Ranges.LEAD + rows; r++) {
      float old = state[r];
      float max = old;
      for (int j = 0; j < keys; j++) {
        float s = scores[j * Gemm.STRIDE + r] * scale;
        max = s > max ? s : max;
      }
      float shrink = Mathf.decay(old - max);
      float sum = state[HeadBlock.ROWS + r] * shrink;
      for (int j = 0; j < keys; j++) {
        float p = Mathf.decay(Math.fma(scores[j * Gemm.STRIDE + r], scale, -max));
        scores[j * Gemm.STRIDE + r] = p;
        sum += p;
      }
      state[r] = max;
      state[HeadBlock.ROWS + r] = sum;
      state[2 * HeadBlock.ROWS + r] = shrink;
    }
  }

  /** Multiplies each query's sums by its factor. */
  private void shrink(boolean simd, float[] sums, int rows, float[] state) {
    for (int first = 0; first < layout.features; first += Gemm.COLUMNS) {
      int columns = Math.min(Gemm.COLUMNS, layout.features - first);
      for (int r = 0; r < rows; r++) {
        float factor = state[Ranges.LEAD + 2 * HeadBlock.ROWS + r];
        int at = Ranges.LEAD + (first / Gemm.COLUMNS * HeadBlock.ROWS + r) * Gemm.STRIDE;
        int done = simd ? Simd.scale(sums, at, columns, factor) : 0;
        for (int c = at + done; c < at + columns; c++) {
          sums[c] *= factor;
        }
      }
    }
  }

  /** Divides by the sums, and writes m + ln l. */
  private void finish(boolean simd, int sampleHead, int from, int rows, float[] os, float[] state) {
    float[] logSums = logSum.floats();
    int at = logSum.offset() + sampleHead * layout.queries + from;
    for (int r = 0; r < rows; r++) {
      float sum = state[Ranges.LEAD + HeadBlock.ROWS + r];
      logSums[at + r] = state[Ranges.LEAD + r] + Mathf.log(sum);
      state[Ranges.LEAD + 2 * HeadBlock.ROWS + r] = 1f / sum;
    }
    shrink(simd, os, rows, state);
  }

  /** The same on vectors of queries. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;
    private static final int SUMS = Ranges.LEAD + HeadBlock.ROWS;
    private static final int FACTORS = Ranges.LEAD + 2 * HeadBlock.ROWS;

    /** Where sums are written that nobody reads. */
    private static final int UNUSED = Ranges.LEAD + 3 * HeadBlock.ROWS;

    /** Loops over rows of queries, each on arrays: see {@link Mathf.Simd#silu}. */
    static void softmax(float[] scores, int keys, int width, float scale, float[] state) {
      int lead = Ranges.LEAD;
      System.arraycopy(state, lead, state, FACTORS, width);
      for (int r = 0; r < width; r += S.length()) {
        maximum(scores, lead + r, keys, scale, state, lead + r);
      }
      Mathf.Simd.decay(state, FACTORS, 1, 0, width, 1f, state, lead, state, UNUSED);
      multiply(state, width);
      Mathf.Simd.decay(scores, lead, keys, Gemm.STRIDE, width, scale, state, lead, state, SUMS);
    }

    /**
     * The larger by a comparison: three instructions fewer than {@code max}, which orders zeros.
     */
    private static void maximum(
        float[] scores, int at, int keys, float scale, float[] state, int to) {
      FloatVector largest = FloatVector.fromArray(S, state, to);
      for (int j = 0; j < keys; j++) {
        FloatVector s = FloatVector.fromArray(S, scores, at + j * Gemm.STRIDE).mul(scale);
        largest = largest.blend(s, s.compare(VectorOperators.GT, largest));
      }
      largest.intoArray(state, to);
    }

    private static void multiply(float[] state, int width) {
      for (int r = 0; r < width; r += S.length()) {
        FloatVector sum = FloatVector.fromArray(S, state, SUMS + r);
        sum.mul(FloatVector.fromArray(S, state, FACTORS + r)).intoArray(state, SUMS + r);
      }
    }

    static int scale(float[] x, int at, int count, float factor) {
      int whole = S.loopBound(count);
      for (int c = 0; c < whole; c += S.length()) {
        FloatVector.fromArray(S, x, at + c).mul(factor).intoArray(x, at + c);
      }
      return whole;
    }
  }
}
