package dev.limbeck.distillation.metrics;

import dev.limbeck.autograd.RowOps;
import dev.limbeck.autograd.Var;
import dev.limbeck.distillation.data.DataException;
import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.distillation.data.Resources;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Scope;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.nn.Init;
import dev.limbeck.nn.Params;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.ShapeException;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * Tells digits apart, and describes them by the 64 numbers from which it does so.
 *
 * <p>Four 3×3 convolutions with ReLU on 16×16 grey images, of stride 1, 2, 1, 2 and 24, 40, 64, 64
 * channels; the mean over the remaining 4×4 pixels is the feature vector; a linear layer makes ten
 * logits of it. Of coloured images the luma is seen. Images of another size are brought to 16×16 by
 * {@link Dataset#fitted}, and every value is clamped to [-1, 1].
 *
 * @cost 3.9 million multiply-adds an image
 */
public final class DigitClassifier implements FeatureExtractor, AutoCloseable {
  /** The weights that come with this jar. */
  public static final String BUILT_IN = "features/digits.safetensors";

  static final int SIDE = 16;
  static final int CLASSES = 10;
  private static final int FEATURES = 64;
  private static final int[] WIDTHS = {1, 24, 40, 64, FEATURES};
  private static final int[] STRIDES = {1, 2, 1, 2};
  private static final int KERNEL = 3;

  /** Shares of red, green and blue in what of a coloured image is seen (ITU-R BT.601). */
  private static final float[] LUMA = {.299f, .587f, .114f};

  /** Added to the mean square of channels, which are all 0 where nothing is seen. */
  private static final float UNIT_EPSILON = 1e-4f;

  private static final String KIND = "limbeck digit classifier 1";

  private final Params params;

  private DigitClassifier(Params params) {
    this.params = params;
  }

  /** A classifier with random weights. */
  static DigitClassifier random(Device device, Rng rng) {
    Params.Builder builder = Params.builder();
    // He's gain for ReLU: variance 2 / fanIn.
    Init he = Init.kaimingNormal().scaled((float) Math.sqrt(2));
    for (int i = 0; i < STRIDES.length; i++) {
      Shape weight = Shape.of(WIDTHS[i + 1], KERNEL, KERNEL, WIDTHS[i]);
      builder.add("conv" + i + ".weight", weight, he);
      builder.add("conv" + i + ".bias", Shape.of(WIDTHS[i + 1]), Init.zeros());
    }
    builder.add("head.weight", Shape.of(CLASSES, FEATURES), Init.kaimingNormal());
    builder.add("head.bias", Shape.of(CLASSES), Init.zeros());
    return new DigitClassifier(builder.build(device, rng));
  }

  /** The classifier that comes with this jar. */
  public static DigitClassifier builtIn(Device device) {
    return Resources.withPath(BUILT_IN, path -> read(device, path));
  }

  /**
   * Reads a classifier that {@link #save} wrote.
   *
   * @throws DataException if the file is none
   */
  public static DigitClassifier open(Device device, Path path) {
    try {
      return read(device, path);
    } catch (IOException e) {
      throw new DataException(e.getMessage(), e);
    }
  }

  private static DigitClassifier read(Device device, Path path) throws IOException {
    try (TensorFile file = TensorFile.open(path)) {
      if (!KIND.equals(file.metadata().get("kind"))) {
        throw new DataException(path + ": this is no digit classifier");
      }
      DigitClassifier classifier = random(device, Rng.of(0));
      for (var p : classifier.params.list()) {
        float[] values = file.floats(p.name());
        Shape shape = p.value().shape();
        if (values.length != shape.size()) {
          classifier.close();
          throw new DataException(
              path + ": " + p.name() + " has shape " + file.shape(p.name()) + ", not " + shape);
        }
        p.value().buffer().upload(transposed(values, shape, false), 0);
      }
      classifier.params.freeze();
      return classifier;
    }
  }

  /** Writes the weights, convolutions as {@code [out, in, height, width]}. */
  public void save(Path path, Map<String, String> metadata) {
    TensorFileWriter writer = TensorFile.writer();
    for (var p : params.list()) {
      Shape shape = p.value().shape();
      Shape stored =
          shape.rank() == 4
              ? Shape.of(shape.dim(0), shape.dim(3), shape.dim(1), shape.dim(2))
              : shape;
      writer.add(p.name(), stored, transposed(p.value().toFloats(), shape, true));
    }
    writer.metadata("kind", KIND).metadata("hash", hash());
    metadata.forEach(writer::metadata);
    try {
      writer.write(path);
    } catch (IOException e) {
      throw new DataException(e.getMessage(), e);
    }
  }

  /** Between [out, kh, kw, in] in memory and [out, in, kh, kw] in files. */
  private static float[] transposed(float[] values, Shape shape, boolean toFile) {
    if (shape.rank() != 4) {
      return values;
    }
    int in = shape.dim(3);
    int pixels = KERNEL * KERNEL;
    float[] result = new float[values.length];
    for (int o = 0; o < shape.dim(0); o++) {
      for (int k = 0; k < pixels; k++) {
        for (int i = 0; i < in; i++) {
          int memory = (o * pixels + k) * in + i;
          int file = (o * in + i) * pixels + k;
          result[toFile ? file : memory] = values[toFile ? memory : file];
        }
      }
    }
    return result;
  }

  public Params params() {
    return params;
  }

  // ---- the network ----

  /**
   * The feature vectors of images that are already 16×16.
   *
   * @shape x {@code [N,16,16,1]}; the result {@code [N,64]}
   */
  Var features(Var x) {
    List<Var> layers = layers(x);
    Var h = layers.get(layers.size() - 1);
    return h.reshape(h.dim(0), h.dim(1) * h.dim(2), FEATURES).mean(1, false);
  }

  /** What each convolution makes of images that are already 16×16, [N,H,W,C] each. */
  private List<Var> layers(Var x) {
    List<Var> layers = new ArrayList<>();
    Var h = x;
    for (int i = 0; i < STRIDES.length; i++) {
      Var weight = params.get("conv" + i + ".weight").var();
      Var bias = params.get("conv" + i + ".bias").var();
      h = h.conv2d(weight, bias, Conv2dSpec.of(STRIDES[i], 1)).relu();
      layers.add(h);
    }
    return layers;
  }

  /**
   * The weighted mean over images of Σ_layers mean_pixels ‖u(a) − u(b)‖², u(h) = h/‖h‖ over the
   * channels. The gradient reaches the first images, through the frozen network.
   *
   * @shape a, b: {@code [N,H,W,1]} of any size; weight: [N]; result: []
   * @paper Zhang et al. 2018, arXiv 1801.03924, equation 1, with all channel weights 1
   */
  public Var distance(Var a, Tensor b, Tensor weight) {
    try (Scope scope = Scope.open()) {
      List<Var> as = layers(sized(a));
      List<Var> bs = layers(sized(Var.constant(b)));
      Var sum = null;
      for (int i = 0; i < as.size(); i++) {
        // A row of root mean square 1 is √C times one of length 1, and the mean 1/C of the sum.
        Tensor wanted = bs.get(i).rmsNorm(UNIT_EPSILON).value();
        Var one = RowOps.meanSquaredError(as.get(i).rmsNorm(UNIT_EPSILON), wanted, weight);
        sum = sum == null ? one : sum.add(one);
      }
      return scope.keep(sum);
    }
  }

  private static Var sized(Var x) {
    return x.dim(1) == SIDE && x.dim(2) == SIDE ? x : x.resizeBilinear(SIDE, SIDE);
  }

  /**
   * The logits that belong to feature vectors.
   *
   * @shape features {@code [N,64]}; the result {@code [N,10]}
   */
  Var logits(Var features) {
    return features.linear(params.get("head.weight").var(), params.get("head.bias").var());
  }

  // ---- its use ----

  @Override
  public int dimension() {
    return FEATURES;
  }

  @Override
  public float[][] features(Tensor images) {
    try (Scope scope = Scope.open()) {
      float[] flat = features(Var.constant(prepared(images))).value().toFloats();
      float[][] rows = new float[images.dim(0)][];
      for (int i = 0; i < rows.length; i++) {
        rows[i] = Arrays.copyOfRange(flat, i * FEATURES, (i + 1) * FEATURES);
      }
      return rows;
    }
  }

  /** The most probable digit of each image. */
  public int[] predict(Tensor images) {
    try (Scope scope = Scope.open()) {
      return logits(features(Var.constant(prepared(images)))).value().argmax(1).toInts();
    }
  }

  /** The most probable digit of each feature vector, {@code [N][64]}. */
  public int[] predict(float[][] features) {
    float[] flat = new float[features.length * FEATURES];
    for (int i = 0; i < features.length; i++) {
      System.arraycopy(features[i], 0, flat, i * FEATURES, FEATURES);
    }
    try (Scope scope = Scope.open()) {
      Tensor rows = Tensor.of(params.device(), Shape.of(features.length, FEATURES), flat);
      return logits(Var.constant(rows)).value().argmax(1).toInts();
    }
  }

  private Tensor prepared(Tensor images) {
    Shape shape = images.shape();
    if (shape.rank() != 4 || (shape.dim(3) != 1 && shape.dim(3) != LUMA.length)) {
      throw new ShapeException(
          "digit features: expects images [N,H,W,1] or [N,H,W,3], got " + shape);
    }
    float[] pixels = images.toFloats();
    for (int i = 0; i < pixels.length; i++) {
      pixels[i] = Math.min(1f, Math.max(-1f, pixels[i]));
    }
    int[] grey = {shape.dim(0), shape.dim(1), shape.dim(2), 1};
    float[] luma = shape.dim(3) == 1 ? pixels : luma(pixels);
    Dataset fitted = Dataset.ofFloats("images", grey, luma, null).fitted(SIDE);
    return fitted.images(params.device(), Dataset.range(0, fitted.count()));
  }

  private static float[] luma(float[] colours) {
    float[] grey = new float[colours.length / LUMA.length];
    for (int i = 0; i < grey.length; i++) {
      for (int c = 0; c < LUMA.length; c++) {
        grey[i] += LUMA[c] * colours[LUMA.length * i + c];
      }
    }
    return grey;
  }

  /** The first 16 hexadecimal digits of the SHA-256 of the kind and all weights. */
  @Override
  public String hash() {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(KIND.getBytes(StandardCharsets.UTF_8));
      for (var p : params.list()) {
        float[] values = p.value().toFloats();
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length);
        bytes.asFloatBuffer().put(values);
        digest.update(bytes);
      }
      return HexFormat.of().formatHex(digest.digest()).substring(0, 16);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  @Override
  public void close() {
    params.close();
  }
}
