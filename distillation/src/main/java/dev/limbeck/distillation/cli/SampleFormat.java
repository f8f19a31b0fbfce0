package dev.limbeck.distillation.cli;

import dev.limbeck.distillation.data.ImageGrid;
import dev.limbeck.distillation.data.Npy;
import dev.limbeck.distillation.data.Picture;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import java.io.IOException;
import java.nio.file.Path;

/** How drawn images are written. Values are in [-1, 1], the order is NHWC. */
enum SampleFormat {
  /** One picture with all images in a grid. */
  PNG {
    @Override
    void write(Tensor images, Path to) {
      int columns = (int) Math.ceil(Math.sqrt(images.dim(0)));
      ImageGrid.of(images, columns).write(to);
    }
  },
  /** A folder with one PNG per image. */
  FILES {
    @Override
    void write(Tensor images, Path to) {
      float[] pixels = images.toFloats();
      int size = images.shape().product(1, 4);
      for (int i = 0; i < images.dim(0); i++) {
        Picture picture = Picture.of(pixels, i * size, images.dim(1), images.dim(2), images.dim(3));
        picture.write(to.resolve(String.format("%06d.png", i)));
      }
    }
  },
  /** NumPy's array file. */
  NPY {
    @Override
    void write(Tensor images, Path to) {
      Npy.write(to, images.shape().toArray(), images.toFloats());
    }
  },
  /** One tensor named {@code images}. */
  SAFETENSORS {
    @Override
    void write(Tensor images, Path to) throws IOException {
      TensorFile.writer().add("images", images).write(to);
    }
  };

  abstract void write(Tensor images, Path to) throws IOException;

  /** Where to write if nothing else was asked for. */
  Path defaultPath() {
    return switch (this) {
      case PNG -> Path.of("samples.png");
      case FILES -> Path.of("samples");
      case NPY -> Path.of("samples.npy");
      case SAFETENSORS -> Path.of("samples.safetensors");
    };
  }
}
