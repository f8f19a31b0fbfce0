package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.UNetConfig.TimeFeatures;
import dev.limbeck.tensor.Dropout;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A multilayer perceptron for points of few dimensions: h₀ = W x + U features(t) + class row + V
 * features(w), then residual layers h + W SiLU(h), then a linear map of SiLU(h).
 *
 * @shape x [N,D], noise condition [N], answer [N, outputs]
 */
public final class Mlp implements Network {
  private final Config config;
  private final TimeEmbedding time;
  private final Linear first;
  private final Linear timeLayer;
  private final Weights.Weight classTable;
  private final TimeEmbedding guidanceFeatures;
  private final Linear guidanceLayer;
  private final List<Linear> hidden = new ArrayList<>();
  private final Linear last;
  private final Params params;

  /**
   * Sizes of an {@link Mlp}.
   *
   * @param inputs dimensions of a point
   * @param outputs dimensions of the answer
   * @param width of the hidden layers
   * @param depth number of hidden layers after the first
   * @param classes number of classes, besides which there is a null class; 0 for no labels
   * @param time features of the noise condition
   * @param timeWidth how many of them
   * @param guidanceInput whether a guidance weight may be given
   */
  public record Config(
      int inputs,
      int outputs,
      int width,
      int depth,
      int classes,
      TimeFeatures time,
      int timeWidth,
      boolean guidanceInput) {
    /** Width 64, three hidden layers, 32 Fourier features: fits a two-dimensional mixture. */
    public static Config toy(int dimensions, int classes) {
      return new Config(
          dimensions, dimensions, 64, 3, classes, TimeFeatures.fourier(1f), 32, false);
    }

    /** With or without an input for the guidance weight. */
    public Config withGuidanceInput(boolean on) {
      return new Config(inputs, outputs, width, depth, classes, time, timeWidth, on);
    }

    /** The label that means "no class". */
    public int nullLabel() {
      return classes;
    }
  }

  /** Draws a new network's parameters. */
  public Mlp(Config config, Device device, Rng rng) {
    this.config = config;
    Initializer inner = Initializer.torch();
    int width = config.width();
    Weights weights = new Weights();
    time = new TimeEmbedding(device, config.time(), config.timeWidth());
    first = new Linear(weights, "first", config.inputs(), width, inner);
    timeLayer = new Linear(weights, "time", config.timeWidth(), width, false, inner);
    classTable =
        config.classes() == 0
            ? null
            : weights.declare(
                "classes.weight", Shape.of(config.classes() + 1, width), Init.normal(1f));
    boolean guided = config.guidanceInput();
    guidanceFeatures = guided ? new TimeEmbedding(device, config.time(), config.timeWidth()) : null;
    // Zero at first: a student starts as its unguided teacher.
    guidanceLayer =
        guided
            ? new Linear(weights, "guidance", config.timeWidth(), width, false, Initializer.zero())
            : null;
    for (int i = 0; i < config.depth(); i++) {
      hidden.add(new Linear(weights, "hidden." + i, width, width, inner));
    }
    last = new Linear(weights, "last", width, config.outputs(), inner);
    params = weights.build(device, rng);
  }

  public Config config() {
    return config;
  }

  @Override
  public Params params() {
    return params;
  }

  @Override
  public boolean takesGuidance() {
    return config.guidanceInput();
  }

  @Override
  public Var forward(Var x, Condition condition, Dropout dropout) {
    try (Scope scope = Scope.open()) {
      return scope.keep(last.forward(features(x, condition, dropout)));
    }
  }

  @Override
  public Answer forwardWithFeatures(Var x, Condition condition, Dropout dropout) {
    Var features = features(x, condition, dropout);
    return new Answer(last.forward(features), features);
  }

  /** The last hidden layer after its SiLU [N, width]. */
  @Override
  public Var features(Var x, Condition condition, Dropout dropout) {
    if (x.shape().rank() != 2 || x.dim(1) != config.inputs()) {
      throw new ShapeException(
          "Mlp: expects points [N," + config.inputs() + "], x is " + x.shape());
    }
    try (Scope scope = Scope.open()) {
      Var h = first.forward(x).add(timeLayer.forward(time.forward(condition.noise(), x)));
      if (classTable != null) {
        h = h.add(classTable.var().beside(x).gather(rows(x, condition.labels())));
      }
      if (condition.guidance() != null) {
        h = h.add(guidanceTerm(x, condition.guidance()));
      }
      for (int i = 0; i < hidden.size(); i++) {
        h = h.add(hidden.get(i).forward(h.silu().dropout(dropout.layer(i))));
      }
      return scope.keep(h.silu());
    }
  }

  private Var guidanceTerm(Var x, Var guidance) {
    if (guidanceLayer == null) {
      throw new IllegalArgumentException("Mlp: this configuration takes no guidance weight");
    }
    Var features = guidanceFeatures.forward(guidance, x);
    return guidanceLayer.forward(features);
  }

  private Tensor rows(Var x, Tensor labels) {
    if (labels == null) {
      int[] none = new int[x.dim(0)];
      Arrays.fill(none, config.nullLabel());
      return Tensor.of(x.value().device(), Shape.of(none.length), none);
    }
    if (labels.type() != DType.I32 || !labels.shape().equals(Shape.of(x.dim(0)))) {
      throw new ShapeException("Mlp: expects I32 labels, one per point " + x + ", got " + labels);
    }
    return labels;
  }

  @Override
  public void close() {
    params.close();
    time.close();
    if (guidanceFeatures != null) {
      guidanceFeatures.close();
    }
  }
}
