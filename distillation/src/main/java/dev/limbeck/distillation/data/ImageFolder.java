package dev.limbeck.distillation.data;

import java.awt.image.BufferedImage;
import java.awt.image.ColorModel;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import javax.imageio.ImageIO;

/**
 * PNG and JPEG files in a folder, or in one sub-folder per class (classes in the order of the
 * folders' names).
 *
 * <p>All images must have one size. If every pixel of every image is grey, the data set has one
 * channel, else three; transparent parts are laid over black.
 */
final class ImageFolder {
  private record Item(Path path, int label) {}

  private final String name;
  private final Path folder;
  private final boolean labelled;
  private final List<Item> items = new ArrayList<>();

  private ImageFolder(String name, Path folder) {
    this.name = name;
    this.folder = folder;
    List<Path> classes = new ArrayList<>();
    for (Path path : list(folder)) {
      if (Files.isDirectory(path) && list(path).stream().anyMatch(ImageFolder::isImage)) {
        classes.add(path);
      }
    }
    this.labelled = !classes.isEmpty();
    for (int c = 0; c < Math.max(1, classes.size()); c++) {
      for (Path path : list(labelled ? classes.get(c) : folder)) {
        if (isImage(path)) {
          items.add(new Item(path, c));
        }
      }
    }
  }

  /** The images of a folder; null if there are none. */
  static Dataset open(String name, Path folder) {
    ImageFolder images = new ImageFolder(name, folder);
    return images.items.isEmpty() ? null : images.read();
  }

  private static List<Path> list(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(f -> !f.getFileName().toString().startsWith(".")).sorted().toList();
    } catch (IOException e) {
      throw DataException.because("cannot read folder " + folder, e);
    }
  }

  private static boolean isImage(Path path) {
    return path.getFileName().toString().toLowerCase(Locale.ROOT).matches(".*\\.(png|jpe?g)")
        && Files.isRegularFile(path);
  }

  private Dataset read() {
    BufferedImage first = decode(items.get(0).path());
    int height = first.getHeight();
    int width = first.getWidth();
    long length = 3L * items.size() * height * width;
    if (length > Integer.MAX_VALUE - 64) {
      throw new DataException(
          "data "
              + folder
              + ": "
              + items.size()
              + " images of "
              + height
              + "×"
              + width
              + " do not fit into one array; use fewer or smaller images");
    }
    byte[] colours = new byte[(int) length];
    int[] labels = labelled ? new int[items.size()] : null;
    int size = 3 * height * width;
    for (int i = 0; i < items.size(); i++) {
      Path path = items.get(i).path();
      BufferedImage image = i == 0 ? first : decode(path);
      if (image.getHeight() != height || image.getWidth() != width) {
        throw new DataException(
            "data "
                + folder
                + ": "
                + path
                + " is "
                + image.getHeight()
                + "×"
                + image.getWidth()
                + ", but "
                + items.get(0).path()
                + " is "
                + height
                + "×"
                + width);
      }
      colours(image, colours, i * size);
      if (labelled) {
        labels[i] = items.get(i).label();
      }
    }
    boolean grey = isGrey(colours);
    int[] shape = {items.size(), height, width, grey ? 1 : 3};
    return Dataset.ofBytes(name, shape, grey ? firstOfThree(colours) : colours, labels);
  }

  private static BufferedImage decode(Path path) {
    BufferedImage image;
    try {
      image = ImageIO.read(path.toFile());
    } catch (IOException e) {
      throw DataException.because("cannot read " + path, e);
    } catch (RuntimeException e) { // what ImageIO's readers throw at some broken files
      throw new DataException("cannot read " + path + ": it is damaged", e);
    }
    if (image == null) {
      throw new DataException("cannot read " + path + ": it is no PNG or JPEG file");
    }
    return image;
  }

  private static void colours(BufferedImage image, byte[] into, int offset) {
    ColorModel model = image.getColorModel();
    boolean grey = model.getNumColorComponents() == 1 && !hasPalette(image);
    int to = offset;
    for (int y = 0; y < image.getHeight(); y++) {
      for (int x = 0; x < image.getWidth(); x++) {
        if (grey) {
          byte value = grey(image, model, x, y);
          into[to++] = value;
          into[to++] = value;
          into[to++] = value;
        } else {
          int argb = image.getRGB(x, y);
          int alpha = argb >>> 24;
          for (int shift = 16; shift >= 0; shift -= 8) {
            into[to++] = (byte) (((argb >> shift & 0xff) * alpha + 127) / 255);
          }
        }
      }
    }
  }

  private static boolean hasPalette(BufferedImage image) {
    return image.getColorModel() instanceof IndexColorModel;
  }

  /** The stored value: {@code getRGB} would bend grey through a gamma curve. */
  private static byte grey(BufferedImage image, ColorModel model, int x, int y) {
    Raster raster = image.getRaster();
    double value = raster.getSample(x, y, 0) / (double) largest(model, 0);
    if (model.hasAlpha()) {
      value *= raster.getSample(x, y, 1) / (double) largest(model, 1);
    }
    return (byte) Math.round(255 * value);
  }

  private static int largest(ColorModel model, int component) {
    return (1 << model.getComponentSize(component)) - 1;
  }

  private static boolean isGrey(byte[] colours) {
    for (int i = 0; i < colours.length; i += 3) {
      if (colours[i] != colours[i + 1] || colours[i] != colours[i + 2]) {
        return false;
      }
    }
    return true;
  }

  private static byte[] firstOfThree(byte[] colours) {
    byte[] first = new byte[colours.length / 3];
    for (int i = 0; i < first.length; i++) {
      first[i] = colours[3 * i];
    }
    return first;
  }
}
