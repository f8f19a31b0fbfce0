package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.nn.UNetConfig.ClassInput;
import dev.limbeck.nn.UNetConfig.TimeKind;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import java.util.Arrays;

/**
 * What every block of a {@link UNet} sees of noise condition, label and guidance weight: features
 * of the noise condition through two layers, to which the others are added.
 *
 * @shape noise condition [N], answer [N, embedding]
 */
final class UNetEmbedding implements AutoCloseable {
  /** Features of a guidance weight, and the factor on it, as in LCM. */
  private static final int GUIDANCE_WIDTH = 256;

  private static final float GUIDANCE_SCALE = 1000f;

  /** Of the quickest feature of a guidance weight. */
  static final double GUIDANCE_WAVELENGTH = 2 * Math.PI / GUIDANCE_SCALE;

  private final UNetConfig config;
  private final TimeEmbedding time;
  private final TimeEmbedding guidanceFeatures;
  private final Linear guidanceProjection;
  private final Linear linear1;
  private final Linear linear2;
  private final Weights.Weight classTable;
  private final Linear class1;
  private final Linear class2;

  UNetEmbedding(UNetConfig config, Device device, Weights weights) {
    this.config = config;
    int base = config.widths().get(0);
    int width = config.time().kind() == TimeKind.POSITIONAL ? base : 2 * base;
    int embedding = config.embedding();
    Initializer inner = Initializer.inner(config.initial());
    time = new TimeEmbedding(device, config.time(), width);
    linear1 = new Linear(weights, "time_embedding.linear_1", width, embedding, inner);
    linear2 = new Linear(weights, "time_embedding.linear_2", embedding, embedding, inner);
    if (config.guidanceInput()) {
      guidanceFeatures =
          new TimeEmbedding(
              device,
              UNetConfig.TimeFeatures.positional().withScale(GUIDANCE_SCALE),
              GUIDANCE_WIDTH);
      // Zero at first: a student starts as its unguided teacher.
      guidanceProjection =
          new Linear(
              weights,
              "time_embedding.cond_proj",
              GUIDANCE_WIDTH,
              width,
              false,
              Initializer.zero());
    } else {
      guidanceFeatures = null;
      guidanceProjection = null;
    }
    ClassInput input = config.classInput();
    classTable =
        switch (input) {
          case TABLE_BEFORE_LAYERS -> table(weights, width);
          case TABLE -> table(weights, embedding);
          default -> null;
        };
    boolean layers = input == ClassInput.TIME_LIKE;
    class1 =
        layers ? new Linear(weights, "class_embedding.linear_1", width, embedding, inner) : null;
    class2 =
        layers
            ? new Linear(weights, "class_embedding.linear_2", embedding, embedding, inner)
            : null;
  }

  private Weights.Weight table(Weights weights, int width) {
    // Unit variance, as for EDM's one-hot labels scaled by the root of their number.
    return weights.declare(
        "class_embedding.weight", Shape.of(config.classRows(), width), Init.normal(1f));
  }

  /** The embedding after its last SiLU, recorded where {@code x} is. */
  Var forward(Var x, Condition condition) {
    Tensor labels = condition.labels();
    try (Scope scope = Scope.open()) {
      Var f = time.forward(condition.noise(), x);
      if (config.classInput() == ClassInput.TABLE_BEFORE_LAYERS) {
        f = f.add(rows(x, labels));
      }
      if (condition.guidance() != null) {
        f = f.add(guidanceTerm(x, condition.guidance()));
      }
      Var e = linear2.forward(linear1.forward(f).silu());
      e =
          switch (config.classInput()) {
            case NONE, TABLE_BEFORE_LAYERS -> e;
            case TABLE -> e.add(rows(x, labels));
            case TIME_LIKE -> {
              checkLabels(x, labels, DType.F32, Shape.of(x.dim(0)));
              Var h = class1.forward(time.forward(Var.constant(labels), x)).silu();
              yield e.add(class2.forward(h));
            }
            case VECTOR -> {
              checkLabels(x, labels, DType.F32, e.shape());
              yield e.add(Var.constant(labels));
            }
          };
      return scope.keep(e.silu());
    }
  }

  private Var guidanceTerm(Var x, Var guidance) {
    if (guidanceFeatures == null) {
      throw new IllegalArgumentException("UNet: this configuration takes no guidance weight");
    }
    return guidanceProjection.forward(guidanceFeatures.forward(guidance, x));
  }

  private Var rows(Var x, Tensor labels) {
    int n = x.dim(0);
    Tensor rows = labels;
    if (labels == null && config.nullClass()) {
      int[] none = new int[n];
      Arrays.fill(none, config.nullLabel());
      rows = Tensor.of(x.value().device(), Shape.of(n), none);
    }
    checkLabels(x, rows, DType.I32, Shape.of(n));
    return classTable.var().beside(x).gather(rows);
  }

  private static void checkLabels(Var x, Tensor labels, DType type, Shape shape) {
    if (labels == null || labels.type() != type || !labels.shape().equals(shape)) {
      throw new ShapeException(
          "UNet: expects " + type + " labels " + shape + " for x " + x.shape() + ", got " + labels);
    }
  }

  Tensor randomFrequencies() {
    return config.time().kind() == TimeKind.POSITIONAL ? null : time.frequencies();
  }

  @Override
  public void close() {
    time.close();
    if (guidanceFeatures != null) {
      guidanceFeatures.close();
    }
  }
}
