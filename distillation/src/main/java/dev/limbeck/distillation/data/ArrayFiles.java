package dev.limbeck.distillation.data;

import dev.limbeck.tensor.TensorFile;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/**
 * Images as arrays: NPY with the labels in a file beside it, NPZ and safetensors with the labels in
 * an array beside it.
 *
 * <p>Images are {@code [N,H,W]}, {@code [N,H,W,C]} or {@code [N,C,H,W]} with one or three channels;
 * where both readings fit, channels are last. Bytes are 0 to 255. Floats are taken as they are if
 * some are negative (then all must lie in [-1, 1]), as [0, 1] if none exceeds 1, else as [0, 255].
 */
final class ArrayFiles {
  private static final List<String> IMAGES =
      List.of("images", "image", "x_train", "x", "data", "arr_0");
  private static final List<String> LABELS =
      List.of("labels", "label", "y_train", "y", "targets", "arr_1");

  /** How far outside [-1, 1] rounding may carry a value. */
  private static final double SLACK = 1e-3;

  private ArrayFiles() {}

  /** An array of any kind: type {@code u1} or not, shape, values by index. */
  private interface Values {
    double get(int i);
  }

  static Dataset npy(String name, Path file) {
    Npy.Array images = array(file);
    Path labels = null;
    String own = file.getFileName().toString();
    for (String candidate :
        List.of(
            own.replace("images", "labels"),
            own.replaceFirst("\\.npy$", "-labels.npy"),
            own.replaceFirst("\\.npy$", "_labels.npy"),
            "labels.npy")) {
      Path beside = file.resolveSibling(candidate);
      if (!candidate.equals(own) && Files.isRegularFile(beside)) {
        labels = beside;
        break;
      }
    }
    return dataset(
        name,
        file.toString(),
        images,
        labels == null ? null : labels(labels.toString(), array(labels)));
  }

  private static Npy.Array array(Path file) {
    try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
      return Npy.read(file.toString(), in);
    } catch (IOException e) {
      throw DataException.because("cannot read " + file, e);
    }
  }

  static Dataset npz(String name, Path file) {
    Map<String, Npy.Array> arrays = new LinkedHashMap<>();
    try (ZipInputStream zip =
        new ZipInputStream(new BufferedInputStream(Files.newInputStream(file), 1 << 16))) {
      for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
        String key = entry.getName().replaceFirst("\\.npy$", "");
        if (IMAGES.contains(key) || LABELS.contains(key)) {
          arrays.put(key, Npy.read(file + ", array " + key, zip));
        }
      }
    } catch (IOException e) {
      throw DataException.because("cannot read " + file, e);
    }
    String images = first(IMAGES, arrays);
    if (images == null) {
      throw new DataException(file + ": there is no array named " + either(IMAGES) + " in it");
    }
    String labels = first(LABELS, arrays);
    return dataset(
        name,
        file.toString(),
        arrays.get(images),
        labels == null ? null : labels(file + ", array " + labels, arrays.get(labels)));
  }

  private static String first(List<String> names, Map<String, Npy.Array> arrays) {
    return names.stream().filter(arrays::containsKey).findFirst().orElse(null);
  }

  private static String either(List<String> names) {
    return String.join(", ", names.subList(0, names.size() - 1))
        + " or "
        + names.get(names.size() - 1);
  }

  static Dataset safetensors(String name, Path path) {
    try (TensorFile file = TensorFile.open(path)) {
      String images = IMAGES.stream().filter(file::contains).findFirst().orElse(null);
      if (images == null) {
        throw new DataException(path + ": there is no tensor named " + either(IMAGES) + " in it");
      }
      String labels = LABELS.stream().filter(file::contains).findFirst().orElse(null);
      TensorFile.Entry entry = file.entry(images);
      int[] numbers = labels == null ? null : file.ints(labels);
      int[] shape = entry.shape().toArray();
      if (entry.type().isReal()) {
        float[] values = file.floats(images);
        return dataset(name, path.toString(), false, shape, i -> values[i], numbers);
      }
      int[] values = file.ints(images);
      return dataset(name, path.toString(), true, shape, i -> values[i], numbers);
    } catch (IOException e) {
      throw new DataException(e.getMessage(), e);
    }
  }

  private static int[] labels(String name, Npy.Array array) {
    if (array.shape().length != 1) {
      throw new DataException(
          name + ": labels have one axis, these have shape " + Arrays.toString(array.shape()));
    }
    int[] labels = new int[array.count()];
    for (int i = 0; i < labels.length; i++) {
      double value = array.get(i);
      if (value != Math.rint(value) || Math.abs(value) > Integer.MAX_VALUE) {
        throw new DataException(name + ": label " + value + " is no class number");
      }
      labels[i] = (int) value;
    }
    return labels;
  }

  private static Dataset dataset(String name, String file, Npy.Array images, int[] labels) {
    return dataset(name, file, images.isBytes(), images.shape(), images::get, labels);
  }

  private static Dataset dataset(
      String name, String file, boolean bytes, int[] given, Values values, int[] labels) {
    boolean channelsFirst = channelsFirst(file, given);
    int[] shape = {given[0], given[1], given[2], 1};
    if (given.length == 4) {
      shape = channelsFirst ? new int[] {given[0], given[2], given[3], given[1]} : given;
    }
    int count = 1;
    for (int size : given) {
      count *= size;
    }
    int channels = shape[3];
    int plane = shape[1] * shape[2];
    byte[] pixels = bytes ? new byte[count] : null;
    float[] floats = bytes ? null : new float[count];
    Range range = bytes ? null : Range.of(file, values, count);
    for (int to = 0; to < count; to++) {
      int c = to % channels;
      int position = to / channels;
      int from = channelsFirst ? (position / plane * channels + c) * plane + position % plane : to;
      double value = values.get(from);
      if (bytes) {
        pixels[to] = checkedByte(file, value);
      } else {
        floats[to] = (float) range.normal(value);
      }
    }
    return bytes
        ? Dataset.ofBytes(name, shape, pixels, labels)
        : Dataset.ofFloats(name, shape, floats, labels);
  }

  private static byte checkedByte(String file, double value) {
    if (value < 0 || value > 255) {
      throw new DataException(file + ": pixel " + (long) value + " is not one of 0 to 255");
    }
    return (byte) (int) value;
  }

  private static boolean channelsFirst(String file, int[] shape) {
    boolean last = shape.length == 3 || (shape.length == 4 && isChannels(shape[3]));
    boolean first = !last && shape.length == 4 && isChannels(shape[1]);
    if (!last && !first) {
      throw new DataException(
          file
              + ": images are [N,H,W], [N,H,W,C] or [N,C,H,W] with 1 or 3 channels, these have"
              + " shape "
              + Arrays.toString(shape));
    }
    return first;
  }

  private static boolean isChannels(int size) {
    return size == 1 || size == 3;
  }

  /** How floats become values in [-1, 1]: {@code value * scale + shift}. */
  private record Range(double scale, double shift) {
    static Range of(String file, Values values, int count) {
      double smallest = 0;
      double largest = 0;
      for (int i = 0; i < count; i++) {
        double value = values.get(i);
        if (!Double.isFinite(value)) {
          throw new DataException(file + ": pixel value " + value + " is not finite");
        }
        smallest = Math.min(smallest, value);
        largest = Math.max(largest, value);
      }
      if (smallest < 0 ? smallest < -1 - SLACK || largest > 1 + SLACK : largest > 255 + SLACK) {
        throw new DataException(
            file
                + ": pixel values from "
                + smallest
                + " to "
                + largest
                + " lie neither in [-1, 1] nor in [0, 1] nor in [0, 255]");
      }
      if (smallest < 0) {
        return new Range(1, 0);
      }
      return largest <= 1 + SLACK ? new Range(2, -1) : new Range(1 / 127.5, -1);
    }

    double normal(double value) {
      return Math.min(1, Math.max(-1, value * scale + shift));
    }
  }
}
