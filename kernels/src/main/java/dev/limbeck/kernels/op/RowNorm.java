package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Normalises rows: layer normalisation, or (without centring) root-mean-square normalisation.
 *
 * <p>y = x̂·γ + β with x̂ = (x − μ)/√(mean (x − μ)² + ε); μ is the row's mean, or 0 if not centred.
 *
 * @param gamma [C], or null for 1
 * @param beta [C], or null for 0
 * @param mean [rows], written
 * @param inverse [rows], written: 1/√(mean (x − μ)² + ε)
 * @shape x, y [rows,C]
 * @paper Ba et al. 2016, 1607.06450; Zhang and Sennrich 2019, 1910.07467
 */
@Definition(
    formula = "y = γ·(x−μ)/√(σ²+ε) + β along rows, or x/rms",
    cost = "8 flops, 8 bytes per element")
public record RowNorm(
    int channels,
    boolean centred,
    float epsilon,
    Buffer x,
    Buffer gamma,
    Buffer beta,
    Buffer y,
    Buffer mean,
    Buffer inverse)
    implements Kernel {
  /** Elements per chunk. */
  private static final int GRAIN = 8192;

  /** The largest block of {@code row_norm.cu}: more threads have too few registers for a row. */
  private static final int CUDA_THREADS = 512;

  public RowNorm {
    if (x.length() != y.length() || x.length() != mean.length() * channels) {
      throw new IllegalArgumentException(
          "row norm: x has " + x.length() + ", y " + y.length() + ", rows of " + channels);
    }
  }

  @Override
  public String name() {
    return "row_norm";
  }

  @Override
  public List<Buffer> buffers() {
    return Arrays.asList(x, gamma, beta, y, mean, inverse);
  }

  static int rowsPerChunk(int channels) {
    return Math.max(1, GRAIN / channels);
  }

  @Override
  public double flops() {
    return 8.0 * x.length();
  }

  @Override
  public void onCpu(Ranges ranges) {
    ranges.split(
        mean.length(),
        rowsPerChunk(channels),
        (from, to) -> {
          float[] lanes = ranges.scratch(0, Lanes.COUNT);
          for (int row = from; row < to; row++) {
            row(ranges.simd(), row, lanes);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int rows = mean.length();
    Team team = Team.of(channels, CUDA_THREADS);
    cuda.kernel("row_norm", "row_norm_f32").i32(rows).i32(channels).i32(team.size());
    cuda.i32(centred ? 1 : 0).f32(epsilon).pointer(x).pointer(gamma).pointer(beta);
    cuda.pointer(y).pointer(mean).pointer(inverse).launch(team.blocks(rows), team.threads());
  }

  private void row(boolean simd, int row, float[] lanes) {
    float[] xs = x.floats();
    int at = x.offset() + row * channels;
    float mu = centred ? (float) (Lanes.sum(simd, xs, at, channels, lanes) / channels) : 0f;
    double variance = Lanes.squares(simd, xs, at, channels, mu, lanes) / channels;
    float inv = (float) (1 / Math.sqrt(variance + epsilon));
    mean.floats()[mean.offset() + row] = mu;
    inverse.floats()[inverse.offset() + row] = inv;
    int done = simd ? Simd.row(this, row, mu, inv) : 0;
    float[] ys = y.floats();
    for (int j = done; j < channels; j++) {
      float v = (xs[at + j] - mu) * inv;
      if (gamma != null) {
        v *= gamma.floats()[gamma.offset() + j];
      }
      if (beta != null) {
        v += beta.floats()[beta.offset() + j];
      }
      ys[y.offset() + row * channels + j] = v;
    }
  }

  /** The same on vectors of channels. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    /** Returns the first channel that is not done. */
    static int row(RowNorm k, int row, float mu, float inv) {
      float[] xs = k.x.floats();
      float[] ys = k.y.floats();
      float[] gs = k.gamma == null ? null : k.gamma.floats();
      float[] bs = k.beta == null ? null : k.beta.floats();
      int from = k.x.offset() + row * k.channels;
      int to = k.y.offset() + row * k.channels;
      int j = 0;
      for (; j <= k.channels - S.length(); j += S.length()) {
        FloatVector v = FloatVector.fromArray(S, xs, from + j).sub(mu).mul(inv);
        if (gs != null) {
          v = v.mul(FloatVector.fromArray(S, gs, k.gamma.offset() + j));
        }
        if (bs != null) {
          v = v.add(FloatVector.fromArray(S, bs, k.beta.offset() + j));
        }
        v.intoArray(ys, to + j);
      }
      return j;
    }
  }
}
