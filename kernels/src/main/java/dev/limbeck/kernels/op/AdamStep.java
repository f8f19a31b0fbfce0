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
 * One step of the Adam family over flat arenas, with an optional moving average, in one pass.
 *
 * <p>g = gradientScale·gradient; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← decay·p − step·m/d,
 * where d = secondScale·√v + ε, or 1 for a step that is not adaptive (RAdam's first ones); then
 * average ← average + averageRate·(p − average).
 *
 * @param average the moving average that follows the values, or null
 * @param rounded BF16, the values rounded to nearest, at ties to even; or null
 * @param gradientScale one number that takes the place of the coefficient, or null; at NaN nothing
 *     changes
 * @paper Loshchilov and Hutter 2019, 1711.05101; Liu et al. 2020, 1908.03265
 */
@Definition(
    formula = "m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; w ← (1−λη)w − η·m̂/(√v̂ + ε)",
    cost = "14n flops, 28n bytes (36n with the average), 2n more with rounded values")
public record AdamStep(
    Coefficients at,
    Buffer gradientScale,
    Buffer values,
    Buffer gradients,
    Buffer m,
    Buffer v,
    Buffer average,
    Buffer rounded)
    implements Kernel {
  private static final int GRAIN = 16384;

  /** The scalars of one step. */
  public record Coefficients(
      float gradientScale,
      float beta1,
      float beta2,
      float decay,
      float step,
      float secondScale,
      float epsilon,
      boolean adaptive,
      float averageRate) {
    Coefficients withGradientScale(float scale) {
      return new Coefficients(
          scale, beta1, beta2, decay, step, secondScale, epsilon, adaptive, averageRate);
    }
  }

  /** A step whose gradient scale is known here. */
  public AdamStep(
      Coefficients at, Buffer values, Buffer gradients, Buffer m, Buffer v, Buffer average) {
    this(at, null, values, gradients, m, v, average, null);
  }

  public AdamStep {
    int n = values.length();
    if (gradients.length() != n
        || m.length() != n
        || v.length() != n
        || (average != null && average.length() != n)
        || (rounded != null && rounded.length() != n)) {
      throw new IllegalArgumentException("adam: the arenas differ in length, the values' is " + n);
    }
    if (gradientScale != null && gradientScale.length() != 1) {
      throw new IllegalArgumentException("adam: the gradient's scale is " + gradientScale);
    }
  }

  @Override
  public String name() {
    return "adam_step";
  }

  @Override
  public List<Buffer> buffers() {
    return Arrays.asList(gradientScale, values, gradients, m, v, average, rounded);
  }

  @Override
  public double flops() {
    return 14.0 * values.length();
  }

  @Override
  public double bytes() {
    double each = (average == null ? 28 : 36) + (rounded == null ? 0 : 2);
    return each * values.length();
  }

  @Override
  public boolean takesHalves(int ptx) {
    return true;
  }

  @Override
  public void onCpu(Ranges ranges) {
    Coefficients c = at;
    if (gradientScale != null) {
      c = at.withGradientScale(gradientScale.floats()[gradientScale.offset()]);
      if (Float.isNaN(c.gradientScale)) {
        return;
      }
    }
    Coefficients known = c;
    ranges.split(
        values.length(),
        GRAIN,
        (from, to) -> {
          int done = ranges.simd() ? Simd.step(this, known, from, to) : from;
          step(known, done, to);
          if (rounded != null) {
            int n = to - from;
            int p = values.offset() + from;
            int r = rounded.offset() + from;
            Cast.round(ranges.simd(), values.floats(), p, rounded.shorts(), r, n);
          }
        });
  }

  @Override
  public void onCuda(Launcher cuda) {
    int n = values.length();
    cuda.kernel("adam", "adam_step_f32").i32(n);
    cuda.varying(
        at.gradientScale,
        at.beta1,
        at.beta2,
        at.decay,
        at.step,
        at.secondScale,
        at.epsilon,
        at.adaptive ? 1f : 0f,
        at.averageRate);
    cuda.pointer(gradientScale);
    cuda.pointer(gradients).pointer(values).pointer(m).pointer(v).pointer(average).pointer(rounded);
    cuda.launch(cuda.blocks((n + 3) / 4, Launcher.THREADS), Launcher.THREADS);
  }

  private void step(Coefficients c, int from, int to) {
    float[] ps = values.floats();
    float[] gs = gradients.floats();
    float[] ms = m.floats();
    float[] vs = v.floats();
    float[] as = average == null ? null : average.floats();
    float one1 = 1f - c.beta1;
    float one2 = 1f - c.beta2;
    for (int i = from; i < to; i++) {
      float g = gs[gradients.offset() + i] * c.gradientScale;
      float mi = Math.fma(ms[m.offset() + i], c.beta1, g * one1);
      float vi = Math.fma(vs[v.offset() + i], c.beta2, g * g * one2);
      ms[m.offset() + i] = mi;
      vs[v.offset() + i] = vi;
      float direction = mi;
      if (c.adaptive) {
        direction = mi / Math.fma((float) Math.sqrt(vi), c.secondScale, c.epsilon);
      }
      float p = Math.fma(direction, -c.step, ps[values.offset() + i] * c.decay);
      ps[values.offset() + i] = p;
      if (as != null) {
        float a = as[average.offset() + i];
        as[average.offset() + i] = Math.fma(p - a, c.averageRate, a);
      }
    }
  }

  /** The same on vectors. */
  private static final class Simd {
    private static final VectorSpecies<Float> S = FloatVector.SPECIES_PREFERRED;

    /** Returns the first index that is not done. */
    static int step(AdamStep k, Coefficients c, int from, int to) {
      float[] ps = k.values.floats();
      float[] gs = k.gradients.floats();
      float[] ms = k.m.floats();
      float[] vs = k.v.floats();
      float[] as = k.average == null ? null : k.average.floats();
      int po = k.values.offset();
      int go = k.gradients.offset();
      int mo = k.m.offset();
      int vo = k.v.offset();
      int ao = k.average == null ? 0 : k.average.offset();
      FloatVector beta1 = FloatVector.broadcast(S, c.beta1);
      FloatVector beta2 = FloatVector.broadcast(S, c.beta2);
      FloatVector step = FloatVector.broadcast(S, -c.step);
      FloatVector second = FloatVector.broadcast(S, c.secondScale);
      FloatVector epsilon = FloatVector.broadcast(S, c.epsilon);
      FloatVector rate = FloatVector.broadcast(S, c.averageRate);
      float one1 = 1f - c.beta1;
      float one2 = 1f - c.beta2;
      int i = from;
      for (; i <= to - S.length(); i += S.length()) {
        FloatVector g = FloatVector.fromArray(S, gs, go + i).mul(c.gradientScale);
        FloatVector m = FloatVector.fromArray(S, ms, mo + i).fma(beta1, g.mul(one1));
        FloatVector v = FloatVector.fromArray(S, vs, vo + i).fma(beta2, g.mul(g).mul(one2));
        m.intoArray(ms, mo + i);
        v.intoArray(vs, vo + i);
        FloatVector direction = m;
        if (c.adaptive) {
          direction = m.div(v.sqrt().fma(second, epsilon));
        }
        FloatVector p = direction.fma(step, FloatVector.fromArray(S, ps, po + i).mul(c.decay));
        p.intoArray(ps, po + i);
        if (as != null) {
          FloatVector a = FloatVector.fromArray(S, as, ao + i);
          p.sub(a).fma(rate, a).intoArray(as, ao + i);
        }
      }
      return i;
    }
  }
}
