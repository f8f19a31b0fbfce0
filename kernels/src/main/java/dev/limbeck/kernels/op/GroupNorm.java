package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.Definition;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Ranges;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Normalises groups of channels of each sample, then scales, shifts and (optionally) applies SiLU.
 *
 * <p>x̂ = (x − mean)/√(var + ε) over a group's pixels and channels; u = (x̂·γ + β)·(1 + scale) +
 * shift; y = u, or u/(1 + e^−u). One pass over x takes the moments of every channel (about the
 * channel's first value, so that a large mean cancels nothing), a second one writes y = act(a·x +
 * b).
 *
 * @param scale [N,C] or null
 * @param shift [N,C] or null
 * @param mean [N,groups], written; the gradient needs it
 * @param inverse [N,groups], written: 1/√(var + ε)
 * @shape x, y [N,pixels,C]; γ, β [C]
 * @paper Wu and He 2018, 1803.08494
 */
@Definition(
    formula = "y = f(γ·(x−μ)/√(σ²+ε) + β), (1+scale) and shift optional, f identity or SiLU",
    cost = "6 flops (20 with SiLU), 12 bytes per element, 8 where a sample fits in the cache")
public record GroupNorm(
    Layout layout,
    float epsilon,
    boolean silu,
    Buffer x,
    Buffer gamma,
    Buffer beta,
    Buffer scale,
    Buffer shift,
    Buffer y,
    Buffer mean,
    Buffer inverse)
    implements Kernel {

  /** The sizes of x [samples, pixels, channels], and the number of groups of channels. */
  public record Layout(int samples, int pixels, int channels, int groups) {
    /** Elements per block of pixels, what a level-2 cache holds several times. */
    private static final int BLOCK = 16384;

    /** Longer sums in single precision would lose digits. */
    private static final int MAX_ROWS = 256;

    /** Enough samples to occupy every core with one sample each. */
    private static final int MANY = 4;

    public Layout {
      if (groups < 1 || channels % groups != 0) {
        throw new IllegalArgumentException(
            "group norm: " + channels + " channels do not divide into " + groups + " groups");
      }
    }

    /** Pixels whose sums are taken in single precision. */
    int rows() {
      return Math.max(1, Math.min(MAX_ROWS, Math.min(pixels, BLOCK / channels)));
    }

    int blocks() {
      return (pixels + rows() - 1) / rows();
    }

    /** True if one chunk of work is a whole sample rather than a block of pixels. */
    boolean bySample() {
      return samples >= MANY || blocks() == 1;
    }

    int perGroup() {
      return channels / groups;
    }

    int size() {
      return samples * pixels * channels;
    }
  }

  /** The body of a loop over blocks of pixels. */
  @FunctionalInterface
  interface Block {
    void run(int sample, int block);
  }

  public GroupNorm {
    if (x.length() != layout.size() || y.length() != layout.size()) {
      throw new IllegalArgumentException("group norm: x or y does not have the size of " + layout);
    }
  }

  @Override
  public String name() {
    return "group_norm";
  }

  @Override
  public List<Buffer> buffers() {
    return Arrays.asList(x, gamma, beta, scale, shift, y, mean, inverse);
  }

  @Override
  public double flops() {
    return (silu ? 20.0 : 6.0) * layout.size();
  }

  @Override
  public void onCpu(Ranges ranges) {
    int c = layout.channels;
    int blocks = layout.blocks();
    float[] sums = ranges.scratch(0, Ranges.LEAD + layout.samples * blocks * 2 * c);
    passes(
        ranges,
        layout,
        (n, b) -> moments(ranges.simd(), n, b, sums, Ranges.LEAD + (n * blocks + b) * 2 * c),
        n -> finish(n, sums, Ranges.LEAD + n * blocks * 2 * c),
        (n, b) -> {
          float[] affine = ranges.scratch(1, Ranges.LEAD + 2 * c);
          affine(layout, n, this, affine);
          normalise(ranges.simd(), n, b, affine);
        });
  }

  /**
   * Runs a first loop over blocks, then a step per sample, then a second loop over blocks; sample
   * by sample where there are enough of them, so that the second loop finds its data in the cache.
   */
  static void passes(Ranges ranges, Layout at, Block first, Ranges.Chunk between, Block second) {
    int blocks = at.blocks();
    if (at.bySample()) {
      ranges.chunks(
          at.samples,
          n -> {
            for (int b = 0; b < blocks; b++) {
              first.run(n, b);
            }
            between.run(n);
            for (int b = 0; b < blocks; b++) {
              second.run(n, b);
            }
          });
    } else {
      ranges.chunks(at.samples * blocks, i -> first.run(i / blocks, i % blocks));
      for (int n = 0; n < at.samples; n++) {
        between.run(n);
      }
      ranges.chunks(at.samples * blocks, i -> second.run(i / blocks, i % blocks));
    }
  }

  /** Writes Σ(x − x₀) and Σ(x − x₀)² of every channel over one block, x₀ its first value. */
  private void moments(boolean simd, int n, int block, float[] sums, int at) {
    int c = layout.channels;
    int sample = x.offset() + n * layout.pixels * c;
    int from = block * layout.rows();
    int to = Math.min(layout.pixels, from + layout.rows());
    Arrays.fill(sums, at, at + 2 * c, 0f);
    float[] xs = x.floats();
    int first = simd ? Simd.moments(xs, sample, from, to, c, sums, at) : 0;
    if (first == c) {
      return;
    }
    for (int p = from; p < to; p++) {
      for (int j = first; j < c; j++) {
        float d = xs[sample + p * c + j] - xs[sample + j];
        sums[at + j] += d;
        sums[at + c + j] = Math.fma(d, d, sums[at + c + j]);
      }
    }
  }

  /** Combines the channels' moments into each group's mean and inverse deviation. */
  private void finish(int n, float[] sums, int at) {
    int c = layout.channels;
    int per = layout.perGroup();
    double pixels = layout.pixels;
    float[] xs = x.floats();
    int sample = x.offset() + n * layout.pixels * c;
    for (int g = 0; g < layout.groups; g++) {
      double total = 0;
      for (int j = g * per; j < (g + 1) * per; j++) {
        total += xs[sample + j] + total(sums, at + j, 2 * c) / pixels;
      }
      double mu = total / per;
      double squares = 0;
      for (int j = g * per; j < (g + 1) * per; j++) {
        double s = total(sums, at + j, 2 * c);
        double q = total(sums, at + c + j, 2 * c);
        double off = xs[sample + j] + s / pixels - mu;
        squares += q - s * s / pixels + pixels * off * off;
      }
      double variance = Math.max(0, squares / (pixels * per));
      mean.floats()[mean.offset() + n * layout.groups + g] = (float) mu;
      inverse.floats()[inverse.offset() + n * layout.groups + g] =
          (float) (1 / Math.sqrt(variance + epsilon));
    }
  }

  private double total(float[] sums, int at, int stride) {
    double total = 0;
    for (int b = 0; b < layout.blocks(); b++) {
      total += sums[at + b * stride];
    }
    return total;
  }

  /**
   * Writes a and b, one per channel and from {@link Ranges#LEAD} on, of the affine map u = a·x + b
   * that the whole operation is.
   */
  static void affine(Layout layout, int n, GroupNorm op, float[] affine) {
    int c = layout.channels;
    int per = layout.perGroup();
    for (int j = 0; j < c; j++) {
      float mu = op.mean.floats()[op.mean.offset() + n * layout.groups + j / per];
      float inv = op.inverse.floats()[op.inverse.offset() + n * layout.groups + j / per];
      float a = inv * op.gamma.floats()[op.gamma.offset() + j];
      float b = Math.fma(-mu, a, op.beta.floats()[op.beta.offset() + j]);
      if (op.scale != null) {
        float s = 1f + op.scale.floats()[op.scale.offset() + n * c + j];
        a *= s;
        b *= s;
      }
      if (op.shift != null) {
        b += op.shift.floats()[op.shift.offset() + n * c + j];
      }
      affine[Ranges.LEAD + j] = a;
      affine[Ranges.LEAD + c + j] = b;
    }
  }

  private void normalise(boolean simd, int n, int block, float[] affine) {
    int c = layout.channels;
    int from = n * layout.pixels + block * layout.rows();
    int to = Math.min((n + 1) * layout.pixels, from + layout.rows());
    float[] xs = x.floats();
    float[] ys = y.floats();
    int first = 0;
    if (simd) {
      first = Simd.normalise(silu, xs, x.offset(), ys, y.offset(), from, to, c, affine);
    }
    if (first == c) {
      return;
    }
    for (int p = from; p < to; p++) {
      for (int j = first; j < c; j++) {
        float u =
            Math.fma(
                xs[x.offset() + p * c + j], affine[Ranges.LEAD + j], affine[Ranges.LEAD + c + j]);
        ys[y.offset() + p * c + j] = silu ? u * Mathf.sigmoid(u) : u;
      }
    }
  }

  /** The same on vectors of channels; each method returns the first channel that is not done. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    static int moments(float[] x, int sample, int from, int to, int c, float[] sums, int at) {
      if (c >= 4 * S.length()) {
        // Whole rows, in the order of memory, and the sums in the level-1 cache.
        int p = from;
        for (; p <= to - 4; p += 4) {
          momentsOfRows(x, sample, sample + p * c, c, sums, at);
        }
        for (; p < to; p++) {
          momentsOfRow(x, sample, sample + p * c, c, sums, at);
        }
        return S.loopBound(c);
      }
      float[] zeros = Gemm.zeros(S.length());
      int l = S.length();
      int j = 0;
      for (; j <= c - 2 * l; j += 2 * l) {
        FloatVector k0 = FloatVector.fromArray(S, x, sample + j);
        FloatVector k1 = FloatVector.fromArray(S, x, sample + j + l);
        // Each loaded by itself: sums that share their first value were seen boxed in a training
        // step, a hundred megabytes of it.
        FloatVector s0 = FloatVector.fromArray(S, zeros, 0);
        FloatVector s1 = FloatVector.fromArray(S, zeros, 0);
        FloatVector q0 = FloatVector.fromArray(S, zeros, 0);
        FloatVector q1 = FloatVector.fromArray(S, zeros, 0);
        int i = sample + from * c + j;
        for (int p = from; p < to; p++, i += c) {
          FloatVector d0 = FloatVector.fromArray(S, x, i).sub(k0);
          FloatVector d1 = FloatVector.fromArray(S, x, i + l).sub(k1);
          s0 = s0.add(d0);
          s1 = s1.add(d1);
          q0 = d0.fma(d0, q0);
          q1 = d1.fma(d1, q1);
        }
        s0.intoArray(sums, at + j);
        s1.intoArray(sums, at + j + l);
        q0.intoArray(sums, at + c + j);
        q1.intoArray(sums, at + c + j + l);
      }
      for (; j <= c - l; j += l) {
        FloatVector k = FloatVector.fromArray(S, x, sample + j);
        FloatVector s = FloatVector.fromArray(S, zeros, 0);
        FloatVector q = FloatVector.fromArray(S, zeros, 0);
        int i = sample + from * c + j;
        for (int p = from; p < to; p++, i += c) {
          FloatVector d = FloatVector.fromArray(S, x, i).sub(k);
          s = s.add(d);
          q = d.fma(d, q);
        }
        s.intoArray(sums, at + j);
        q.intoArray(sums, at + c + j);
      }
      return j;
    }

    /** Four rows at a time, so that the sums are read and written a quarter as often. */
    private static void momentsOfRows(float[] x, int centre, int row, int c, float[] sums, int at) {
      for (int j = 0; j <= c - S.length(); j += S.length()) {
        FloatVector k = FloatVector.fromArray(S, x, centre + j);
        FloatVector d0 = FloatVector.fromArray(S, x, row + j).sub(k);
        FloatVector d1 = FloatVector.fromArray(S, x, row + c + j).sub(k);
        FloatVector d2 = FloatVector.fromArray(S, x, row + 2 * c + j).sub(k);
        FloatVector d3 = FloatVector.fromArray(S, x, row + 3 * c + j).sub(k);
        FloatVector s = FloatVector.fromArray(S, sums, at + j);
        s.add(d0).add(d1).add(d2).add(d3).intoArray(sums, at + j);
        FloatVector q = FloatVector.fromArray(S, sums, at + c + j);
        q = d3.fma(d3, d2.fma(d2, d1.fma(d1, d0.fma(d0, q))));
        q.intoArray(sums, at + c + j);
      }
    }

    private static void momentsOfRow(float[] x, int centre, int row, int c, float[] sums, int at) {
      for (int j = 0; j <= c - S.length(); j += S.length()) {
        FloatVector k = FloatVector.fromArray(S, x, centre + j);
        FloatVector d = FloatVector.fromArray(S, x, row + j).sub(k);
        FloatVector.fromArray(S, sums, at + j).add(d).intoArray(sums, at + j);
        d.fma(d, FloatVector.fromArray(S, sums, at + c + j)).intoArray(sums, at + c + j);
      }
    }

    static int normalise(
        boolean silu,
        float[] x,
        int xo,
        float[] y,
        int yo,
        int from,
        int to,
        int c,
        float[] affine) {
      int whole = S.loopBound(c);
      for (int row = from * c; row < to * c; row += c) {
        if (silu) {
          Mathf.Simd.gate(true, x, xo + row, affine, Ranges.LEAD, c, whole, y, yo + row);
        } else {
          map(x, xo + row, affine, c, whole, y, yo + row);
        }
      }
      return whole;
    }

    /** One row of y = a·x + b. */
    private static void map(
        float[] x, int from, float[] affine, int c, int whole, float[] y, int to) {
      for (int j = 0; j < whole; j += S.length()) {
        FloatVector a = FloatVector.fromArray(S, affine, Ranges.LEAD + j);
        FloatVector b = FloatVector.fromArray(S, affine, Ranges.LEAD + c + j);
        FloatVector.fromArray(S, x, from + j).fma(a, b).intoArray(y, to + j);
      }
    }
  }
}
