package dev.limbeck.tensor;

import java.util.Arrays;

/** The sizes of a tensor's axes, slowest first; a scalar has none. */
public final class Shape {
  private final int[] sizes;
  private final int size;

  private Shape(int[] sizes) {
    long product = 1;
    for (int s : sizes) {
      if (s < 0) {
        throw new ShapeException("shape: negative size in " + Arrays.toString(sizes));
      }
      product = Math.multiplyExact(product, (long) s);
    }
    if (product > Integer.MAX_VALUE - 64) {
      throw new ShapeException("shape: " + Arrays.toString(sizes) + " has too many elements");
    }
    this.sizes = sizes;
    this.size = (int) product;
  }

  public static Shape of(int... sizes) {
    return new Shape(sizes.clone());
  }

  /** Number of axes. */
  public int rank() {
    return sizes.length;
  }

  /** Number of elements. */
  public int size() {
    return size;
  }

  /** Size of an axis; negative axes count from the end. */
  public int dim(int axis) {
    return sizes[axis(axis)];
  }

  /** The same axis counted from the front. */
  public int axis(int axis) {
    int a = axis < 0 ? axis + sizes.length : axis;
    if (a < 0 || a >= sizes.length) {
      throw new ShapeException("axis " + axis + " is not one of " + this);
    }
    return a;
  }

  public int[] toArray() {
    return sizes.clone();
  }

  /** Product of the sizes of axes {@code [from, to)}. */
  public int product(int from, int to) {
    int product = 1;
    for (int i = from; i < to; i++) {
      product *= sizes[i];
    }
    return product;
  }

  /** This shape with one axis resized. */
  public Shape with(int axis, int newSize) {
    int[] copy = sizes.clone();
    copy[axis(axis)] = newSize;
    return new Shape(copy);
  }

  /** This shape without one axis. */
  public Shape without(int axis) {
    int a = axis(axis);
    int[] copy = new int[sizes.length - 1];
    System.arraycopy(sizes, 0, copy, 0, a);
    System.arraycopy(sizes, a + 1, copy, a, copy.length - a);
    return new Shape(copy);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Shape s && Arrays.equals(sizes, s.sizes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(sizes);
  }

  /** As in {@code [8,16,16,32]}. */
  @Override
  public String toString() {
    return Arrays.toString(sizes).replace(" ", "");
  }
}
