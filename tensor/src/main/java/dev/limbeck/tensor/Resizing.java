package dev.limbeck.tensor;

import dev.limbeck.kernels.op.Resample;
import dev.limbeck.kernels.op.Resample.Axis;

/** A linear map of images [N,H,W,C] along rows and along columns, and its gradient. */
public record Resizing(Axis rows, Axis columns) {
  /** Means of k×k blocks of an image's pixels. */
  public static Resizing averagePool(Tensor x, int k) {
    checkImages("avgPool", x);
    if (k < 1 || x.dim(1) % k != 0 || x.dim(2) % k != 0) {
      throw new ShapeException("avgPool: " + k + " does not divide the sides of x " + x.shape());
    }
    return new Resizing(Axis.average(x.dim(1), k), Axis.average(x.dim(2), k));
  }

  /** The pixel at ⌊i·in/out⌋. */
  public static Resizing nearest(Tensor x, int height, int width) {
    checkImages("resizeNearest", x);
    checkSize("resizeNearest", x, height, width);
    return new Resizing(Axis.nearest(x.dim(1), height), Axis.nearest(x.dim(2), width));
  }

  /** Interpolation between pixel centres. */
  public static Resizing bilinear(Tensor x, int height, int width) {
    checkImages("resizeBilinear", x);
    checkSize("resizeBilinear", x, height, width);
    return new Resizing(Axis.bilinear(x.dim(1), height), Axis.bilinear(x.dim(2), width));
  }

  private static void checkImages(String op, Tensor x) {
    if (x.shape().rank() != 4 || x.dim(1) < 1 || x.dim(2) < 1) {
      throw new ShapeException(op + ": expects x [N,H,W,C], x has shape " + x.shape());
    }
  }

  private static void checkSize(String op, Tensor x, int height, int width) {
    if (height < 1 || width < 1) {
      throw new ShapeException(
          op + ": " + height + "x" + width + " is not a size of images (x " + x.shape() + ")");
    }
  }

  /** Applies the map. */
  public Tensor apply(Tensor x) {
    int c = x.dim(3);
    Tensor y = Tensor.empty(x.device(), x.type(), Shape.of(x.dim(0), rows.out(), columns.out(), c));
    if (y.size() > 0) {
      x.run(new Resample(x.dim(0), c, rows, columns, x.buffer(), y.buffer()));
    }
    return y;
  }

  /** The map that takes the output's gradient to the input's. */
  public Resizing transposed() {
    return new Resizing(rows.transposed(), columns.transposed());
  }
}
