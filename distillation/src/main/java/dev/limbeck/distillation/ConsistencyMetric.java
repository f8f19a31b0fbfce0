package dev.limbeck.distillation;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.metrics.DigitClassifier;
import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/**
 * How far a student's answer is from its target: (1/N) Σ_i w[i]·d(p[i], t[i]).
 *
 * <p>The gradient reaches the answer alone.
 */
public sealed interface ConsistencyMetric {
  /** Added under roots whose slope at 0 would be infinite; far below any squared distance. */
  float UNDER_ROOT = 1e-30f;

  /** The metric on one device. */
  Distance on(Device device);

  /** The weighted mean of √(squares + c²) − c. */
  private static Var rooted(Var squares, double constant, Tensor weight) {
    float c = (float) constant;
    return RowOps.scale(weight, squares.add(Math.max(UNDER_ROOT, c * c)).sqrt().add(-c)).mean();
  }

  /** A metric that is ready to measure. */
  @FunctionalInterface
  interface Distance {
    /**
     * The weighted mean of the samples' distances.
     *
     * @shape answer, target: [N,…]; weight: [N]; result: []
     */
    Var between(Var answer, Tensor target, Tensor weight);
  }

  /**
   * d = mean_j (p_j − t_j)².
   *
   * @paper Song et al. 2023, arXiv 2303.01469, section 6.1
   */
  record SquaredL2() implements ConsistencyMetric {
    @Override
    public Distance on(Device device) {
      return RowOps::meanSquaredError;
    }
  }

  /**
   * d = mean_j |p_j − t_j|.
   *
   * @paper Song et al. 2023, arXiv 2303.01469, section 6.1
   */
  record L1() implements ConsistencyMetric {
    @Override
    public Distance on(Device device) {
      return (answer, target, weight) ->
          RowOps.scale(weight, answer.sub(Var.constant(target)).abs()).mean();
    }
  }

  /**
   * d = mean_j √((p_j − t_j)² + c²) − c.
   *
   * @param c where squares become absolute values, in units of the data
   * @paper Luo et al. 2023, arXiv 2310.04378, section 5.1
   */
  record Huber(double c) implements ConsistencyMetric {
    @Override
    public Distance on(Device device) {
      return (answer, target, weight) ->
          rooted(answer.sub(Var.constant(target)).square(), c, weight);
    }
  }

  /**
   * d = √(‖p − t‖² + c²) − c over the whole sample, c = {@code factor}·√dimensions; a factor of 0
   * gives the Euclidean norm.
   *
   * @param elementWise whether d is the mean over elements of √((p_j − t_j)² + c²) − c, with c =
   *     {@code factor}·√dimensions all the same, as some implementations have it
   * @paper Song and Dhariwal 2023, arXiv 2310.14189, equation 8
   */
  record PseudoHuber(double factor, boolean elementWise) implements ConsistencyMetric {
    /** The paper's factor: c = 0.03 for images of 32×32×3. */
    public static final double FACTOR = 0.00054;

    /** As the paper has it. */
    public static PseudoHuber paper() {
      return new PseudoHuber(FACTOR, false);
    }

    /** c for samples of so many elements. */
    public double constant(int dimensions) {
      return factor * Math.sqrt(dimensions);
    }

    @Override
    public Distance on(Device device) {
      return (answer, target, weight) -> {
        int rows = answer.dim(0);
        int width = answer.shape().size() / rows;
        Var squares = answer.sub(Var.constant(target)).square();
        if (!elementWise) {
          squares = squares.reshape(rows, width).sum(1, false);
        }
        return rooted(squares, constant(width), weight);
      };
    }
  }

  /**
   * The distance of features: channels of each layer of the digit classifier normalised to unit
   * length, squared differences, summed over channels, averaged over pixels, summed over layers.
   * Images are brought to the classifier's size by interpolation.
   *
   * <p>It takes the place of the papers' LPIPS, whose network and weights were trained on
   * photographs. What it trains looks better to metrics of the same features than it is.
   *
   * @paper Zhang et al. 2018, arXiv 1801.03924, equation 1, with all channel weights 1
   */
  record Features() implements ConsistencyMetric {
    @Override
    public Distance on(Device device) {
      DigitClassifier network = DigitClassifier.builtIn(device);
      return (answer, target, weight) -> {
        if (answer.shape().rank() != 4 || answer.dim(3) != 1) {
          Shape shape = answer.shape();
          throw new IllegalArgumentException(
              "the feature metric compares grey images [N,H,W,1], not samples "
                  + shape
                  + "; other data fit squared L2, L1, Huber or pseudo-Huber");
        }
        return network.distance(answer, target, weight);
      };
    }
  }
}
