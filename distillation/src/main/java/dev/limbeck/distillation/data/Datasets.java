package dev.limbeck.distillation.data;

import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * Opens data sets by path or by name.
 *
 * <p>A path is a folder with IDX files, with CIFAR-10's binary batches, with {@code images.npy}, or
 * with PNG and JPEG files (class per sub-folder); or one such file, an NPZ or a safetensors file.
 */
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
    if (Mixture.isNamed(pathOrName)) {
      throw new DataException(
          "data " + pathOrName + ": mixtures have no images; distill and compare take them");
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
    return Idx.pair(
        MNIST, images, () -> Resources.open(images), labels, () -> Resources.open(labels));
  }

  private static Dataset folder(Path path, Split split) {
    String name = path.toString();
    Dataset data = Idx.folder(name, path, split);
    if (data == null) {
      data = Cifar10.folder(name, path, split);
    }
    if (data == null && Files.isRegularFile(path.resolve("images.npy"))) {
      data = ArrayFiles.npy(name, path.resolve("images.npy"));
    }
    if (data == null) {
      data = ImageFolder.open(name, path);
    }
    if (data == null) {
      throw new DataException(
          "data " + path + ": there are no images in it (IDX, CIFAR-10, images.npy, PNG or JPEG)");
    }
    return data;
  }

  private static Dataset file(Path path) {
    String name = path.toString();
    if (Idx.isImages(path)) {
      return Idx.file(name, path);
    }
    if (Cifar10.isBatch(path)) {
      return Cifar10.files(name, List.of(path));
    }
    String lower = name.toLowerCase(Locale.ROOT);
    if (lower.endsWith(".npy")) {
      return ArrayFiles.npy(name, path);
    }
    if (lower.endsWith(".npz")) {
      return ArrayFiles.npz(name, path);
    }
    if (lower.endsWith(".safetensors")) {
      return ArrayFiles.safetensors(name, path);
    }
    throw new DataException(
        "data "
            + path
            + ": its name is none of a known format (*idx3*, data_batch_1.bin, *.npy,"
            + " *.npz, *.safetensors)");
  }
}
