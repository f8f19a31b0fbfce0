package dev.limbeck.distillation.data;

import dev.limbeck.kernels.Device;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * Images of one size, with or without labels, in main memory: pixels in [-1, 1], channels last.
 *
 * <p>Pixels that came as bytes stay bytes until they are used ({@code b / 127.5 - 1}), others are
 * floats. A data set never changes; {@link #padded}, {@link #resized} and {@link #select} make new
 * ones.
 */
public final class Dataset {
  /** The value of a black pixel, with which images are padded. */
  public static final float BLACK = -1;

  private final String name;
  private final int count;
  private final int height;
  private final int width;
  private final int channels;
  private final int classes;
  private final byte[] bytes;
  private final float[] floats;
  private final int[] labels;
  private String hash;

  private Dataset(
      String name, int[] shape, byte[] bytes, float[] floats, int[] labels, int classes) {
    this.name = name;
    this.count = shape[0];
    this.height = shape[1];
    this.width = shape[2];
    this.channels = shape[3];
    this.bytes = bytes;
    this.floats = floats;
    this.labels = labels;
    this.classes = classes;
    check(bytes == null ? floats.length : bytes.length);
  }

  private void check(long elements) {
    if (count < 1 || height < 1 || width < 1 || channels < 1) {
      throw new DataException("data " + name + ": there is no image in it");
    }
    if ((long) count * height * width * channels != elements) {
      throw new DataException(
          "data " + name + ": " + elements + " values are not " + describe() + " images");
    }
    if (labels == null) {
      return;
    }
    if (labels.length != count) {
      throw new DataException(
          "data " + name + ": " + labels.length + " labels for " + count + " images");
    }
    for (int label : labels) {
      if (label < 0 || label >= classes) {
        throw new DataException(
            "data " + name + ": label " + label + " is not one of 0 to " + (classes - 1));
      }
    }
  }

  /**
   * Images of bytes, 0 black and 255 white; arrays are kept, not copied.
   *
   * @param shape {@code [count, height, width, channels]}
   * @param labels one label per image, or null
   */
  public static Dataset ofBytes(String name, int[] shape, byte[] pixels, int[] labels) {
    return new Dataset(name, shape, pixels, null, labels, classesOf(labels));
  }

  /**
   * Images of floats in [-1, 1]; arrays are kept, not copied.
   *
   * @param shape {@code [count, height, width, channels]}
   * @param labels one label per image, or null
   */
  public static Dataset ofFloats(String name, int[] shape, float[] pixels, int[] labels) {
    return new Dataset(name, shape, null, pixels, labels, classesOf(labels));
  }

  private static int classesOf(int[] labels) {
    int classes = 0;
    if (labels != null) {
      for (int label : labels) {
        classes = Math.max(classes, label + 1);
      }
    }
    return classes;
  }

  /** This data set with a given number of classes, for labels that do not use the last ones. */
  public Dataset withClasses(int number) {
    return new Dataset(name, shape(count, height, width), bytes, floats, labels, number);
  }

  // ---- what it is ----

  public String name() {
    return name;
  }

  /** Number of images. */
  public int count() {
    return count;
  }

  public int height() {
    return height;
  }

  public int width() {
    return width;
  }

  public int channels() {
    return channels;
  }

  /** Number of classes; 0 without labels. */
  public int classes() {
    return classes;
  }

  /** Number of values of one image. */
  public int imageSize() {
    return height * width * channels;
  }

  /** The label of one image; 0 without labels. */
  public int label(int index) {
    return labels == null ? 0 : labels[index];
  }

  /** Copies one image, {@code [height, width, channels]} in [-1, 1], into an array. */
  public void image(int index, float[] into, int offset) {
    int size = imageSize();
    int from = index * size;
    if (bytes == null) {
      System.arraycopy(floats, from, into, offset, size);
      return;
    }
    for (int i = 0; i < size; i++) {
      into[offset + i] = toFloat(bytes[from + i]);
    }
  }

  /** A byte's value in [-1, 1]: {@code b / 127.5 - 1}. */
  static float toFloat(byte value) {
    return (value & 0xff) / 127.5f - 1;
  }

  /** The byte nearest to a value in [-1, 1]; values outside are clamped, NaN is black. */
  public static byte toByte(float value) {
    return (byte) Math.round(Math.min(255f, Math.max(0f, (value + 1) * 127.5f)));
  }

  // ---- batches ----

  /** The named images, one after the other. */
  public float[] images(int... indices) {
    float[] batch = new float[Math.multiplyExact(indices.length, imageSize())];
    for (int i = 0; i < indices.length; i++) {
      image(indices[i], batch, i * imageSize());
    }
    return batch;
  }

  /**
   * The named images as a tensor.
   *
   * @shape {@code [indices.length, height, width, channels]}
   */
  public Tensor images(Device device, int... indices) {
    return Tensor.of(device, Shape.of(indices.length, height, width, channels), images(indices));
  }

  /**
   * The labels of the named images as an I32 tensor, or null without labels.
   *
   * @shape {@code [indices.length]}
   */
  public Tensor labels(Device device, int... indices) {
    if (labels == null) {
      return null;
    }
    int[] batch = new int[indices.length];
    for (int i = 0; i < indices.length; i++) {
      batch[i] = labels[indices[i]];
    }
    return Tensor.constant(device, Shape.of(indices.length), batch);
  }

  /** The indices {@code from, from + 1, …, to - 1}. */
  public static int[] range(int from, int to) {
    int[] indices = new int[to - from];
    for (int i = 0; i < indices.length; i++) {
      indices[i] = from + i;
    }
    return indices;
  }

  // ---- other data sets from this one ----

  /** The named images, in that order. */
  public Dataset select(int... indices) {
    int size = imageSize();
    int[] shape = shape(indices.length, height, width);
    int length = Math.multiplyExact(indices.length, size);
    byte[] someBytes = bytes == null ? null : new byte[length];
    float[] someFloats = floats == null ? null : new float[length];
    int[] someLabels = labels == null ? null : new int[indices.length];
    for (int i = 0; i < indices.length; i++) {
      if (bytes != null) {
        System.arraycopy(bytes, indices[i] * size, someBytes, i * size, size);
      } else {
        System.arraycopy(floats, indices[i] * size, someFloats, i * size, size);
      }
      if (labels != null) {
        someLabels[i] = labels[indices[i]];
      }
    }
    return new Dataset(name, shape, someBytes, someFloats, someLabels, classes);
  }

  /**
   * As many images, evenly spread over this data set: numbers {@code i · count() / number}.
   *
   * <p>Parts of a file may differ (the halves of MNIST's test digits come from different writers),
   * so that its first images do not stand for all.
   */
  public Dataset spread(int number) {
    if (number < 1 || number > count) {
      throw new DataException(
          "data " + name + ": " + number + " images are asked for, there are " + count);
    }
    int[] indices = new int[number];
    for (int i = 0; i < number; i++) {
      indices[i] = (int) ((long) i * count / number);
    }
    return select(indices);
  }

  /** The images of one class, in their order. */
  public Dataset ofClass(int label) {
    int[] found = new int[count];
    int n = 0;
    for (int i = 0; i < count; i++) {
      if (label(i) == label) {
        found[n++] = i;
      }
    }
    if (n == 0) {
      throw new DataException("data " + name + ": there is no image of class " + label);
    }
    return select(Arrays.copyOf(found, n));
  }

  /** Every image in the middle of a black square of the given side. */
  public Dataset padded(int side) {
    if (side == height && side == width) {
      return this;
    }
    if (side < height || side < width) {
      throw new DataException(
          "data " + name + ": " + describe() + " images cannot be padded to side " + side);
    }
    int top = (side - height) / 2;
    int left = (side - width) / 2;
    int length = elements(side, side);
    byte[] toBytes = bytes == null ? null : new byte[length];
    float[] toFloats = floats == null ? null : new float[length];
    if (toFloats != null) {
      Arrays.fill(toFloats, BLACK);
    }
    int row = width * channels;
    for (int i = 0; i < count; i++) {
      for (int y = 0; y < height; y++) {
        int from = (i * height + y) * row;
        int to = ((i * side + top + y) * side + left) * channels;
        if (bytes != null) {
          System.arraycopy(bytes, from, toBytes, to, row);
        } else {
          System.arraycopy(floats, from, toFloats, to, row);
        }
      }
    }
    return new Dataset(name, shape(count, side, side), toBytes, toFloats, labels, classes);
  }

  /** Every image resized to a square by {@link AreaResize}. */
  public Dataset resized(int side) {
    if (side == height && side == width) {
      return this;
    }
    AreaResize resize = new AreaResize(height, width, side, side, channels);
    float[] pixels = new float[elements(side, side)];
    float[] image = new float[imageSize()];
    for (int i = 0; i < count; i++) {
      image(i, image, 0);
      resize.apply(image, 0, pixels, i * side * side * channels);
    }
    return new Dataset(name, shape(count, side, side), null, pixels, labels, classes);
  }

  /**
   * Every image brought to a square of the given side: padded to the next multiple of the side if
   * that adds at most a quarter, else to a square; then averaged over areas.
   *
   * <p>So digits of 28×28 become 32×32 by padding alone, and 16×16 by padding to 32×32 and 2×2
   * averages.
   */
  public Dataset fitted(int side) {
    int larger = Math.max(height, width);
    int multiple = (larger + side - 1) / side * side;
    return padded(multiple * 4 <= larger * 5 ? multiple : larger).resized(side);
  }

  private int[] shape(int images, int toHeight, int toWidth) {
    return new int[] {images, toHeight, toWidth, channels};
  }

  private int elements(int toHeight, int toWidth) {
    long elements = (long) count * toHeight * toWidth * channels;
    if (elements > Integer.MAX_VALUE - 64) {
      throw new DataException(
          "data "
              + name
              + ": "
              + count
              + " images of "
              + toHeight
              + "×"
              + toWidth
              + "×"
              + channels
              + " do not fit into one array; use fewer or smaller images");
    }
    return (int) elements;
  }

  // ---- identity ----

  /** The first 16 hexadecimal digits of the SHA-256 of sizes, pixels and labels. */
  public synchronized String hash() {
    if (hash == null) {
      hash = computeHash();
    }
    return hash;
  }

  private String computeHash() {
    MessageDigest digest = sha256();
    ByteBuffer block = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN);
    for (int size : new int[] {count, height, width, channels, classes}) {
      block.putInt(size);
    }
    flush(block, digest);
    if (bytes != null) {
      digest.update(bytes);
    } else {
      for (float value : floats) {
        if (block.remaining() < Float.BYTES) {
          flush(block, digest);
        }
        block.putFloat(value);
      }
    }
    if (labels != null) {
      for (int label : labels) {
        if (block.remaining() < Integer.BYTES) {
          flush(block, digest);
        }
        block.putInt(label);
      }
    }
    flush(block, digest);
    return HexFormat.of().formatHex(digest.digest()).substring(0, 16);
  }

  private static void flush(ByteBuffer block, MessageDigest digest) {
    block.flip();
    digest.update(block);
    block.clear();
  }

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  private String describe() {
    return count + "×" + height + "×" + width + "×" + channels;
  }

  /** As in {@code mnist 10000×28×28×1, 10 classes}. */
  @Override
  public String toString() {
    return name + " " + describe() + (labels == null ? ", no labels" : ", " + classes + " classes");
  }
}
