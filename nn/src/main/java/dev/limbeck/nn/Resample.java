package dev.limbeck.nn;

import dev.limbeck.autograd.Var;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;

/** Halves and doubles images by means and repetition, one axis after the other. */
final class Resample {
  private Resample() {}

  /** Each pixel twice along both axes. */
  static Var doubled(Var x) {
    int n = x.dim(0);
    int h = x.dim(1);
    int w = x.dim(2);
    int c = x.dim(3);
    Var wide = repeat(x.reshape(n * h * w, 1, c));
    return repeat(wide.reshape(n * h, 1, 2 * w * c)).reshape(n, 2 * h, 2 * w, c);
  }

  private static Var repeat(Var rows) {
    Shape two = Shape.of(1, 2, rows.dim(2));
    return rows.add(Var.constant(Tensor.zeros(rows.value().device(), two)));
  }

  /** Means of 2×2 pixels. */
  static Var halved(Var x) {
    int n = x.dim(0);
    int h = x.dim(1);
    int w = x.dim(2);
    int c = x.dim(3);
    Var narrow = x.reshape(n * h * w / 2, 2, c).mean(1, false);
    return narrow.reshape(n * h / 2, 2, w / 2 * c).mean(1, false).reshape(n, h / 2, w / 2, c);
  }
}
