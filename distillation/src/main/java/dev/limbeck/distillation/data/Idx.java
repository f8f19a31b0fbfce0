package dev.limbeck.distillation.data;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/**
 * IDX files, plain or gzip: {@code 0 0 type axes}, big-endian sizes, then the values.
 *
 * <p>Read are images of bytes with three axes (count, height, width) or four (and channels), and
 * labels of bytes with one.
 */
final class Idx {
  private static final int UNSIGNED_BYTE = 8;
  private static final int GZIP_FIRST = 0x1f;
  private static final int GZIP_SECOND = 0x8b;

  private Idx() {}

  /** The sizes and values of one file. */
  record Content(int[] sizes, byte[] values) {}

  /** Opens a stream on bytes that may have been compressed. */
  interface Source {
    InputStream open() throws IOException;
  }

  /** A pair of files by their names in a folder; null if the folder has no image file. */
  static Dataset folder(String name, Path folder, Split split) {
    List<Path> images = imagesIn(folder);
    if (images.isEmpty()) {
      return null;
    }
    Path chosen = images.get(0);
    for (Path path : images) {
      boolean test = isTest(path);
      if (test == (split == Split.TEST)) {
        chosen = path;
        break;
      }
    }
    return file(name, chosen);
  }

  private static boolean isTest(Path path) {
    String file = path.getFileName().toString();
    return file.startsWith("t10k") || file.startsWith("test");
  }

  private static List<Path> imagesIn(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(Idx::isImages).sorted().toList();
    } catch (IOException e) {
      throw DataException.because("cannot read folder " + folder, e);
    }
  }

  /** Whether a file's name is that of IDX images. */
  static boolean isImages(Path path) {
    String file = path.getFileName().toString();
    return file.matches(".*(idx[34]).*") && !file.contains("labels");
  }

  /** Images, with the labels found beside them under the corresponding name, if any. */
  static Dataset file(String name, Path images) {
    String file = images.getFileName().toString();
    String labels = file.replace("images", "labels").replaceFirst("idx[34]", "idx1");
    Path beside = null;
    for (String candidate : new String[] {labels, labels.replace(".gz", ""), labels + ".gz"}) {
      Path path = images.resolveSibling(candidate);
      if (!candidate.equals(file) && Files.isRegularFile(path)) {
        beside = path;
        break;
      }
    }
    Path found = beside;
    return pair(
        name,
        images.toString(),
        () -> Files.newInputStream(images),
        found == null ? null : found.toString(),
        found == null ? null : () -> Files.newInputStream(found));
  }

  static Dataset pair(
      String name, String imagesName, Source images, String labelsName, Source labels) {
    Content pixels = read(imagesName, images);
    int axes = pixels.sizes().length;
    if (axes != 3 && axes != 4) {
      throw new DataException(
          imagesName + ": images have 3 or 4 axes in an IDX file, this one has " + axes);
    }
    int[] numbers = null;
    if (labels != null) {
      Content values = read(labelsName, labels);
      if (values.sizes().length != 1) {
        throw new DataException(
            labelsName
                + ": labels have 1 axis in an IDX file, this one has "
                + values.sizes().length);
      }
      numbers = new int[values.values().length];
      for (int i = 0; i < numbers.length; i++) {
        numbers[i] = values.values()[i] & 0xff;
      }
      if (numbers.length != pixels.sizes()[0]) {
        throw new DataException(
            labelsName
                + ": "
                + numbers.length
                + " labels for the "
                + pixels.sizes()[0]
                + " images of "
                + imagesName);
      }
    }
    int[] shape = Arrays.copyOf(pixels.sizes(), 4);
    shape[3] = axes == 4 ? shape[3] : 1;
    return Dataset.ofBytes(name, shape, pixels.values(), numbers);
  }

  private static Content read(String name, Source source) {
    try (InputStream raw = new BufferedInputStream(source.open(), 1 << 16);
        InputStream in = decompressed(raw)) {
      return content(name, in);
    } catch (EOFException e) {
      throw new DataException(name + ": the file is cut short", e);
    } catch (IOException e) {
      throw DataException.because("cannot read " + name, e);
    }
  }

  private static InputStream decompressed(InputStream in) throws IOException {
    in.mark(2);
    boolean gzip = in.read() == GZIP_FIRST && in.read() == GZIP_SECOND;
    in.reset();
    return gzip ? new BufferedInputStream(new GZIPInputStream(in, 1 << 16), 1 << 16) : in;
  }

  private static Content content(String name, InputStream in) throws IOException {
    byte[] magic = in.readNBytes(4);
    if (magic.length < 4 || magic[0] != 0 || magic[1] != 0 || magic[3] < 1 || magic[3] > 4) {
      throw new DataException(name + ": this is not an IDX file");
    }
    if (magic[2] != UNSIGNED_BYTE) {
      throw new DataException(
          name
              + ": only IDX files of unsigned bytes (type 8) are read, this one has type "
              + magic[2]);
    }
    int[] sizes = new int[magic[3]];
    long length = 1;
    for (int i = 0; i < sizes.length; i++) {
      byte[] b = in.readNBytes(4);
      if (b.length < 4) {
        throw new DataException(name + ": the file is cut short");
      }
      sizes[i] = (b[0] & 0xff) << 24 | (b[1] & 0xff) << 16 | (b[2] & 0xff) << 8 | b[3] & 0xff;
      if (sizes[i] < 1 || length > Integer.MAX_VALUE / sizes[i]) {
        throw new DataException(name + ": its sizes " + Arrays.toString(sizes) + " cannot be");
      }
      length *= sizes[i];
    }
    // readNBytes grows with what is there, so that a false header costs no memory.
    byte[] values = in.readNBytes((int) length);
    if (values.length < length || in.read() >= 0) {
      throw new DataException(
          name
              + ": its header promises "
              + length
              + " values, the file has "
              + (values.length < length ? "only " + values.length : "more"));
    }
    return new Content(sizes, values);
  }
}
