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

    /**
     * Elements of all operands that a level-2 cache of a mebibyte keeps from one loop to the next.
     */
    private static final int CACHE = 163_840;

    /** Every vector's length divides it. */
    private static final int VECTOR = 16;

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

    /**
     * Channels of whole groups that are worked on together, so that the second loop finds in the
     * cache what the first one left there.
     *
     * @param operands of the size of x
     */
    int slice(int operands) {
      int width = channels;
      while ((long) operands * pixels * width > CACHE
          && width % (2 * VECTOR) == 0
          && width / 2 % perGroup() == 0) {
        width /= 2;
      }
      return width;
    }

    int size() {
      return samples * pixels * channels;
    }
  }

  /** Elements that a thread of {@code group_norm_f32} holds in registers. */
  private static final int CUDA_HELD = 32;

  /** Channels [from, to) of a sample. */
  record Part(int sample, int from, int to) {}

  /** A step for each part. */
  @FunctionalInterface
  interface Step {
    void run(Part part);
  }

  /** The body of a loop over blocks of pixels. */
  @FunctionalInterface
  interface Block {
    void run(Part part, int block);
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
  public boolean takesHalves(int ptx) {
    return takesHalves(ptx, x, y);
  }

  /** Whether the functions for BF16 take x and others like it, all else being F32. */
  boolean takesHalves(int ptx, Buffer... likeX) {
    boolean takes = ptx >= 80 && layout.channels % 4 == 0;
    for (Buffer each : likeX) {
      takes &= each.type() == DType.BF16;
    }
    for (Buffer each : Arrays.asList(gamma, beta, scale, shift)) {
      takes &= each == null || each.type() == DType.F32;
    }
    return takes;
  }

  @Override
  public Kernel on(Operands by) {
    return new GroupNorm(
        layout,
        epsilon,
        silu,
        by.read(x),
        by.read(gamma),
        by.read(beta),
        by.read(scale),
        by.read(shift),
        by.written(y),
        mean,
        inverse);
  }

  @Override
  public void onCpu(Ranges ranges) {
    int c = layout.channels;
    int blocks = layout.blocks();
    float[] sums = ranges.scratch(0, Ranges.LEAD + layout.samples * blocks * 2 * c);
    float[] maps = ranges.scratch(1, Ranges.LEAD + layout.samples * 2 * c);
    passes(
        ranges,
        layout,
        layout.slice(2),
        part -> {},
        (part, b) -> {
          int at = Ranges.LEAD + (part.sample * blocks + b) * 2 * c;
          moments(ranges.simd(), part, b, sums, at);
        },
        part -> {
          finish(part, sums, Ranges.LEAD + part.sample * blocks * 2 * c);
          affine(part, maps, Ranges.LEAD + part.sample * 2 * c);
        },
        (part, b) -> normalise(ranges.simd(), part, b, maps, Ranges.LEAD + part.sample * 2 * c));
  }

  @Override
  public void onCuda(Launcher cuda) {
    if (layout.size() == 0) {
      return;
    }
    boolean halves = x.type() == DType.BF16;
    String type = halves ? "_bf16" : "_f32";
    GroupNormTiles whole = GroupNormTiles.whole(layout, CUDA_HELD);
    if (whole.fits()) {
      whole.pass(kernel(cuda, halves, "group_norm" + type), layout);
      cuda.i32(silu ? 1 : 0).f32(epsilon);
      operands(cuda).pointer(y).pointer(mean).pointer(inverse);
      cuda.launch(whole.blocks(layout.samples), 1, 1, whole.threads(), whole.wholeBytes());
      return;
    }
    GroupNormTiles blocks = GroupNormTiles.blocks(layout);
    Buffer sums = cuda.scratch(DType.F32, layout.samples * blocks.runs() * 2 * layout.channels);
    blocks.pass(kernel(cuda, halves, "group_norm_moments" + type), layout);
    cuda.pointer(x).pointer(sums);
    cuda.launch(blocks.blocks(layout.samples), 1, 1, blocks.threads(), blocks.sumBytes());
    int count = layout.samples * layout.groups;
    kernel(cuda, halves, "group_norm_finish" + type).i32(count).i32(layout.groups);
    cuda.i32(blocks.runs()).i32(layout.pixels).i32(layout.perGroup()).f32(epsilon);
    cuda.pointer(x).pointer(sums).pointer(mean).pointer(inverse);
    cuda.launch((count + 3) / 4, 128);
    blocks.pass(kernel(cuda, halves, "group_norm_apply" + type), layout).i32(silu ? 1 : 0);
    operands(cuda).pointer(y).pointer(mean).pointer(inverse);
    cuda.launch(blocks.blocks(layout.samples), blocks.threads());
  }

  private static Launcher kernel(Launcher cuda, boolean halves, String symbol) {
    return halves ? cuda.kernel("group_norm_bf16", symbol) : cuda.kernel("group_norm", symbol);
  }

  /** The operands that forward and gradient read. */
  Launcher operands(Launcher named) {
    return named.pointer(x).pointer(gamma).pointer(beta).pointer(scale).pointer(shift);
  }

  /**
   * Runs a step, a first loop over blocks, a second step, then a second loop over blocks; where
   * there are enough samples, all of it for one slice of the channels of one sample after another,
   * so that the second loop finds its data in the cache.
   */
  static void passes(
      Ranges ranges, Layout at, int slice, Step before, Block first, Step between, Block second) {
    int blocks = at.blocks();
    int c = at.channels;
    if (at.bySample()) {
      int slices = c / slice;
      ranges.chunks(
          at.samples * slices,
          i -> {
            Part part = new Part(i / slices, i % slices * slice, (i % slices + 1) * slice);
            before.run(part);
            for (int b = 0; b < blocks; b++) {
              first.run(part, b);
            }
            between.run(part);
            for (int b = 0; b < blocks; b++) {
              second.run(part, b);
            }
          });
    } else {
      for (int n = 0; n < at.samples; n++) {
        before.run(new Part(n, 0, c));
      }
      int all = at.samples * blocks;
      ranges.chunks(all, i -> first.run(new Part(i / blocks, 0, c), i % blocks));
      for (int n = 0; n < at.samples; n++) {
        between.run(new Part(n, 0, c));
      }
      ranges.chunks(all, i -> second.run(new Part(i / blocks, 0, c), i % blocks));
    }
  }

  /** Writes Σ(x − x₀) and Σ(x − x₀)² of every channel over one block, x₀ its first value. */
  private void moments(boolean simd, Part part, int block, float[] sums, int at) {
    int c = layout.channels;
    int sample = x.offset() + part.sample * layout.pixels * c;
    int from = block * layout.rows();
    int to = Math.min(layout.pixels, from + layout.rows());
    Arrays.fill(sums, at + part.from, at + part.to, 0f);
    Arrays.fill(sums, at + c + part.from, at + c + part.to, 0f);
    float[] xs = x.floats();
    int first = simd ? Simd.moments(xs, sample, from, to, part, c, sums, at) : part.from;
    if (first == part.to) {
      return;
    }
    for (int p = from; p < to; p++) {
      for (int j = first; j < part.to; j++) {
        float d = xs[sample + p * c + j] - xs[sample + j];
        sums[at + j] += d;
        sums[at + c + j] = Math.fma(d, d, sums[at + c + j]);
      }
    }
  }

  /**
   * Combines the channels' moments into each group's mean and inverse deviation: about the group's
   * own first value, to which every channel's first value is a known distance.
   */
  private void finish(Part part, float[] sums, int at) {
    int n = part.sample;
    int c = layout.channels;
    int per = layout.perGroup();
    int blocks = layout.blocks();
    double pixels = layout.pixels;
    double share = 1 / (pixels * per);
    float[] xs = x.floats();
    float[] means = mean.floats();
    float[] inverses = inverse.floats();
    int sample = x.offset() + n * layout.pixels * c;
    for (int g = part.from / per; g < part.to / per; g++) {
      double first = xs[sample + g * per];
      double total = 0;
      double squares = 0;
      for (int j = g * per; j < (g + 1) * per; j++) {
        double s = sums[at + j];
        double q = sums[at + c + j];
        for (int b = 1; b < blocks; b++) {
          s += sums[at + b * 2 * c + j];
          q += sums[at + b * 2 * c + c + j];
        }
        double off = xs[sample + j] - first;
        total += s + pixels * off;
        squares += q + off * (2 * s + pixels * off);
      }
      double mu = total * share;
      double variance = Math.max(0, squares * share - mu * mu);
      means[mean.offset() + n * layout.groups + g] = (float) (first + mu);
      inverses[inverse.offset() + n * layout.groups + g] =
          (float) (1 / Math.sqrt(variance + epsilon));
    }
  }

  /**
   * Writes a and b, one of each per channel, of the map u = a·x + b that the whole operation is.
   */
  void affine(Part part, float[] maps, int at) {
    int n = part.sample;
    int c = layout.channels;
    int per = layout.perGroup();
    float[] gammas = gamma.floats();
    float[] betas = beta.floats();
    for (int g = part.from / per; g < part.to / per; g++) {
      float mu = mean.floats()[mean.offset() + n * layout.groups + g];
      float inv = inverse.floats()[inverse.offset() + n * layout.groups + g];
      for (int j = g * per; j < (g + 1) * per; j++) {
        float a = inv * gammas[gamma.offset() + j];
        float b = Math.fma(-mu, a, betas[beta.offset() + j]);
        if (scale != null) {
          float s = 1f + scale.floats()[scale.offset() + n * c + j];
          a *= s;
          b *= s;
        }
        if (shift != null) {
          b += shift.floats()[shift.offset() + n * c + j];
        }
        maps[at + j] = a;
        maps[at + c + j] = b;
      }
    }
  }

  private void normalise(boolean simd, Part part, int block, float[] maps, int at) {
    int c = layout.channels;
    int from = part.sample * layout.pixels + block * layout.rows();
    int to = Math.min((part.sample + 1) * layout.pixels, from + layout.rows());
    float[] xs = x.floats();
    float[] ys = y.floats();
    int first = part.from;
    if (simd) {
      first = Simd.normalise(silu, xs, x.offset(), ys, y.offset(), from, to, part, c, maps, at);
    }
    if (first == part.to) {
      return;
    }
    for (int p = from; p < to; p++) {
      for (int j = first; j < part.to; j++) {
        float u = Math.fma(xs[x.offset() + p * c + j], maps[at + j], maps[at + c + j]);
        ys[y.offset() + p * c + j] = silu ? Mathf.silu(u) : u;
      }
    }
  }

  /** The same on vectors of channels; each method returns the first channel that is not done. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    /** Rows that one loop runs over: few enough that memory is read nearly in order. */
    private static final int ROWS = 16;

    static int moments(
        float[] x, int sample, int from, int to, Part part, int c, float[] sums, int at) {
      int l = S.length();
      int count = part.to - part.from;
      int pairs = part.from + count / (2 * l) * (2 * l);
      for (int p = from; p < to; p += ROWS) {
        int rows = Math.min(ROWS, to - p);
        int i = sample + p * c;
        for (int j = part.from; j < pairs; j += 2 * l) {
          momentsOfPair(x, sample + j, i + j, rows, c, sums, at + j);
        }
        if (pairs <= part.to - l) {
          momentsOfOne(x, sample + pairs, i + pairs, rows, c, sums, at + pairs);
        }
      }
      return part.from + S.loopBound(count);
    }

    /** Two vectors of channels. */
    private static void momentsOfPair(
        float[] x, int centre, int i, int rows, int c, float[] sums, int at) {
      int l = S.length();
      FloatVector k0 = FloatVector.fromArray(S, x, centre);
      FloatVector k1 = FloatVector.fromArray(S, x, centre + l);
      FloatVector s0 = FloatVector.fromArray(S, sums, at);
      FloatVector s1 = FloatVector.fromArray(S, sums, at + l);
      FloatVector q0 = FloatVector.fromArray(S, sums, at + c);
      FloatVector q1 = FloatVector.fromArray(S, sums, at + c + l);
      for (int row = 0; row < rows; row++) {
        FloatVector d0 = FloatVector.fromArray(S, x, i + row * c).sub(k0);
        FloatVector d1 = FloatVector.fromArray(S, x, i + row * c + l).sub(k1);
        s0 = s0.add(d0);
        s1 = s1.add(d1);
        q0 = d0.fma(d0, q0);
        q1 = d1.fma(d1, q1);
      }
      s0.intoArray(sums, at);
      s1.intoArray(sums, at + l);
      q0.intoArray(sums, at + c);
      q1.intoArray(sums, at + c + l);
    }

    private static void momentsOfOne(
        float[] x, int centre, int i, int rows, int c, float[] sums, int at) {
      FloatVector k = FloatVector.fromArray(S, x, centre);
      FloatVector s = FloatVector.fromArray(S, sums, at);
      FloatVector q = FloatVector.fromArray(S, sums, at + c);
      for (int row = 0; row < rows; row++) {
        FloatVector d = FloatVector.fromArray(S, x, i + row * c).sub(k);
        s = s.add(d);
        q = d.fma(d, q);
      }
      s.intoArray(sums, at);
      q.intoArray(sums, at + c);
    }

    static int normalise(
        boolean silu,
        float[] x,
        int xo,
        float[] y,
        int yo,
        int from,
        int to,
        Part part,
        int c,
        float[] maps,
        int at) {
      int whole = part.from + S.loopBound(part.to - part.from);
      for (int p = from; p < to; p += ROWS) {
        int rows = Math.min(ROWS, to - p);
        for (int j = part.from; j < whole; j += S.length()) {
          int i = p * c + j;
          if (silu) {
            Mathf.Simd.silu(x, xo + i, rows, c, maps, at + j, y, yo + i);
          } else {
            map(x, xo + i, rows, c, maps, at + j, y, yo + i);
          }
        }
      }
      return whole;
    }

    /** y = a·x + b for some rows of one vector of channels. */
    private static void map(
        float[] x, int from, int rows, int c, float[] affine, int at, float[] y, int to) {
      FloatVector a = FloatVector.fromArray(S, affine, at);
      FloatVector b = FloatVector.fromArray(S, affine, at + c);
      for (int row = 0; row < rows; row++) {
        FloatVector.fromArray(S, x, from + row * c).fma(a, b).intoArray(y, to + row * c);
      }
    }
  }
}
