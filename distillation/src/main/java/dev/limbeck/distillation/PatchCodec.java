package dev.limbeck.distillation;

import dev.limbeck.distillation.data.Dataset;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.op.Conv2dSpec;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import java.util.Map;
import org.apache.commons.math3.linear.Array2DRowRealMatrix;
import org.apache.commons.math3.linear.EigenDecomposition;

/**
 * The principal components of an image's patches: a linear latent space whose latents are small
 * images.
 *
 * <p>A patch p of s×s pixels becomes z = f·Vᵀ(p − m), with m the mean patch, V the directions of
 * most variance and f one factor for all, so that latents have the standard deviation of images and
 * distances among them the proportions of pixels.
 *
 * @paper Rombach et al. 2022, arXiv 2112.10752, whose autoencoder stands where this codec does
 */
public final class PatchCodec implements Codec, AutoCloseable {
  /** The standard deviation that EDM assumes of data. */
  private static final double DEVIATION = 0.5;

  /** Images that are looked at: some hundred patches each. */
  private static final int IMAGES = 1000;

  static final String NAME = "patches";
  private static final String AXES = "codec.axes";
  private static final String MEAN = "codec.mean";

  private final int side;
  private final int channels;
  private final int latents;
  private final double kept;
  private final double factor;
  private final Tensor down;
  private final Tensor downBias;
  private final Tensor up;
  private final Tensor mean;

  /**
   * @param w f·V, [latents][s·s·channels]
   * @param m the mean patch
   */
  private PatchCodec(
      Device device, int side, int channels, float[] w, float[] m, double factor, double kept) {
    int width = m.length;
    this.side = side;
    this.channels = channels;
    this.latents = w.length / width;
    this.kept = kept;
    this.factor = factor;
    float[] bias = new float[latents];
    float[] back = new float[width * latents];
    for (int k = 0; k < latents; k++) {
      double sum = 0;
      for (int j = 0; j < width; j++) {
        sum -= w[k * width + j] * (double) m[j];
        back[j * latents + k] = (float) (w[k * width + j] / (factor * factor));
      }
      bias[k] = (float) sum;
    }
    down = own(Tensor.of(device, Shape.of(latents, side, side, channels), w));
    downBias = own(Tensor.of(device, Shape.of(latents), bias));
    up = own(Tensor.of(device, Shape.of(width, latents), back));
    mean = own(Tensor.of(device, Shape.of(width), m));
  }

  private static PatchCodec of(
      Device device, int side, int channels, double[] mean, double[][] axes, double[] variances) {
    int width = mean.length;
    double all = 0;
    double sum = 0;
    for (int k = 0; k < variances.length; k++) {
      all += variances[k];
      sum += k < axes.length ? variances[k] : 0;
    }
    double factor = DEVIATION / Math.sqrt(sum / axes.length);
    float[] w = new float[axes.length * width];
    float[] m = new float[width];
    for (int j = 0; j < width; j++) {
      m[j] = (float) mean[j];
      for (int k = 0; k < axes.length; k++) {
        w[k * width + j] = (float) (factor * axes[k][j]);
      }
    }
    return new PatchCodec(device, side, channels, w, m, factor, sum / all);
  }

  /** What {@link #describe} wrote; {@code kind} is its text. */
  static PatchCodec read(TensorFile file, String kind, Device device) throws TensorFileException {
    String[] words = kind.split(" ");
    if (words.length != 6 || !file.contains(AXES) || !file.contains(MEAN)) {
      throw new IllegalArgumentException("its codec \"" + kind + "\" is not whole");
    }
    return new PatchCodec(
        device,
        Integer.parseInt(words[1]),
        Integer.parseInt(words[2]),
        file.floats(AXES),
        file.floats(MEAN),
        Double.parseDouble(words[4]),
        Double.parseDouble(words[5]));
  }

  private static Tensor own(Tensor tensor) {
    tensor.buffer().hold();
    return tensor;
  }

  /**
   * Finds the components of some of the images.
   *
   * @param side height and width of a patch; it divides those of the images
   * @param latents components that are kept, at most as many as a patch has numbers
   * @throws IllegalArgumentException if they do not fit the images
   */
  public static PatchCodec fit(Device device, Dataset data, int side, int latents) {
    int c = data.channels();
    int width = side * side * c;
    if (side < 1 || data.height() % side != 0 || data.width() % side != 0) {
      throw new IllegalArgumentException(
          String.format(
              "patches of %d×%d do not divide images of %d×%d",
              side, side, data.height(), data.width()));
    }
    if (latents < 1 || latents > width) {
      throw new IllegalArgumentException(
          String.format(
              "a patch of %d numbers has 1 to %d components, not %d", width, width, latents));
    }
    double[] mean = new double[width];
    double[][] products = new double[width][width];
    Dataset some = data.spread(Math.min(IMAGES, data.count()));
    float[] image = new float[some.imageSize()];
    double[] patch = new double[width];
    long count = 0;
    for (int i = 0; i < some.count(); i++) {
      some.image(i, image, 0);
      for (int y = 0; y < some.height(); y += side) {
        for (int x = 0; x < some.width(); x += side) {
          cut(image, some.width(), c, side, y, x, patch);
          add(patch, mean, products);
          count++;
        }
      }
    }
    return of(device, side, c, mean, products, count, latents);
  }

  private static void cut(
      float[] image, int imageWidth, int c, int side, int y, int x, double[] patch) {
    int row = side * c;
    for (int j = 0; j < patch.length; j++) {
      patch[j] = image[((y + j / row) * imageWidth + x) * c + j % row];
    }
  }

  private static void add(double[] patch, double[] mean, double[][] products) {
    for (int j = 0; j < patch.length; j++) {
      mean[j] += patch[j];
      for (int k = 0; k < patch.length; k++) {
        products[j][k] += patch[j] * patch[k];
      }
    }
  }

  private static PatchCodec of(
      Device device,
      int side,
      int channels,
      double[] sums,
      double[][] products,
      long count,
      int latents) {
    int width = sums.length;
    double[] mean = new double[width];
    for (int j = 0; j < width; j++) {
      mean[j] = sums[j] / count;
    }
    for (int j = 0; j < width; j++) {
      for (int k = 0; k < width; k++) {
        products[j][k] = products[j][k] / count - mean[j] * mean[k];
      }
    }
    // Eigenvalues of a symmetric matrix come in descending order.
    EigenDecomposition eigen = new EigenDecomposition(new Array2DRowRealMatrix(products, false));
    double[][] axes = new double[latents][];
    for (int k = 0; k < latents; k++) {
      axes[k] = eigen.getEigenvector(k).toArray();
    }
    return of(device, side, channels, mean, axes, eigen.getRealEigenvalues());
  }

  /** The share of the pixels' variance that latents keep. */
  public double kept() {
    return kept;
  }

  @Override
  public Shape latent(Shape sample) {
    boolean fits =
        sample.rank() == 3
            && sample.dim(0) % side == 0
            && sample.dim(1) % side == 0
            && sample.dim(2) == channels;
    if (!fits) {
      throw new IllegalArgumentException(
          String.format(
              "samples of shape %s are no images of %d channels that patches of %d×%d divide",
              sample, channels, side, side));
    }
    return Shape.of(sample.dim(0) / side, sample.dim(1) / side, latents);
  }

  @Override
  public Shape sample(Shape latent) {
    return Shape.of(latent.dim(0) * side, latent.dim(1) * side, channels);
  }

  @Override
  public String text() {
    return NAME + " " + side + " " + channels + " " + latents + " " + factor + " " + kept;
  }

  @Override
  public void describe(Map<String, String> metadata, Map<String, Tensor> tensors) {
    metadata.put(KIND, text());
    tensors.put(AXES, down);
    tensors.put(MEAN, mean);
  }

  @Override
  public Tensor encode(Tensor samples) {
    return samples.conv2d(down, downBias, Conv2dSpec.of(side, 0));
  }

  @Override
  public Tensor decode(Tensor z) {
    int n = z.dim(0);
    int h = z.dim(1);
    int w = z.dim(2);
    return z.linear(up, mean)
        .reshape(n, h, w, side, side, channels)
        .transpose(0, 1, 3, 2, 4, 5)
        .reshape(n, h * side, w * side, channels);
  }

  /** Gives the matrices back. */
  @Override
  public void close() {
    down.close();
    downBias.close();
    up.close();
    mean.close();
  }
}
