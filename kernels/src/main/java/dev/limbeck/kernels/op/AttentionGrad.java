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
import jdk.incubator.vector.VectorSpecies;

/**
 * The gradients of {@link Attention}, recomputing the softmax block by block.
 *
 * <p>P = exp(scale·Q·Kᵀ − logSum), dP = dO·Vᵀ, dS = scale·P·(dP − Σ_d dO·O); dV = Pᵀ·dO, dK =
 * dSᵀ·Q, dQ = dS·K. One head of one sample is one chunk of work.
 *
 * @paper Dao et al. 2022, 2205.14135, appendix B
 */
@Definition(
    formula = "dq = s·dS·k, dk = s·dSᵀ·q, dv = Pᵀ·do with dS = P∘(do·vᵀ − rowsum(do∘o))",
    cost = "10·N·heads·queries·keys·d flops")
public record AttentionGrad(Attention forward, Buffer dO, Buffer dQ, Buffer dK, Buffer dV)
    implements Kernel {
  /** Query blocks that use a block of keys one after another while it is in the level-2 cache. */
  private static final int GROUP = 3;

  private static final int ROWS = HeadBlock.ROWS;
  private static final int LEAD = Ranges.LEAD;

  /** Each query's logSum and Σ_d dO·O, and room for sums that nobody reads. */
  private static final int STATE = 3 * ROWS;

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
  public double flops() {
    return 10.0 * forward.layout().pairs() * forward.layout().features();
  }

  @Override
  public boolean takesHalves(int ptx) {
    return forward.takesHalves(
        ptx, forward.q(), forward.k(), forward.v(), forward.o(), dO, dQ, dK, dV);
  }

  @Override
  public Kernel on(Operands by) {
    Attention f = forward;
    Attention wide =
        new Attention(
            f.layout(),
            f.scale(),
            by.read(f.q()),
            by.read(f.k()),
            by.read(f.v()),
            by.read(f.o()),
            f.logSum());
    return new AttentionGrad(wide, by.read(dO), by.written(dQ), by.written(dK), by.written(dV));
  }

  @Override
  public void onCpu(Ranges ranges) {
    Attention.Layout at = forward.layout();
    ranges.chunks(at.samples() * at.heads(), chunk -> head(ranges, chunk));
  }

  @Override
  public void onCuda(Launcher cuda) {
    Attention.Layout at = forward.layout();
    Buffer dots = cuda.scratch(DType.F32, forward.logSum().length());
    Launcher named =
        dO.type() == DType.BF16
            ? cuda.kernel("attention_bf16", "attention_dots_bf16")
            : cuda.kernel("attention", "attention_dots_f32");
    named.i32(dots.length());
    cuda.i32(at.queries()).i32(at.heads()).i32(at.features());
    cuda.pointer(forward.o()).pointer(dO).pointer(dots);
    cuda.launch(cuda.blocks(32L * dots.length(), Launcher.THREADS), Launcher.THREADS);
    AttentionTiles tiles = AttentionTiles.of(cuda, at.features(), dO.type());
    tiles.gradient(cuda, at).f32(forward.scale());
    cuda.pointer(forward.q()).pointer(forward.k()).pointer(forward.v()).pointer(dO);
    cuda.pointer(forward.logSum()).pointer(dots).pointer(dQ).pointer(dK).pointer(dV);
    int dKeyBlocks = 2 * AttentionTiles.gradientBlocks(at.keys());
    tiles.launch(cuda, at, AttentionTiles.gradientBlocks(at.queries()) + dKeyBlocks);
  }

  /**
   * One head's keys and values, whole, with the sums of their gradients; each block after block.
   */
  private record Keys(float[] k, float[] v, float[] dK, float[] dV) {}

  /** Some blocks of one head's queries. */
  private record Queries(
      float[] qt, float[] dOt, float[] q, float[] dO, float[] dQ, float[] state) {}

  private void head(Ranges ranges, int sampleHead) {
    Attention.Layout at = forward.layout();
    HeadBlock shape = new HeadBlock(ranges, at.features());
    int turned = shape.turnedSize();
    int strips = shape.stripsSize();
    int blocks = at.keyBlocks();
    Keys keys =
        new Keys(
            ranges.scratch(1, LEAD + blocks * strips),
            ranges.scratch(2, LEAD + blocks * strips),
            ranges.scratch(3, LEAD + blocks * strips),
            ranges.scratch(4, LEAD + blocks * strips));
    Queries queries =
        new Queries(
            ranges.scratch(5, LEAD + GROUP * turned),
            ranges.scratch(6, LEAD + GROUP * turned),
            ranges.scratch(7, LEAD + GROUP * strips),
            ranges.scratch(8, LEAD + GROUP * strips),
            ranges.scratch(9, LEAD + GROUP * strips),
            ranges.scratch(10, LEAD + GROUP * STATE));
    for (int b = 0; b < blocks; b++) {
      int rows = Math.min(ROWS, at.keys() - b * ROWS);
      int from = at.at(sampleHead, at.keys(), b * ROWS);
      float[] k = forward.k().floats();
      float[] v = forward.v().floats();
      shape.strips(k, forward.k().offset() + from, at.row(), rows, keys.k, LEAD + b * strips);
      shape.strips(v, forward.v().offset() + from, at.row(), rows, keys.v, LEAD + b * strips);
    }
    for (int first = 0; first < at.queryBlocks(); first += GROUP) {
      group(shape, sampleHead, first, Math.min(GROUP, at.queryBlocks() - first), keys, queries);
    }
    for (int b = 0; b < blocks; b++) {
      int rows = Math.min(ROWS, at.keys() - b * ROWS);
      int to = at.at(sampleHead, at.keys(), b * ROWS);
      int from = LEAD + b * strips;
      shape.unstrip(keys.dK, from, rows, dK.floats(), dK.offset() + to, at.row());
      shape.unstrip(keys.dV, from, rows, dV.floats(), dV.offset() + to, at.row());
    }
  }

  /** Some blocks of queries against all keys. */
  private void group(
      HeadBlock shape, int sampleHead, int first, int count, Keys keys, Queries queries) {
    Attention.Layout at = forward.layout();
    int turned = shape.turnedSize();
    int strips = shape.stripsSize();
    for (int i = 0; i < count; i++) {
      int from = (first + i) * ROWS;
      int rows = Math.min(ROWS, at.queries() - from);
      int row = at.at(sampleHead, at.queries(), from);
      float[] q = forward.q().floats();
      float[] g = dO.floats();
      shape.turn(q, forward.q().offset() + row, at.row(), rows, queries.qt, LEAD + i * turned);
      shape.turn(g, dO.offset() + row, at.row(), rows, queries.dOt, LEAD + i * turned);
      shape.strips(q, forward.q().offset() + row, at.row(), rows, queries.q, LEAD + i * strips);
      shape.strips(g, dO.offset() + row, at.row(), rows, queries.dO, LEAD + i * strips);
      state(shape.ranges(), sampleHead, from, rows, row, queries.state, LEAD + i * STATE);
    }
    for (int b = 0; b < at.keyBlocks(); b++) {
      for (int i = 0; i < count; i++) {
        pair(shape, b, first + i, i, keys, queries);
      }
    }
    for (int i = 0; i < count; i++) {
      int from = (first + i) * ROWS;
      int to = dQ.offset() + at.at(sampleHead, at.queries(), from);
      int rows = Math.min(ROWS, at.queries() - from);
      shape.unstrip(queries.dQ, LEAD + i * strips, rows, dQ.floats(), to, at.row());
    }
  }

  /** One block of keys and one of queries, the {@code i}-th of its group. */
  private void pair(
      HeadBlock shape, int keyBlock, int queryBlock, int i, Keys keys, Queries queries) {
    Attention.Layout at = forward.layout();
    Ranges ranges = shape.ranges();
    float[] p = ranges.scratch(11, LEAD + HeadBlock.SCORES);
    float[] ds = ranges.scratch(12, LEAD + HeadBlock.SCORES);
    int m = Math.min(ROWS, at.keys() - keyBlock * ROWS);
    int n = Math.min(ROWS, at.queries() - queryBlock * ROWS);
    int key = LEAD + keyBlock * shape.stripsSize();
    int turned = LEAD + i * shape.turnedSize();
    shape.scores(keys.k, key, queries.qt, turned, m, n, p, LEAD);
    shape.scores(keys.v, key, queries.dOt, turned, m, n, ds, LEAD);
    int state = LEAD + i * STATE;
    if (ranges.simd()) {
      Simd.scores(p, ds, m, HeadBlock.lanes(n), forward.scale(), queries.state, state);
    } else {
      scores(p, ds, m, n, forward.scale(), queries.state, state);
    }
    int query = LEAD + i * shape.stripsSize();
    boolean add = queryBlock > 0;
    shape.overQueries(p, LEAD, queries.dO, query, m, n, add, new HeadBlock.Sum(keys.dV, key));
    shape.overQueries(ds, LEAD, queries.q, query, m, n, add, new HeadBlock.Sum(keys.dK, key));
    HeadBlock.Sum dQueries = new HeadBlock.Sum(queries.dQ, query);
    shape.overKeys(ds, LEAD, keys.k, key, n, m, keyBlock > 0, dQueries);
  }

  /** Writes logSum and Σ_d dO·O of a block's queries; both 0 for the padding. */
  private void state(
      Ranges ranges, int sampleHead, int from, int rows, int row, float[] state, int to) {
    Attention.Layout at = forward.layout();
    float[] lanes = ranges.scratch(13, Lanes.COUNT);
    float[] os = forward.o().floats();
    float[] gs = dO.floats();
    float[] logSums = forward.logSum().floats();
    Arrays.fill(state, to, to + 2 * ROWS, 0f);
    int l = forward.logSum().offset() + sampleHead * at.queries() + from;
    for (int r = 0; r < rows; r++) {
      int left = forward.o().offset() + row + r * at.row();
      int right = dO.offset() + row + r * at.row();
      state[to + r] = logSums[l + r];
      state[to + ROWS + r] =
          (float) Lanes.dot(ranges.simd(), os, left, gs, right, at.features(), lanes);
    }
  }

  /** Turns scores into P, and dP into dS. */
  private static void scores(
      float[] p, float[] ds, int keys, int queries, float scale, float[] state, int at) {
    for (int j = 0; j < keys; j++) {
      for (int r = 0; r < queries; r++) {
        int i = LEAD + j * Gemm.STRIDE + r;
        float weight = Mathf.decay(Math.fma(p[i], scale, -state[at + r]));
        p[i] = weight;
        ds[i] = (ds[i] - state[at + ROWS + r]) * weight * scale;
      }
    }
  }

  /** The same on vectors of queries. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static void scores(
        float[] p, float[] ds, int keys, int width, float scale, float[] state, int at) {
      int unused = at + 2 * ROWS;
      Mathf.Simd.decay(p, LEAD, keys, Gemm.STRIDE, width, scale, state, at, state, unused);
      for (int r = 0; r < width; r += S.length()) {
        gradients(p, ds, LEAD + r, keys, scale, state, at + ROWS + r);
      }
    }

    private static void gradients(
        float[] p, float[] ds, int at, int keys, float scale, float[] state, int dots) {
      FloatVector scales = FloatVector.broadcast(S, scale);
      FloatVector dot = FloatVector.fromArray(S, state, dots);
      for (int j = 0; j < keys; j++) {
        int i = at + j * Gemm.STRIDE;
        FloatVector d = FloatVector.fromArray(S, ds, i).sub(dot);
        d.mul(FloatVector.fromArray(S, p, i)).mul(scales).intoArray(ds, i);
      }
    }
  }
}
