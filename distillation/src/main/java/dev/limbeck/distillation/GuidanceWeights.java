package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.distillation.diffusion.Denoiser;
import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;

/**
 * Weights of guidance that a student is trained for, w in x̂^w = (1 + w) c − w u, with c the
 * estimate for a class and u the one for none.
 *
 * <p>w is the weight of Meng et al. and of the LCM paper: one less than {@code cfgScale}, the
 * factor g of u + g (c − u). 0 is no guidance.
 *
 * @param low the least weight
 * @param high the largest weight
 * @param atLow the share of samples that get the least weight itself, the others' being uniform: a
 *     student knows least about the ends of what it was trained for, and no guidance is an end that
 *     is much in use
 */
public record GuidanceWeights(double low, double high, double atLow) {
  /** Nothing but the class's own estimate. */
  public static final GuidanceWeights NONE = new GuidanceWeights(0, 0);

  /** Uniform between the two, as in the papers. */
  public GuidanceWeights(double low, double high) {
    this(low, high, 0);
  }

  public GuidanceWeights {
    if (!(low <= high) || !(low > -1) || !(atLow >= 0 && atLow <= 1)) {
      throw new IllegalArgumentException(
          "weights of guidance rise from above -1 to a largest one, not from "
              + low
              + " to "
              + high
              + ", with a share of 0 to 1 at the least, not "
              + atLow);
    }
  }

  /** The weight of a scale: w = g − 1. */
  public static double ofScale(double cfgScale) {
    return cfgScale - 1;
  }

  /** What a teacher can teach: without classes there is nothing to guide by, c is u. */
  GuidanceWeights of(Teacher teacher) {
    return teacher.classes() == 0 ? NONE : this;
  }

  /**
   * The weight that a student is sampled with where nobody names one: that of the teacher's scale.
   *
   * @throws IllegalArgumentException if the student does not learn it
   */
  double sampled(Teacher teacher, String method) {
    double w = ofScale(teacher.cfgScale());
    if (teacher.classes() == 0 && w != 0) {
      throw new IllegalArgumentException(
          method
              + ": the teacher has no classes, and nothing to be guided by: leave --guidance out");
    }
    GuidanceWeights learnt = of(teacher);
    if (w < learnt.low || w > learnt.high) {
      throw new IllegalArgumentException(
          method
              + " learns scales of guidance from "
              + (learnt.low + 1)
              + " to "
              + (learnt.high + 1)
              + ", of which "
              + teacher.cfgScale()
              + " is none");
    }
    return w;
  }

  /** The least and the largest, as files of students name them. */
  String text() {
    return low + " " + high;
  }

  /**
   * What {@link #text} wrote.
   *
   * @throws IllegalArgumentException if it is anything else
   */
  static GuidanceWeights parse(String text) {
    String[] words = text.trim().split("\\s+");
    if (words.length != 2) {
      throw new IllegalArgumentException(
          "weights of guidance are a least and a largest, not \"" + text + "\"");
    }
    return new GuidanceWeights(Double.parseDouble(words[0]), Double.parseDouble(words[1]));
  }

  /** A weight for each sample. */
  double[] draw(StepInput in) {
    float[] u = in.uniforms("guidance");
    double[] w = new double[u.length];
    Arrays.setAll(w, i -> quantile(u[i]));
    return w;
  }

  /** The weight that a share u of all samples, 0 ≤ u &lt; 1, does not exceed. */
  double quantile(double u) {
    return u < atLow ? low : low + (high - low) * (u - atLow) / (1 - atLow);
  }

  /** The weights on a device, [N]. */
  static Tensor tensor(Device device, double[] weights) {
    float[] values = new float[weights.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) weights[i];
    }
    return Tensor.constant(device, Shape.of(values.length), values);
  }

  /**
   * The guided estimate x̂^w = (1 + w) c − w u, with a weight for each sample; c alone where there
   * is no label.
   *
   * @shape weights: [N]
   */
  static Denoiser guided(Denoiser teacher, Tensor weights) {
    return (x, sigma, labels) -> {
      Tensor c = teacher.denoise(x, sigma, labels);
      if (labels == null) {
        return c;
      }
      Tensor u = teacher.denoise(x, sigma, null);
      return RowOps.combine(weights.add(1f), c, weights.neg(), u);
    };
  }
}
