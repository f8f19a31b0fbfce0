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
  public void onCpu(Ranges ranges) {
    GroupNorm.Layout at = forward.layout();
    int c = at.channels();
    int blocks = at.blocks();
    float[] sums = ranges.scratch(0, Ranges.LEAD + at.samples() * blocks * 2 * c);
    float[] totals = ranges.scratch(2, at.samples() * 2 * c);
    GroupNorm.passes(
        ranges,
        at,
        (n, b) -> {
          float[] maps = ranges.scratch(1, Ranges.LEAD + 4 * c);
          GroupNorm.affine(at, n, forward, maps);
          standard(n, maps, Ranges.LEAD + 2 * c);
          float[] gates = ranges.scratch(3, Ranges.LEAD + c);
          int to = Ranges.LEAD + (n * blocks + b) * 2 * c;
          sums(ranges.simd(), n, b, maps, sums, to, gates);
        },
        n -> total(n, sums, totals),
        (n, b) -> {
          float[] maps = ranges.scratch(1, Ranges.LEAD + 3 * c);
          inputMap(n, totals, maps);
          input(ranges.simd(), n, b, maps);
        });
    parameters(totals);
  }

  /** Writes a and b of x̂ = a·x + b, one of each per channel. */
  private void standard(int n, float[] maps, int at) {
    GroupNorm f = forward;
    int c = f.layout().channels();
    int groups = f.layout().groups();
    int per = f.layout().perGroup();
    for (int j = 0; j < c; j++) {
      float inv = f.inverse().floats()[f.inverse().offset() + n * groups + j / per];
      maps[at + j] = inv;
      maps[at + c + j] = -f.mean().floats()[f.mean().offset() + n * groups + j / per] * inv;
    }
  }

  /** Writes du, and S₁ and S₂ of every channel over one block. */
  private void sums(
      boolean simd, int n, int block, float[] maps, float[] sums, int at, float[] gates) {
    GroupNorm.Layout layout = forward.layout();
    int c = layout.channels();
    int from = n * layout.pixels() + block * layout.rows();
    int to = Math.min((n + 1) * layout.pixels(), from + layout.rows());
    Arrays.fill(sums, at, at + 2 * c, 0f);
    int first = simd ? Simd.sums(this, from, to, c, maps, sums, at, gates) : 0;
    if (first == c) {
      return;
    }
    float[] xs = forward.x().floats();
    float[] gs = dy.floats();
    float[] ds = dx.floats();
    int map = Ranges.LEAD;
    for (int p = from; p < to; p++) {
      for (int j = first; j < c; j++) {
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
  private void total(int n, float[] sums, float[] totals) {
    GroupNorm f = forward;
    int c = f.layout().channels();
    int blocks = f.layout().blocks();
    for (int j = 0; j < c; j++) {
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
  private void inputMap(int n, float[] totals, float[] maps) {
    GroupNorm f = forward;
    GroupNorm.Layout at = f.layout();
    int c = at.channels();
    int per = at.perGroup();
    double count = (double) at.pixels() * per;
    for (int g = 0; g < at.groups(); g++) {
      double m1 = 0;
      double m2 = 0;
      for (int j = g * per; j < (g + 1) * per; j++) {
        double w = weight(n, j);
        m1 += w * totals[n * 2 * c + j];
        m2 += w * totals[n * 2 * c + c + j];
      }
      m1 /= count;
      m2 /= count;
      double mu = f.mean().floats()[f.mean().offset() + n * at.groups() + g];
      double inv = f.inverse().floats()[f.inverse().offset() + n * at.groups() + g];
      for (int j = g * per; j < (g + 1) * per; j++) {
        maps[Ranges.LEAD + j] = (float) (inv * weight(n, j));
        maps[Ranges.LEAD + c + j] = (float) (-inv * inv * m2);
        maps[Ranges.LEAD + 2 * c + j] = (float) (inv * (mu * inv * m2 - m1));
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

  private void input(boolean simd, int n, int block, float[] maps) {
    GroupNorm.Layout layout = forward.layout();
    int c = layout.channels();
    int from = n * layout.pixels() + block * layout.rows();
    int to = Math.min((n + 1) * layout.pixels(), from + layout.rows());
    int first = simd ? Simd.input(this, from, to, c, maps) : 0;
    if (first == c) {
      return;
    }
    float[] xs = forward.x().floats();
    float[] ds = dx.floats();
    int map = Ranges.LEAD;
    for (int p = from; p < to; p++) {
      for (int j = first; j < c; j++) {
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

    /** Rows in the order of memory, the sums in the level-1 cache. */
    static int sums(
        GroupNormGrad k,
        int from,
        int to,
        int c,
        float[] maps,
        float[] sums,
        int at,
        float[] gates) {
      int whole = S.loopBound(c);
      float[] xs = k.forward.x().floats();
      int xo = k.forward.x().offset();
      for (int row = from * c; row < to * c; row += c) {
        if (k.forward.silu()) {
          int map = Ranges.LEAD;
          Mathf.Simd.gate(false, xs, xo + row, maps, map, c, whole, gates, Ranges.LEAD);
          activatedRow(k, row, c, whole, maps, sums, at, gates);
        } else {
          plainRow(k, row, c, whole, maps, sums, at);
        }
      }
      return whole;
    }

    private static void activatedRow(
        GroupNormGrad k,
        int row,
        int c,
        int whole,
        float[] maps,
        float[] sums,
        int at,
        float[] gates) {
      float[] xs = k.forward.x().floats();
      float[] gs = k.dy.floats();
      float[] ds = k.dx.floats();
      int xo = k.forward.x().offset() + row;
      int go = k.dy.offset() + row;
      int to = k.dx.offset() + row;
      int map = Ranges.LEAD;
      FloatVector one = FloatVector.broadcast(S, 1f);
      for (int j = 0; j < whole; j += S.length()) {
        FloatVector x = FloatVector.fromArray(S, xs, xo + j);
        FloatVector a = FloatVector.fromArray(S, maps, map + j);
        FloatVector u = x.fma(a, FloatVector.fromArray(S, maps, map + c + j));
        FloatVector s = FloatVector.fromArray(S, gates, Ranges.LEAD + j);
        FloatVector slope = s.mul(u.fma(one.sub(s), one));
        FloatVector d = FloatVector.fromArray(S, gs, go + j).mul(slope);
        d.intoArray(ds, to + j);
        FloatVector.fromArray(S, sums, at + j).add(d).intoArray(sums, at + j);
        FloatVector inv = FloatVector.fromArray(S, maps, map + 2 * c + j);
        FloatVector standard = x.fma(inv, FloatVector.fromArray(S, maps, map + 3 * c + j));
        d.fma(standard, FloatVector.fromArray(S, sums, at + c + j)).intoArray(sums, at + c + j);
      }
    }

    private static void plainRow(
        GroupNormGrad k, int row, int c, int whole, float[] maps, float[] sums, int at) {
      float[] xs = k.forward.x().floats();
      float[] gs = k.dy.floats();
      float[] ds = k.dx.floats();
      int xo = k.forward.x().offset() + row;
      int go = k.dy.offset() + row;
      int to = k.dx.offset() + row;
      int map = Ranges.LEAD;
      for (int j = 0; j < whole; j += S.length()) {
        FloatVector x = FloatVector.fromArray(S, xs, xo + j);
        FloatVector d = FloatVector.fromArray(S, gs, go + j);
        d.intoArray(ds, to + j);
        FloatVector.fromArray(S, sums, at + j).add(d).intoArray(sums, at + j);
        FloatVector inv = FloatVector.fromArray(S, maps, map + 2 * c + j);
        FloatVector standard = x.fma(inv, FloatVector.fromArray(S, maps, map + 3 * c + j));
        d.fma(standard, FloatVector.fromArray(S, sums, at + c + j)).intoArray(sums, at + c + j);
      }
    }

    static int input(GroupNormGrad k, int from, int to, int c, float[] maps) {
      float[] xs = k.forward.x().floats();
      float[] ds = k.dx.floats();
      int xo = k.forward.x().offset();
      int to0 = k.dx.offset();
      int l = S.length();
      int map = Ranges.LEAD;
      int j = 0;
      for (int p = from; p < to; p++) {
        int row = p * c;
        for (j = 0; j <= c - l; j += l) {
          FloatVector rest =
              FloatVector.fromArray(S, xs, xo + row + j)
                  .fma(
                      FloatVector.fromArray(S, maps, map + c + j),
                      FloatVector.fromArray(S, maps, map + 2 * c + j));
          FloatVector.fromArray(S, ds, to0 + row + j)
              .fma(FloatVector.fromArray(S, maps, map + j), rest)
              .intoArray(ds, to0 + row + j);
        }
      }
      return j;
    }
  }
}
