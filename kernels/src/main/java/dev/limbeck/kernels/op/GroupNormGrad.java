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
 * The gradients of {@link GroupNorm}.
 *
 * <p>With du = dy·act′(u), and S₁ = Σ du, S₂ = Σ du·x̂ over the pixels of one sample and channel:
 * dγ = Σₙ (1 + scale)·S₂, dβ = Σₙ (1 + scale)·S₁, dscale = γ·S₂ + β·S₁, dshift = S₁; and with w =
 * γ·(1 + scale), dx = (w·du − mean(w·S₁) − x̂·mean(w·S₂))/√(var + ε), the means over the group. The
 * first pass leaves du where dx goes, the second turns it into dx.
 *
 * @param forward the launch whose gradients are taken; its y may have been freed
 * @param dx [N,pixels,C], written (it holds du in between, so it is needed in any case)
 * @param dGamma [C], written
 * @param dBeta [C], written
 * @param dScale [N,C], written, or null
 * @param dShift [N,C], written, or null
 */
@Definition(
    formula = "dx, dγ, dβ, dscale, dshift of the group normalisation",
    cost = "14 flops (40 with SiLU), 24 bytes per element")
public record GroupNormGrad(
    GroupNorm forward,
    Buffer dy,
    Buffer dx,
    Buffer dGamma,
    Buffer dBeta,
    Buffer dScale,
    Buffer dShift)
    implements Kernel {

  /** Elements of x, and of dy, that a thread of {@code group_norm_grad_f32} holds in registers. */
  private static final int CUDA_HELD = 16;

  public GroupNormGrad {
    int size = forward.layout().size();
    if (dy.length() != size || dx.length() != size) {
      throw new IllegalArgumentException(
          "group norm gradient: " + dy.length() + " and " + dx.length() + ", x has " + size);
    }
  }

  @Override
  public String name() {
    return "group_norm_grad";
  }

  @Override
  public List<Buffer> buffers() {
    GroupNorm f = forward;
    return Arrays.asList(
        f.x(),
        f.gamma(),
        f.beta(),
        f.scale(),
        f.shift(),
        f.mean(),
        f.inverse(),
        dy,
        dx,
        dGamma,
        dBeta,
        dScale,
        dShift);
  }

  @Override
  public double flops() {
    return (forward.silu() ? 40.0 : 14.0) * dx.length();
  }

  @Override
  public boolean takesHalves(int ptx) {
    return forward.takesHalves(ptx, forward.x(), dy, dx);
  }

  @Override
  public Kernel on(Operands by) {
    GroupNorm f = forward;
    Buffer x = by.read(f.x());
    GroupNorm wide =
        new GroupNorm(
            f.layout(),
            f.epsilon(),
            f.silu(),
            x,
            by.read(f.gamma()),
            by.read(f.beta()),
            by.read(f.scale()),
            by.read(f.shift()),
            x,
            f.mean(),
            f.inverse());
    return new GroupNormGrad(
        wide,
        by.read(dy),
        by.written(dx),
        by.written(dGamma),
        by.written(dBeta),
        by.written(dScale),
        by.written(dShift));
  }

  @Override
  public void onCpu(Ranges ranges) {
    GroupNorm.Layout at = forward.layout();
    int c = at.channels();
    int blocks = at.blocks();
    float[] sums = ranges.scratch(0, Ranges.LEAD + at.samples() * blocks * 2 * c);
    float[] totals = ranges.scratch(2, at.samples() * 2 * c);
    float[] maps = ranges.scratch(1, Ranges.LEAD + at.samples() * 4 * c);
    GroupNorm.passes(
        ranges,
        at,
        at.slice(3),
        part -> {
          int map = Ranges.LEAD + part.sample() * 4 * c;
          forward.affine(part, maps, map);
          standard(part, maps, map + 2 * c);
        },
        (part, b) -> {
          int to = Ranges.LEAD + (part.sample() * blocks + b) * 2 * c;
          sums(ranges.simd(), part, b, maps, Ranges.LEAD + part.sample() * 4 * c, sums, to);
        },
        part -> {
          total(part, sums, totals);
          inputMap(part, totals, maps, Ranges.LEAD + part.sample() * 4 * c);
        },
        (part, b) -> {
          input(ranges.simd(), part, b, maps, Ranges.LEAD + part.sample() * 4 * c);
        });
    parameters(totals);
  }

  @Override
  public void onCuda(Launcher cuda) {
    GroupNorm f = forward;
    GroupNorm.Layout at = f.layout();
    int n = at.samples();
    int c = at.channels();
    Buffer totals = cuda.scratch(DType.F32, Math.max(1, 2 * n * c));
    GroupNormTiles whole = GroupNormTiles.whole(at, CUDA_HELD);
    if (whole.fits()) {
      boolean halves = dx.type() == DType.BF16;
      whole.pass(
          halves
              ? cuda.kernel("group_norm_bf16", "group_norm_grad_bf16")
              : cuda.kernel("group_norm_grad", "group_norm_grad_f32"),
          at);
      f.operands(cuda.i32(f.silu() ? 1 : 0)).pointer(f.mean()).pointer(f.inverse());
      cuda.pointer(dy).pointer(dx).pointer(totals).pointer(dScale).pointer(dShift);
      cuda.launch(whole.blocks(n), 1, 1, whole.threads(), whole.wholeBytes());
    } else {
      inRuns(cuda, GroupNormTiles.blocks(at), totals);
    }
    cuda.kernel("group_norm_grad", "group_norm_grad_parameters_f32").i32(n).i32(c);
    cuda.pointer(f.scale()).pointer(totals).pointer(dGamma).pointer(dBeta);
    cuda.launch((c + 31) / 32, Launcher.THREADS);
  }

  /** Blocks of pixels: their sums, the samples' totals, dx. */
  private void inRuns(Launcher cuda, GroupNormTiles blocks, Buffer totals) {
    GroupNorm f = forward;
    GroupNorm.Layout at = f.layout();
    int n = at.samples();
    Buffer sums = cuda.scratch(DType.F32, n * blocks.runs() * 2 * at.channels());
    blocks.pass(inRuns(cuda, "group_norm_grad_sums"), at);
    f.operands(cuda.i32(f.silu() ? 1 : 0)).pointer(f.mean()).pointer(f.inverse());
    cuda.pointer(dy).pointer(sums);
    cuda.launch(blocks.blocks(n), 1, 1, blocks.threads(), blocks.sumBytes());

    int count = n * at.groups();
    Buffer maps = cuda.scratch(DType.F32, 2 * count);
    cuda.kernel("group_norm_grad_runs", "group_norm_grad_finish_f32").i32(count).i32(at.groups());
    cuda.i32(blocks.runs()).i32(at.pixels()).i32(at.perGroup());
    cuda.pointer(f.gamma()).pointer(f.beta()).pointer(f.scale()).pointer(f.mean());
    cuda.pointer(f.inverse()).pointer(sums).pointer(totals).pointer(maps);
    cuda.pointer(dScale).pointer(dShift).launch((count + 3) / 4, 128);

    blocks.pass(inRuns(cuda, "group_norm_grad_apply"), at);
    f.operands(cuda.i32(f.silu() ? 1 : 0)).pointer(f.mean()).pointer(f.inverse());
    cuda.pointer(dy).pointer(maps).pointer(dx).launch(blocks.blocks(n), blocks.threads());
  }

  private Launcher inRuns(Launcher cuda, String name) {
    return dx.type() == DType.BF16
        ? cuda.kernel("group_norm_bf16", name + "_bf16")
        : cuda.kernel("group_norm_grad_runs", name + "_f32");
  }

  /** Writes a and b of x̂ = a·x + b, one of each per channel. */
  private void standard(GroupNorm.Part part, float[] maps, int at) {
    GroupNorm f = forward;
    int n = part.sample();
    int c = f.layout().channels();
    int groups = f.layout().groups();
    int per = f.layout().perGroup();
    for (int g = part.from() / per; g < part.to() / per; g++) {
      float inv = f.inverse().floats()[f.inverse().offset() + n * groups + g];
      float mu = f.mean().floats()[f.mean().offset() + n * groups + g];
      Arrays.fill(maps, at + g * per, at + (g + 1) * per, inv);
      Arrays.fill(maps, at + c + g * per, at + c + (g + 1) * per, -mu * inv);
    }
  }

  /** Writes du, and S₁ and S₂ of every channel over one block. */
  private void sums(
      boolean simd, GroupNorm.Part part, int block, float[] maps, int map, float[] sums, int at) {
    GroupNorm.Layout layout = forward.layout();
    int c = layout.channels();
    int from = part.sample() * layout.pixels() + block * layout.rows();
    int to = Math.min((part.sample() + 1) * layout.pixels(), from + layout.rows());
    Arrays.fill(sums, at + part.from(), at + part.to(), 0f);
    Arrays.fill(sums, at + c + part.from(), at + c + part.to(), 0f);
    int first = simd ? Simd.sums(this, from, to, part, maps, map, sums, at) : part.from();
    if (first == part.to()) {
      return;
    }
    float[] xs = forward.x().floats();
    float[] gs = dy.floats();
    float[] ds = dx.floats();
    for (int p = from; p < to; p++) {
      for (int j = first; j < part.to(); j++) {
        float x = xs[forward.x().offset() + p * c + j];
        float d = gs[dy.offset() + p * c + j];
        if (forward.silu()) {
          float u = Math.fma(x, maps[map + j], maps[map + c + j]);
          float s = Mathf.sigmoid(u);
          d *= s * Math.fma(u, 1f - s, 1f);
        }
        ds[dx.offset() + p * c + j] = d;
        float standard = Math.fma(x, maps[map + 2 * c + j], maps[map + 3 * c + j]);
        sums[at + j] += d;
        sums[at + c + j] = Math.fma(d, standard, sums[at + c + j]);
      }
    }
  }

  /** Adds up a sample's blocks, and writes its gradients of scale and shift. */
  private void total(GroupNorm.Part part, float[] sums, float[] totals) {
    GroupNorm f = forward;
    int n = part.sample();
    int c = f.layout().channels();
    int blocks = f.layout().blocks();
    for (int j = part.from(); j < part.to(); j++) {
      double s1 = 0;
      double s2 = 0;
      for (int b = 0; b < blocks; b++) {
        int at = Ranges.LEAD + (n * blocks + b) * 2 * c + j;
        s1 += sums[at];
        s2 += sums[at + c];
      }
      totals[n * 2 * c + j] = (float) s1;
      totals[n * 2 * c + c + j] = (float) s2;
      if (dScale != null) {
        double gamma = f.gamma().floats()[f.gamma().offset() + j];
        double beta = f.beta().floats()[f.beta().offset() + j];
        dScale.floats()[dScale.offset() + n * c + j] = (float) (gamma * s2 + beta * s1);
      }
      if (dShift != null) {
        dShift.floats()[dShift.offset() + n * c + j] = (float) s1;
      }
    }
  }

  /** Writes p, q, r of dx = p·du + q·x + r, one of each per channel. */
  private void inputMap(GroupNorm.Part part, float[] totals, float[] maps, int at) {
    GroupNorm f = forward;
    int n = part.sample();
    int c = f.layout().channels();
    int groups = f.layout().groups();
    int per = f.layout().perGroup();
    double share = 1.0 / ((double) f.layout().pixels() * per);
    for (int g = part.from() / per; g < part.to() / per; g++) {
      double m1 = 0;
      double m2 = 0;
      for (int j = g * per; j < (g + 1) * per; j++) {
        float w = weight(n, j);
        maps[at + j] = w;
        m1 += (double) w * totals[n * 2 * c + j];
        m2 += (double) w * totals[n * 2 * c + c + j];
      }
      m1 *= share;
      m2 *= share;
      double mu = f.mean().floats()[f.mean().offset() + n * groups + g];
      double inv = f.inverse().floats()[f.inverse().offset() + n * groups + g];
      for (int j = g * per; j < (g + 1) * per; j++) {
        maps[at + j] = (float) (inv * maps[at + j]);
        maps[at + c + j] = (float) (-inv * inv * m2);
        maps[at + 2 * c + j] = (float) (inv * (mu * inv * m2 - m1));
      }
    }
  }

  private float weight(int n, int j) {
    GroupNorm f = forward;
    float gamma = f.gamma().floats()[f.gamma().offset() + j];
    if (f.scale() == null) {
      return gamma;
    }
    return gamma * (1f + f.scale().floats()[f.scale().offset() + n * f.layout().channels() + j]);
  }

  private void input(boolean simd, GroupNorm.Part part, int block, float[] maps, int map) {
    GroupNorm.Layout layout = forward.layout();
    int c = layout.channels();
    int from = part.sample() * layout.pixels() + block * layout.rows();
    int to = Math.min((part.sample() + 1) * layout.pixels(), from + layout.rows());
    int first = simd ? Simd.input(this, from, to, part, maps, map) : part.from();
    if (first == part.to()) {
      return;
    }
    float[] xs = forward.x().floats();
    float[] ds = dx.floats();
    for (int p = from; p < to; p++) {
      for (int j = first; j < part.to(); j++) {
        int i = dx.offset() + p * c + j;
        float x = xs[forward.x().offset() + p * c + j];
        float rest = Math.fma(x, maps[map + c + j], maps[map + 2 * c + j]);
        ds[i] = Math.fma(ds[i], maps[map + j], rest);
      }
    }
  }

  /** Adds the samples' sums in order: the gradients of γ and β. */
  private void parameters(float[] totals) {
    GroupNorm f = forward;
    int c = f.layout().channels();
    for (int j = 0; j < c; j++) {
      double gamma = 0;
      double beta = 0;
      for (int n = 0; n < f.layout().samples(); n++) {
        double s = f.scale() == null ? 1 : 1f + f.scale().floats()[f.scale().offset() + n * c + j];
        beta += s * totals[n * 2 * c + j];
        gamma += s * totals[n * 2 * c + c + j];
      }
      dGamma.floats()[dGamma.offset() + j] = (float) gamma;
      dBeta.floats()[dBeta.offset() + j] = (float) beta;
    }
  }

  /** The same on vectors of channels; each method returns the first channel that is not done. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    /** Rows whose sums stay in registers: few enough that memory is read nearly in order. */
    private static final int ROWS = 16;

    static int sums(
        GroupNormGrad k,
        int from,
        int to,
        GroupNorm.Part part,
        float[] maps,
        int map,
        float[] sums,
        int at) {
      int c = k.forward.layout().channels();
      int whole = part.from() + S.loopBound(part.to() - part.from());
      float[] xs = k.forward.x().floats();
      float[] gs = k.dy.floats();
      float[] ds = k.dx.floats();
      for (int p = from; p < to; p += ROWS) {
        int rows = Math.min(ROWS, to - p);
        for (int j = part.from(); j < whole; j += S.length()) {
          int i = p * c + j;
          int x = k.forward.x().offset() + i;
          int g = k.dy.offset() + i;
          int d = k.dx.offset() + i;
          if (k.forward.silu()) {
            Mathf.Simd.siluSlope(xs, x, gs, g, rows, c, maps, map + j, sums, at + j, ds, d);
          } else {
            plain(xs, x, gs, g, rows, c, maps, map + j, sums, at + j, ds, d);
          }
        }
      }
      return whole;
    }

    /** As {@link Mathf.Simd#siluSlope} with a slope of 1. */
    private static void plain(
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
      FloatVector s1 = FloatVector.fromArray(S, sums, so);
      FloatVector s2 = FloatVector.fromArray(S, sums, so + stride);
      for (int row = 0; row < rows; row++) {
        FloatVector v = FloatVector.fromArray(S, x, xo + row * stride);
        FloatVector g = FloatVector.fromArray(S, dy, go + row * stride);
        g.intoArray(d, to + row * stride);
        s1 = s1.add(g);
        FloatVector c = FloatVector.fromArray(S, map, at + 2 * stride);
        s2 = g.fma(v.fma(c, FloatVector.fromArray(S, map, at + 3 * stride)), s2);
      }
      s1.intoArray(sums, so);
      s2.intoArray(sums, so + stride);
    }

    static int input(
        GroupNormGrad k, int from, int to, GroupNorm.Part part, float[] maps, int map) {
      int c = k.forward.layout().channels();
      int whole = part.from() + S.loopBound(part.to() - part.from());
      float[] xs = k.forward.x().floats();
      float[] ds = k.dx.floats();
      for (int p = from; p < to; p += ROWS) {
        int rows = Math.min(ROWS, to - p);
        for (int j = part.from(); j < whole; j += S.length()) {
          int i = p * c + j;
          int x = k.forward.x().offset() + i;
          input(xs, x, rows, c, maps, map + j, ds, k.dx.offset() + i);
        }
      }
      return whole;
    }

    /** dx = p·du + q·x + r in place, for some rows of one vector of channels. */
    private static void input(
        float[] x, int xo, int rows, int c, float[] maps, int at, float[] d, int to) {
      FloatVector p = FloatVector.fromArray(S, maps, at);
      FloatVector q = FloatVector.fromArray(S, maps, at + c);
      FloatVector r = FloatVector.fromArray(S, maps, at + 2 * c);
      for (int row = 0; row < rows; row++) {
        FloatVector rest = FloatVector.fromArray(S, x, xo + row * c).fma(q, r);
        FloatVector.fromArray(S, d, to + row * c).fma(p, rest).intoArray(d, to + row * c);
      }
    }
  }
}
