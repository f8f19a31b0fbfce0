package dev.limbeck.nn;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import dev.limbeck.tensor.TensorFile;
import dev.limbeck.tensor.TensorFileException;
import dev.limbeck.tensor.TensorFileWriter;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Parameters in tensor files, in PyTorch's layout: convolution weights are [O,I,kh,kw] there and
 * [O,kh,kw,I] here, activations [N,C,H,W] there and [N,H,W,C] here.
 */
public final class WeightFiles {
  /** Names of attention layers in diffusers up to 0.14, by their present names. */
  private static final Map<String, String> OLD_NAMES =
      Map.of(
          ".to_q.", ".query.", ".to_k.", ".key.", ".to_v.", ".value.", ".to_out.0.", ".proj_attn.");

  private WeightFiles() {}

  /** Adds every parameter under {@code prefix} and its name. */
  public static void write(TensorFileWriter writer, String prefix, Params params) {
    for (Parameter p : params.list()) {
      Tensor value = p.value();
      writer.add(
          prefix + p.name(), toTorch(value.shape()), toTorch(value.toFloats(), value.shape()));
    }
  }

  /**
   * Sets every parameter from the tensor of its name under {@code prefix}.
   *
   * @throws TensorFileException if a tensor is missing, of another shape or no parameter's, naming
   *     it
   */
  public static void read(TensorFile file, String prefix, Params params)
      throws TensorFileException {
    read(file, prefix, params, Set.of());
  }

  /** As {@link #read}, where the file may hold further tensors of the given names. */
  static void read(TensorFile file, String prefix, Params params, Set<String> others)
      throws TensorFileException {
    Set<String> left = new HashSet<>();
    for (String name : file.names()) {
      if (name.startsWith(prefix)) {
        left.add(name);
      }
    }
    for (Parameter p : params.list()) {
      String name = nameIn(file, prefix, p.name());
      p.value().buffer().upload(floats(file, name, p.value().shape()), 0);
      left.remove(name);
    }
    others.forEach(name -> left.remove(prefix + name));
    if (!left.isEmpty()) {
      throw new TensorFileException(
          file.path()
              + ": tensor \""
              + left.stream().sorted().findFirst().orElseThrow()
              + "\" belongs to no parameter of this configuration");
    }
    params.touch();
  }

  /** The name under which a parameter is stored: its own, or that of older files. */
  static String nameIn(TensorFile file, String prefix, String name) {
    if (!file.contains(prefix + name)) {
      for (Map.Entry<String, String> old : OLD_NAMES.entrySet()) {
        String renamed = prefix + name.replace(old.getKey(), old.getValue());
        if (name.contains(old.getKey()) && file.contains(renamed)) {
          return renamed;
        }
      }
    }
    return prefix + name;
  }

  /** A stored tensor in our layout, checked against the shape it has here. */
  static float[] floats(TensorFile file, String name, Shape wanted) throws TensorFileException {
    Shape torch = toTorch(wanted);
    Shape stored = file.shape(name);
    // Old attention projections are 1×1 convolutions with the same numbers in the same order.
    boolean matrix =
        wanted.rank() == 2 && stored.equals(Shape.of(wanted.dim(0), wanted.dim(1), 1, 1));
    if (!stored.equals(torch) && !matrix) {
      throw new TensorFileException(
          file.path() + ": tensor \"" + name + "\" has shape " + stored + ", expected " + torch);
    }
    return matrix ? file.floats(name) : fromTorch(file.floats(name), stored);
  }

  /** A shape with the second axis last here as it is in PyTorch; other than rank 4: the same. */
  static Shape toTorch(Shape s) {
    return s.rank() == 4 ? Shape.of(s.dim(0), s.dim(3), s.dim(1), s.dim(2)) : s;
  }

  /** Numbers of our shape [a,h,w,c] in the order of [a,c,h,w]. */
  static float[] toTorch(float[] x, Shape s) {
    return s.rank() == 4 ? swap(x, s.dim(0), s.dim(1) * s.dim(2), s.dim(3)) : x;
  }

  /** Numbers of PyTorch's shape [a,c,h,w] in the order of [a,h,w,c]. */
  static float[] fromTorch(float[] x, Shape s) {
    return s.rank() == 4 ? swap(x, s.dim(0), s.dim(1), s.dim(2) * s.dim(3)) : x;
  }

  /** [a,b,c] to [a,c,b]. */
  private static float[] swap(float[] x, int as, int bs, int cs) {
    float[] y = new float[x.length];
    for (int a = 0; a < as; a++) {
      for (int b = 0; b < bs; b++) {
        for (int c = 0; c < cs; c++) {
          y[(a * cs + c) * bs + b] = x[(a * bs + b) * cs + c];
        }
      }
    }
    return y;
  }

  /** An image batch [N,C,H,W] of a file as [N,H,W,C]. */
  static float[] images(TensorFile file, String name) throws TensorFileException {
    Shape s = file.shape(name);
    if (s.rank() != 4) {
      throw new TensorFileException(
          file.path() + ": tensor \"" + name + "\" has shape " + s + ", expected [N,C,H,W]");
    }
    return fromTorch(file.floats(name), s);
  }

  /** The names that hold a diffusers model's random frequencies; the first is the present one. */
  static final List<String> FREQUENCIES = List.of("time_proj.weight", "time_proj.W");
}
