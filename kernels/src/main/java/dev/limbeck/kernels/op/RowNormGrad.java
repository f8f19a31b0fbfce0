package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The gradients of {@link RowNorm}.
 *
 * <p>With h = γ·dy: dx = (h − mean h − x̂·mean(h·x̂))/√(… + ε), without mean h if not centred; dγ =
 * Σ dy·x̂ and dβ = Σ dy over the rows, in chunks of fixed length that are added in order.
 *
 * @param forward the launch whose gradients are taken; its y may have been freed
 * @param dGamma [C], written, or null if γ is
 * @param dBeta [C], written, or null if β is
 */
@Definition(
    formula = "dx, dγ, dβ of the row normalisation",
    cost = "16 flops, 12 bytes per element")
public record RowNormGrad(RowNorm forward, Buffer dy, Buffer dx, Buffer dGamma, Buffer dBeta)
    implements Kernel {

  /** The largest block of the gradient in {@code row_norm.cu}. */
  private static final int CUDA_THREADS = 128;

  /** Rows of a block, over which it adds up dγ and dβ, and blocks that are enough. */
  private static final int CUDA_ROWS = 16;

  private static final int CUDA_BLOCKS = 1024;

  @Override
  public String name() {
    return "row_norm_grad";
  }

  @Override
  public List<Buffer> buffers() {
    RowNorm f = forward;
    return Arrays.asList(f.x(), f.gamma(), f.mean(), f.inverse(), dy, dx, dGamma, dBeta);
  }

  @Override
  public double flops() {
    return 16.0 * dx.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    int c = forward.channels();
    int rows = forward.mean().length();
    int perChunk = RowNorm.rowsPerChunk(c);
    int chunks = (rows + perChunk - 1) / perChunk;
    float[] sums = ranges.scratch(1, Math.max(1, chunks) * 2 * c);
    ranges.chunks(
        chunks,
        chunk -> {
          // x̂ and h of one row, and the lanes of its sums.
          float[] work = ranges.scratch(0, 2 * c);
          float[] lanes = ranges.scratch(2, Lanes.COUNT);
          int at = chunk * 2 * c;
          Arrays.fill(sums, at, at + 2 * c, 0f);
          int to = Math.min(rows, (chunk + 1) * perChunk);
          for (int row = chunk * perChunk; row < to; row++) {
            row(ranges.simd(), row, work, lanes, sums, at);
          }
        });
    total(dGamma, sums, 0, chunks);
    total(dBeta, sums, c, chunks);
  }

  @Override
  public void onCuda(Launcher cuda) {
    RowNorm f = forward;
    int c = f.channels();
    int rows = f.mean().length();
    Team team = Team.of(c, CUDA_THREADS);
    int least = Math.max(CUDA_ROWS, (rows + CUDA_BLOCKS - 1) / CUDA_BLOCKS);
    int run = (least + team.perBlock() - 1) / team.perBlock() * team.perBlock();
    int blocks = (rows + run - 1) / run;
    Buffer gammas = partial(cuda, dGamma, blocks);
    Buffer betas = partial(cuda, dBeta, blocks);
    cuda.kernel("row_norm", "row_norm_grad_f32").i32(rows).i32(c).i32(team.size()).i32(run);
    cuda.i32(f.centred() ? 1 : 0).pointer(f.x()).pointer(f.gamma()).pointer(f.mean());
    cuda.pointer(f.inverse()).pointer(dy).pointer(dx).pointer(gammas).pointer(betas);
    cuda.launch(blocks, team.threads());
    finish(cuda, gammas, dGamma, blocks);
    finish(cuda, betas, dBeta, blocks);
  }

  /** Where the blocks of a launch write their sums: the result itself if there is one block. */
  private Buffer partial(Launcher cuda, Buffer result, int blocks) {
    boolean direct = result == null || blocks == 1;
    return direct ? result : cuda.scratch(DType.F32, Math.max(1, blocks * forward.channels()));
  }

  private void finish(Launcher cuda, Buffer partial, Buffer result, int blocks) {
    if (partial != result) {
      int c = forward.channels();
      Reduce.columns(cuda, Reduce.Op.SUM, 1, blocks, c, 1f, false, partial, result);
    }
  }

  private void row(boolean simd, int row, float[] work, float[] lanes, float[] sums, int at) {
    int c = forward.channels();
    float mu = forward.mean().floats()[forward.mean().offset() + row];
    float inv = forward.inverse().floats()[forward.inverse().offset() + row];
    int done = simd ? Simd.prepare(this, row, mu, inv, work, sums, at) : 0;
    prepare(done, row, mu, inv, work, sums, at);
    float first = forward.centred() ? (float) (Lanes.sum(simd, work, c, c, lanes) / c) : 0f;
    float second = (float) (Lanes.dot(simd, work, 0, work, c, c, lanes) / c);
    int to = dx.offset() + row * c;
    done = simd ? Simd.finish(dx.floats(), to, c, work, first, second, inv) : 0;
    for (int j = done; j < c; j++) {
      dx.floats()[to + j] = Math.fma(work[j], -second, work[c + j] - first) * inv;
    }
  }

  /** Writes x̂ and h, and adds to the chunk's sums of dγ and dβ. */
  private void prepare(int from, int row, float mu, float inv, float[] work, float[] sums, int at) {
    int c = forward.channels();
    Buffer gamma = forward.gamma();
    for (int j = from; j < c; j++) {
      float standard = (forward.x().floats()[forward.x().offset() + row * c + j] - mu) * inv;
      float g = dy.floats()[dy.offset() + row * c + j];
      work[j] = standard;
      work[c + j] = gamma == null ? g : g * gamma.floats()[gamma.offset() + j];
      sums[at + j] = Math.fma(g, standard, sums[at + j]);
      sums[at + c + j] += g;
    }
  }

  private void total(Buffer result, float[] sums, int from, int chunks) {
    if (result == null) {
      return;
    }
    int c = forward.channels();
    for (int j = 0; j < c; j++) {
      double sum = 0;
      for (int chunk = 0; chunk < chunks; chunk++) {
        sum += sums[chunk * 2 * c + from + j];
      }
      result.floats()[result.offset() + j] = (float) sum;
    }
  }

  /** The same on vectors of channels; each method returns the first channel that is not done. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int prepare(
        RowNormGrad k, int row, float mu, float inv, float[] work, float[] sums, int at) {
      int c = k.forward.channels();
      Buffer gamma = k.forward.gamma();
      float[] ws = gamma == null ? null : gamma.floats();
      float[] xs = k.forward.x().floats();
      float[] gs = k.dy.floats();
      int xo = k.forward.x().offset() + row * c;
      int go = k.dy.offset() + row * c;
      int j = 0;
      for (; j <= c - S.length(); j += S.length()) {
        FloatVector standard = FloatVector.fromArray(S, xs, xo + j).sub(mu).mul(inv);
        FloatVector g = FloatVector.fromArray(S, gs, go + j);
        standard.intoArray(work, j);
        // Two stores: where a vector is one of two, the compiler may put both on the heap.
        if (ws == null) {
          g.intoArray(work, c + j);
        } else {
          g.mul(FloatVector.fromArray(S, ws, gamma.offset() + j)).intoArray(work, c + j);
        }
        g.fma(standard, FloatVector.fromArray(S, sums, at + j)).intoArray(sums, at + j);
        g.add(FloatVector.fromArray(S, sums, at + c + j)).intoArray(sums, at + c + j);
      }
      return j;
    }

    static int finish(
        float[] dx, int to, int c, float[] work, float first, float second, float inv) {
      FloatVector minus = FloatVector.broadcast(S, -second);
      int j = 0;
      for (; j <= c - S.length(); j += S.length()) {
        FloatVector h = FloatVector.fromArray(S, work, c + j).sub(first);
        FloatVector.fromArray(S, work, j).fma(minus, h).mul(inv).intoArray(dx, to + j);
      }
      return j;
    }
  }
}
