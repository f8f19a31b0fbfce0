package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import dev.limbeck.kernels.op.TileProduct.Matrix;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The gradients of {@link Attention}, recomputing the softmax block by block.
 *
 * <p>P = exp(scale·Q·Kᵀ − logSum), dP = dO·Vᵀ, dS = scale·P·(dP − Σ_d dO·O); dV = Pᵀ·dO, dK =
 * dSᵀ·Q, dQ = dS·K. One head of one sample is one chunk of work.
 *
 * @paper Dao et al. 2022, 2205.14135, appendix B
 * @cost 10·N·heads·queries·keys·d flops
 */
public record AttentionGrad(Attention forward, Buffer dO, Buffer dQ, Buffer dK, Buffer dV)
    implements Kernel {
  private static final int BLOCK = Attention.BLOCK;

  public AttentionGrad {
    if (dO.length() != forward.o().length()
        || dQ.length() != forward.q().length()
        || dK.length() != forward.k().length()
        || dV.length() != forward.v().length()) {
      throw new IllegalArgumentException(
          "attention gradient: a buffer does not have the size of " + forward.layout());
    }
  }

  @Override
  public String name() {
    return "attention_grad";
  }

  @Override
  public List<Buffer> buffers() {
    Attention f = forward;
    return List.of(f.q(), f.k(), f.v(), f.o(), f.logSum(), dO, dQ, dK, dV);
  }

  @Override
  public void onCpu(Ranges ranges) {
    Attention.Layout at = forward.layout();
    ranges.chunks(at.samples() * at.heads(), chunk -> head(ranges, chunk));
  }

  /** One head's rows of q, dO, k and v, and of the gradients, copied apart from other heads'. */
  private record Head(
      float[] q, float[] dO, float[] k, float[] v, float[] dQ, float[] dK, float[] dV) {}

  private void head(Ranges ranges, int sampleHead) {
    Attention.Layout at = forward.layout();
    int row = at.row();
    int n = sampleHead / at.heads();
    int head = (sampleHead % at.heads()) * at.features();
    int queryAt = n * at.queries() * row + head;
    int keyAt = n * at.keys() * row + head;
    int queries = at.queries() * at.padded();
    int keys = at.keys() * at.padded();
    Head packed =
        new Head(
            ranges.scratch(5, queries),
            ranges.scratch(6, queries),
            ranges.scratch(7, keys),
            ranges.scratch(8, keys),
            ranges.scratch(9, queries),
            ranges.scratch(10, keys),
            ranges.scratch(11, keys));
    pack(forward.q(), queryAt, at.queries(), packed.q);
    pack(dO, queryAt, at.queries(), packed.dO);
    pack(forward.k(), keyAt, at.keys(), packed.k);
    pack(forward.v(), keyAt, at.keys(), packed.v);
    for (int from = 0; from < at.queries(); from += BLOCK) {
      block(ranges, sampleHead, from, queryAt + from * row, packed);
    }
    unpack(packed.dQ, at.queries(), dQ, queryAt);
    unpack(packed.dK, at.keys(), dK, keyAt);
    unpack(packed.dV, at.keys(), dV, keyAt);
  }

  private void pack(Buffer from, int at, int rows, float[] to) {
    Attention.Layout layout = forward.layout();
    Attention.pack(from.floats(), from.offset() + at, layout.row(), rows, layout, to, 0);
  }

  private void unpack(float[] from, int rows, Buffer to, int at) {
    Attention.Layout layout = forward.layout();
    Attention.unpack(from, 0, layout, rows, to.floats(), to.offset() + at, layout.row());
  }

  /** One block of queries against all keys; the first block starts dK and dV. */
  private void block(Ranges ranges, int sampleHead, int from, int queryAt, Head head) {
    Attention.Layout at = forward.layout();
    int d = at.features();
    int padded = at.padded();
    int rows = Math.min(BLOCK, at.queries() - from);
    int width = at.width();
    boolean simd = ranges.simd();
    float[] qt = ranges.scratch(0, d * width);
    float[] p = ranges.scratch(1, BLOCK * width);
    float[] state = ranges.scratch(2, 2 * width);
    float[] dot = ranges.scratch(3, d * width);
    float[] ds = ranges.scratch(4, BLOCK * width);
    Attention.transpose(head.q, from * padded, padded, rows, width, d, qt);
    Attention.transpose(head.dO, from * padded, padded, rows, width, d, dot);
    state(sampleHead, from, rows, queryAt, state);
    Matrix queries = Matrix.rows(head.q, from * padded, padded);
    Matrix outputs = Matrix.rows(head.dO, from * padded, padded);
    Matrix dQueries = Matrix.rows(head.dQ, from * padded, padded);
    Matrix pT = Matrix.rows(p, 0, width);
    Matrix dsT = Matrix.rows(ds, 0, width);
    for (int first = 0; first < at.keys(); first += BLOCK) {
      int keys = Math.min(BLOCK, at.keys() - first);
      Matrix k = Matrix.rows(head.k, first * padded, padded);
      Matrix v = Matrix.rows(head.v, first * padded, padded);
      TileProduct.multiply(simd, keys, width, d, k, Matrix.rows(qt, 0, width), pT, false);
      TileProduct.multiply(simd, keys, width, d, v, Matrix.rows(dot, 0, width), dsT, false);
      if (simd) {
        Simd.scores(p, ds, keys, width, forward.scale(), state);
      } else {
        scores(p, ds, keys, width, forward.scale(), state);
      }
      boolean add = from > 0;
      Matrix dKeys = Matrix.rows(head.dK, first * padded, padded);
      Matrix dValues = Matrix.rows(head.dV, first * padded, padded);
      TileProduct.multiply(simd, keys, padded, rows, pT, outputs, dValues, add);
      TileProduct.multiply(simd, keys, padded, rows, dsT, queries, dKeys, add);
      Matrix scores = Matrix.transposed(ds, 0, width);
      TileProduct.multiply(simd, rows, padded, keys, scores, k, dQueries, first > 0);
    }
  }

  /** Writes logSum and Σ_d dO·O of a block's queries; both 0 for the padding. */
  private void state(int sampleHead, int from, int rows, int queryAt, float[] state) {
    Attention.Layout at = forward.layout();
    int width = at.width();
    float[] os = forward.o().floats();
    float[] gs = dO.floats();
    for (int r = 0; r < width; r++) {
      float sum = 0;
      if (r < rows) {
        int row = queryAt + r * at.row();
        for (int c = 0; c < at.features(); c++) {
          sum = Math.fma(os[forward.o().offset() + row + c], gs[dO.offset() + row + c], sum);
        }
      }
      int l = forward.logSum().offset() + sampleHead * at.queries() + from + r;
      state[r] = r < rows ? forward.logSum().floats()[l] : 0f;
      state[width + r] = sum;
    }
  }

  /** Turns scores into P, and dP into dS. */
  private static void scores(
      float[] p, float[] ds, int keys, int width, float scale, float[] state) {
    for (int j = 0; j < keys; j++) {
      for (int r = 0; r < width; r++) {
        int i = j * width + r;
        float weight = Mathf.exp(Math.fma(p[i], scale, -state[r]));
        p[i] = weight;
        ds[i] = (ds[i] - state[width + r]) * weight * scale;
      }
    }
  }

  /** The same on vectors of queries. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static void scores(float[] p, float[] ds, int keys, int width, float scale, float[] state) {
      for (int j = 0; j < keys; j++) {
        exponents(p, j * width, width, scale, state);
      }
      Mathf.Simd.exp(p, 0, keys * width);
      for (int j = 0; j < keys; j++) {
        gradients(p, ds, j * width, width, scale, state);
      }
    }

    private static void exponents(float[] p, int at, int width, float scale, float[] state) {
      FloatVector scales = FloatVector.broadcast(S, scale);
      for (int r = 0; r < width; r += S.length()) {
        FloatVector minus = FloatVector.fromArray(S, state, r).neg();
        FloatVector.fromArray(S, p, at + r).fma(scales, minus).intoArray(p, at + r);
      }
    }

    private static void gradients(
        float[] p, float[] ds, int at, int width, float scale, float[] state) {
      FloatVector scales = FloatVector.broadcast(S, scale);
      for (int r = 0; r < width; r += S.length()) {
        FloatVector weight = FloatVector.fromArray(S, p, at + r);
        FloatVector dots = FloatVector.fromArray(S, state, width + r);
        FloatVector d = FloatVector.fromArray(S, ds, at + r).sub(dots);
        d.mul(weight).mul(scales).intoArray(ds, at + r);
      }
    }
  }
}
