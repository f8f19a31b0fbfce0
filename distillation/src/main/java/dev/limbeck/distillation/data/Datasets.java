package dev.limbeck.distillation.data;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Opens data sets by path or by name. */
public final class Datasets {
  /** The name of the 10,000 test digits that come with this jar. */
  public static final String MNIST = "mnist";

  private Datasets() {}

  /** The data set at a path or of a known name; its training part if there are two. */
  public static Dataset open(String pathOrName) {
    return open(pathOrName, Split.TRAIN);
  }

  /**
   * One part of the data set at a path or of a known name; where there is only one part, that one.
   *
   * @throws DataException if there is none or it cannot be read
   */
  public static Dataset open(String pathOrName, Split split) {
    if (pathOrName.equals(MNIST)) {
      return mnist();
    }
    Path path;
    try {
      path = Path.of(pathOrName);
    } catch (InvalidPathException e) {
      throw new DataException("data " + pathOrName + ": this is not a path", e);
    }
    if (Files.isDirectory(path)) {
      return folder(path, split);
    }
    if (Files.isRegularFile(path)) {
      return file(path);
    }
    throw new DataException(
        "data "
            + pathOrName
            + ": there is no such file or folder, and the only known name is "
            + MNIST);
  }

  /** The 10,000 test digits that come with this jar. */
  public static Dataset mnist() {
    String images = "mnist/t10k-images-idx3-ubyte.gz";
    String labels = "mnist/t10k-labels-idx1-ubyte.gz";
    return Idx.pair(MNIST, images, () -> resource(images), labels, () -> resource(labels));
  }

  /** A file of {@code distillation/data}, which the jar carries as a resource. */
  public static InputStream resource(String name) throws IOException {
    InputStream in = Datasets.class.getResourceAsStream(name);
    if (in == null) {
      throw new NoSuchFileException(name);
    }
    return in;
  }

  private static String nameOf(Path path) {
    return path.toString();
  }

  private static Dataset folder(Path path, Split split) {
    Dataset idx = Idx.folder(nameOf(path), path, split);
    if (idx != null) {
      return idx;
    }
    throw new DataException("data " + path + ": there are no images of a known format in it");
  }

  private static Dataset file(Path path) {
    if (Idx.isImages(path)) {
      return Idx.file(nameOf(path), path);
    }
    throw new DataException("data " + path + ": this is not of a known format");
  }
}
