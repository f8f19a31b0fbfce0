package dev.limbeck.nn;

import dev.limbeck.autograd.Parameter;
import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.op.Cast;
import dev.limbeck.kernels.op.Copy;
import dev.limbeck.kernels.op.Fill;
import dev.limbeck.kernels.op.GlobalNorm;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The named parameters of a network, as slices of two flat F32 arenas, values and gradients; and in
 * {@link Precision#BF16} a third one, the values rounded to BF16.
 *
 * <p>Optimizers, averages and norms run over the arenas in one pass. Slices start at multiples of
 * 64 elements; the padding between them is 0 in both arenas and stays 0.
 */
public final class Params implements AutoCloseable {
  private final List<Parameter> list;
  private final Map<String, Parameter> byName = new LinkedHashMap<>();
  private final Buffer values;
  private final Buffer gradients;

  /** The values in BF16, or null. */
  private Buffer rounded;

  /** Collects what a network needs before its arenas are made. */
  public static final class Builder {
    private record Entry(String name, Shape shape, Init init) {}

    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private Builder() {}

    /**
     * Declares a parameter.
     *
     * @throws IllegalArgumentException if the name is taken
     */
    public Builder add(String name, Shape shape, Init init) {
      if (entries.putIfAbsent(name, new Entry(name, shape, init)) != null) {
        throw new IllegalArgumentException("params: there are two parameters named " + name);
      }
      return this;
    }

    /**
     * Makes the arenas. The initial values of a parameter depend on the generator's stream and the
     * parameter's name, not on what other parameters there are.
     */
    public Params build(Device device, Rng rng) {
      List<String> names = new ArrayList<>();
      List<Shape> shapes = new ArrayList<>();
      for (Entry e : entries.values()) {
        names.add(e.name);
        shapes.add(e.shape);
      }
      Params params = new Params(device, names, shapes);
      for (Parameter p : params.list) {
        float[] host = new float[p.value().size()];
        Entry e = entries.get(p.name());
        e.init.fill(host, e.shape, rng.split(hash(e.name)));
        p.value().buffer().upload(host, 0);
      }
      params.touch();
      return params;
    }

    /** FNV-1a, 64 bits. */
    private static long hash(String name) {
      long h = 0xcbf29ce484222325L;
      for (byte b : name.getBytes(StandardCharsets.UTF_8)) {
        h = (h ^ (b & 0xff)) * 0x100000001b3L;
      }
      return h;
    }
  }

  public static Builder builder() {
    return new Builder();
  }

  private Params(Device device, List<String> names, List<Shape> shapes) {
    long length = 0;
    for (Shape s : shapes) {
      length += aligned(s.size());
    }
    if (length > Integer.MAX_VALUE - 64) {
      throw new IllegalArgumentException("params: " + length + " values do not fit one arena");
    }
    values = arena(device, DType.F32, (int) length);
    gradients = arena(device, DType.F32, (int) length);
    list = new ArrayList<>();
    int at = 0;
    for (int i = 0; i < names.size(); i++) {
      int size = shapes.get(i).size();
      Tensor value = new Tensor(values.slice(at, size), shapes.get(i));
      Tensor gradient = new Tensor(gradients.slice(at, size), shapes.get(i));
      Parameter p = new Parameter(names.get(i), value, gradient);
      list.add(p);
      byName.put(p.name(), p);
      at += aligned(size);
    }
  }

  private static int aligned(int size) {
    int a = Buffer.SLICE_ALIGNMENT;
    return (size + a - 1) / a * a;
  }

  /** A buffer of zeros that no scope closes. */
  static Buffer arena(Device device, DType type, int length) {
    Buffer buffer = device.allocate(type, length);
    // A held buffer outlives every scope; only close() gives it back.
    buffer.hold();
    device.execute(new Fill(0f, buffer));
    return buffer;
  }

  /** The parameters in the order in which they were declared. */
  public List<Parameter> list() {
    return Collections.unmodifiableList(list);
  }

  /**
   * The parameter of this name.
   *
   * @throws IllegalArgumentException if there is none
   */
  public Parameter get(String name) {
    Parameter p = byName.get(name);
    if (p == null) {
      throw new IllegalArgumentException("params: there is no parameter named " + name);
    }
    return p;
  }

  public boolean has(String name) {
    return byName.containsKey(name);
  }

  /** How many numbers the parameters are, without padding. */
  public long count() {
    return list.stream().mapToLong(p -> p.value().size()).sum();
  }

  public Device device() {
    return values.device();
  }

  /** All values, with the padding between the parameters. */
  public Buffer values() {
    return values;
  }

  /** All gradients, laid out as the values are. */
  public Buffer gradients() {
    return gradients;
  }

  /** The values rounded to BF16, laid out as they are, or null in F32; an optimizer renews them. */
  public Buffer rounded() {
    return rounded;
  }

  /** What operations on these parameters compute in. */
  public Precision precision() {
    return rounded == null ? Precision.F32 : Precision.BF16;
  }

  /** Keeps, or no longer keeps, the values in BF16 beside those in F32. */
  public void setPrecision(Precision precision) {
    if (precision == precision()) {
      return;
    }
    if (precision == Precision.F32) {
      rounded.close();
      rounded = null;
      list.forEach(p -> p.setRounded(null));
      return;
    }
    rounded = arena(device(), DType.BF16, values.length());
    Map<String, Tensor> copies = viewsOf(rounded);
    list.forEach(p -> p.setRounded(copies.get(p.name())));
    round();
  }

  private void round() {
    if (rounded != null) {
      device().execute(new Cast(values, rounded));
    }
  }

  /**
   * Says that the values stay as they are until the next {@link #touch}, which every optimizer,
   * average and reader of files calls: convolutions then keep their transformed weights, about four
   * times the size of the values, in place of making them anew in each call.
   */
  public void freeze() {
    values.freeze();
  }

  /** Says that values were written; whoever writes through a buffer or a tensor calls it. */
  public void touch() {
    values.changed();
    round();
  }

  /** Sets all gradients to 0. */
  public void zeroGradients() {
    device().execute(new Fill(0f, gradients));
  }

  /** Takes over the values of another network's parameters of the same names and shapes. */
  public void copyFrom(Params other) {
    checkSame(other);
    device().execute(new Copy(other.values, values));
    touch();
  }

  /**
   * Takes over the values of another network's parameters, each of which this one must have too;
   * what it has besides stays as it is.
   */
  public void copyNamed(Params other) {
    for (Parameter p : other.list) {
      get(p.name()).value().copyFrom(p.value());
    }
    touch();
  }

  /** New parameters of the same names, shapes and values, with gradients 0. */
  public Params copy() {
    List<String> names = list.stream().map(Parameter::name).toList();
    List<Shape> shapes = list.stream().map(p -> p.value().shape()).toList();
    Params copy = new Params(device(), names, shapes);
    copy.copyFrom(this);
    return copy;
  }

  /** Writes √(Σ g²) over all gradients into a buffer of one element. */
  public void globalNorm(Buffer result) {
    device().execute(new GlobalNorm(gradients, result));
  }

  /** √(Σ g²) over all gradients, for which the host waits. */
  public float globalNorm() {
    Buffer result = device().allocate(DType.F32, 1);
    try {
      globalNorm(result);
      float[] host = new float[1];
      result.download(host, 0);
      return host[0];
    } finally {
      result.close();
    }
  }

  /**
   * Another F32 arena laid out as the values are, zero, that lives until it is closed: moments of
   * an optimizer, a moving average.
   */
  public Buffer newArena() {
    return arena(device(), DType.F32, values.length());
  }

  /** A tensor over each parameter's part of an arena that is laid out as the values are. */
  public Map<String, Tensor> viewsOf(Buffer arena) {
    Map<String, Tensor> views = new LinkedHashMap<>();
    for (Parameter p : list) {
      int from = p.value().buffer().offset() - values.offset();
      views.put(p.name(), new Tensor(arena.slice(from, p.value().size()), p.value().shape()));
    }
    return views;
  }

  /** Throws unless the other parameters have the same names and shapes in the same order. */
  public void checkSame(Params other) {
    if (other.list.size() != list.size()) {
      throw new IllegalArgumentException(
          "params: " + other.list.size() + " parameters against " + list.size());
    }
    for (int i = 0; i < list.size(); i++) {
      Parameter a = list.get(i);
      Parameter b = other.list.get(i);
      if (!a.name().equals(b.name()) || !a.value().shape().equals(b.value().shape())) {
        throw new IllegalArgumentException("params: " + b + " where " + a + " is expected");
      }
    }
  }

  /** Gives the arenas back. */
  @Override
  public void close() {
    values.close();
    gradients.close();
    if (rounded != null) {
      rounded.close();
    }
  }
}
