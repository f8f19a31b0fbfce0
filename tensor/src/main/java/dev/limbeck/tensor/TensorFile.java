package dev.limbeck.tensor;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A safetensors file, memory-mapped: eight bytes of header length (little endian), a JSON header
 * with each tensor's type, shape and byte range, then the numbers.
 *
 * <p>Everything the header says is checked when the file is opened: types and shapes are known and
 * agree with the byte ranges, the ranges follow one another without overlap or hole and end where
 * the file ends. Files are written by {@link #writer()}.
 *
 * @unit half-precision and double numbers are read as F32, all integers as I32
 */
public final class TensorFile implements AutoCloseable {
  /** The format's own bound. */
  private static final long MAX_HEADER = 100_000_000;

  /** The element types of the format that are understood. */
  public enum Type {
    F64(8),
    F32(4),
    F16(2),
    BF16(2),
    I64(8),
    I32(4),
    I16(2),
    I8(1),
    U8(1),
    BOOL(1);

    private final int bytes;

    Type(int bytes) {
      this.bytes = bytes;
    }

    /** Bytes of one element. */
    public int bytes() {
      return bytes;
    }

    /** True for the types that {@link #floats(String)} reads. */
    public boolean isReal() {
      return this == F64 || this == F32 || this == F16 || this == BF16;
    }
  }

  /** One tensor of the file; {@code from} and {@code to} count bytes from the file's start. */
  public record Entry(String name, Type type, Shape shape, long from, long to) {}

  private final Path path;
  private final FileChannel channel;
  private final Map<String, Entry> entries;
  private final Map<String, String> metadata;

  private TensorFile(
      Path path, FileChannel channel, Map<String, Entry> entries, Map<String, String> metadata) {
    this.path = path;
    this.channel = channel;
    this.entries = entries;
    this.metadata = metadata;
  }

  /** A new file to be filled and written at once. */
  public static TensorFileWriter writer() {
    return new TensorFileWriter();
  }

  /** Writes tensors (F32 and I32) atomically; see {@link TensorFileWriter#write}. */
  public static void write(Path path, Map<String, Tensor> tensors, Map<String, String> metadata)
      throws TensorFileException {
    TensorFileWriter writer = writer();
    tensors.forEach(writer::add);
    metadata.forEach(writer::metadata);
    writer.write(path);
  }

  /**
   * Opens a file and checks its header.
   *
   * @throws TensorFileException if the file is missing, unreadable or not a sound safetensors file
   */
  public static TensorFile open(Path path) throws TensorFileException {
    if (!Files.exists(path)) {
      throw new TensorFileException(path + ": there is no such file");
    }
    if (Files.isDirectory(path)) {
      throw new TensorFileException(path + ": is a directory, not a tensor file");
    }
    FileChannel channel = null;
    try {
      channel = FileChannel.open(path, StandardOpenOption.READ);
      TensorFile file = read(path, channel);
      channel = null;
      return file;
    } catch (TensorFileException e) {
      throw e;
    } catch (IOException e) {
      throw new TensorFileException(path + ": cannot be read (" + reason(e) + ")", e);
    } finally {
      closeQuietly(channel);
    }
  }

  static String reason(IOException e) {
    if (e instanceof java.nio.file.AccessDeniedException) {
      return "permission denied";
    }
    if (e instanceof java.nio.file.FileSystemException f && f.getReason() != null) {
      return f.getReason();
    }
    return e.getMessage();
  }

  private static void closeQuietly(FileChannel channel) {
    if (channel != null) {
      try {
        channel.close();
      } catch (IOException e) {
        // The file was only read: there is nothing to lose, and a better error is under way.
      }
    }
  }

  // ---- the header ----

  private static TensorFile read(Path path, FileChannel channel) throws IOException {
    long size = channel.size();
    if (size < 8) {
      throw new TensorFileException(
          path + ": is no safetensors file: it has only " + size + " bytes");
    }
    long length =
        channel.map(FileChannel.MapMode.READ_ONLY, 0, 8).order(ByteOrder.LITTLE_ENDIAN).getLong();
    if (length < 2 || length > MAX_HEADER) {
      throw new TensorFileException(
          path + ": is no safetensors file: its header claims to be " + length + " bytes long");
    }
    if (length > size - 8) {
      throw new TensorFileException(
          path
              + ": is truncated: its header needs "
              + length
              + " bytes, the file has "
              + (size - 8)
              + " after the length");
    }
    ByteBuffer bytes = channel.map(FileChannel.MapMode.READ_ONLY, 8, length);
    Map<String, Entry> entries = new LinkedHashMap<>();
    Map<String, String> metadata = new LinkedHashMap<>();
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
      for (Map.Entry<String, Object> field : Json.parseObject(text).entrySet()) {
        if (field.getKey().equals("__metadata__")) {
          Json.object(field.getValue(), "__metadata__")
              .forEach((k, v) -> metadata.put(k, metadataText(k, v)));
        } else {
          entries.put(field.getKey(), entry(field.getKey(), field.getValue(), 8 + length, size));
        }
      }
      checkRanges(entries, 8 + length, size);
    } catch (CharacterCodingException e) {
      throw new TensorFileException(path + ": its header is not UTF-8 text", e);
    } catch (IllegalArgumentException e) {
      throw new TensorFileException(path + ": " + e.getMessage(), e);
    }
    return new TensorFile(
        path, channel, Collections.unmodifiableMap(entries), Collections.unmodifiableMap(metadata));
  }

  private static String metadataText(String key, Object value) {
    if (value instanceof String s) {
      return s;
    }
    throw new IllegalArgumentException("metadata \"" + key + "\" is not a string");
  }

  private static Entry entry(String name, Object value, long base, long size) {
    String what = "tensor \"" + name + "\"";
    Map<String, Object> fields = Json.object(value, what);
    Type type = type(fields.get("dtype"), what);
    List<?> sizes = Json.list(fields.get("shape"), what + ": shape");
    int[] shape = new int[sizes.size()];
    for (int i = 0; i < shape.length; i++) {
      shape[i] = (int) natural(sizes.get(i), Integer.MAX_VALUE, what + ": shape");
    }
    List<?> offsets = Json.list(fields.get("data_offsets"), what + ": data_offsets");
    if (offsets.size() != 2) {
      throw new IllegalArgumentException(what + ": data_offsets must be two numbers");
    }
    long from = natural(offsets.get(0), Long.MAX_VALUE, what + ": data_offsets");
    long to = natural(offsets.get(1), Long.MAX_VALUE, what + ": data_offsets");
    long available = size - base;
    if (from > to || to > available) {
      throw new IllegalArgumentException(
          what
              + " lies at bytes "
              + from
              + " to "
              + to
              + ", outside the file's "
              + available
              + " bytes of data: the file is truncated or damaged");
    }
    Shape checked;
    try {
      checked = Shape.of(shape);
    } catch (ArithmeticException | ShapeException e) {
      throw new IllegalArgumentException(what + ": shape " + sizes + " has too many elements", e);
    }
    if ((long) checked.size() * type.bytes() != to - from) {
      throw new IllegalArgumentException(
          what
              + " of "
              + type
              + " "
              + checked
              + " takes "
              + (long) checked.size() * type.bytes()
              + " bytes, the file gives it "
              + (to - from));
    }
    return new Entry(name, type, checked, base + from, base + to);
  }

  private static Type type(Object value, String what) {
    for (Type type : Type.values()) {
      if (type.name().equals(value)) {
        return type;
      }
    }
    throw new IllegalArgumentException(
        what + " has type " + value + "; known are " + List.of(Type.values()));
  }

  private static long natural(Object value, long most, String what) {
    if (value instanceof Long n && n >= 0 && n <= most) {
      return n;
    }
    throw new IllegalArgumentException(what + " holds " + value + ", not a number of elements");
  }

  private static void checkRanges(Map<String, Entry> entries, long base, long size) {
    List<Entry> sorted = new ArrayList<>(entries.values());
    sorted.sort(Comparator.comparingLong(Entry::from).thenComparingLong(Entry::to));
    long end = base;
    String last = "the header";
    for (Entry e : sorted) {
      if (e.from() < end) {
        throw new IllegalArgumentException(
            "tensors \"" + last + "\" and \"" + e.name() + "\" overlap");
      }
      if (e.from() > end) {
        throw new IllegalArgumentException(
            (e.from() - end) + " bytes before tensor \"" + e.name() + "\" belong to no tensor");
      }
      end = e.to();
      last = e.name();
    }
    if (end != size) {
      throw new IllegalArgumentException(
          (size - end) + " bytes at the end belong to no tensor: the file is damaged");
    }
  }

  // ---- contents ----

  public Path path() {
    return path;
  }

  /** The strings stored beside the tensors. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** The tensors' names, in the header's order. */
  public Set<String> names() {
    return entries.keySet();
  }

  public boolean contains(String name) {
    return entries.containsKey(name);
  }

  /**
   * What the header says of a tensor.
   *
   * @throws TensorFileException if there is none of that name
   */
  public Entry entry(String name) throws TensorFileException {
    Entry entry = entries.get(name);
    if (entry == null) {
      throw new TensorFileException(path + ": has no tensor \"" + name + "\"");
    }
    return entry;
  }

  public Shape shape(String name) throws TensorFileException {
    return entry(name).shape();
  }

  /** A tensor on a device: F32 for the real types, I32 for the integers. */
  public Tensor read(String name, Device device) throws TensorFileException {
    Entry entry = entry(name);
    return entry.type().isReal()
        ? Tensor.of(device, entry.shape(), floats(name))
        : Tensor.of(device, entry.shape(), ints(name));
  }

  /** The elements of a tensor of a real type. */
  public float[] floats(String name) throws TensorFileException {
    Entry entry = entry(name);
    float[] values = new float[entry.shape().size()];
    ByteBuffer b = map(entry);
    switch (entry.type()) {
      case F32 -> b.asFloatBuffer().get(values);
      case F64 -> {
        for (int i = 0; i < values.length; i++) {
          values[i] = (float) b.getDouble(8 * i);
        }
      }
      case F16 -> {
        for (int i = 0; i < values.length; i++) {
          values[i] = halfToFloat(b.getShort(2 * i));
        }
      }
      case BF16 -> {
        for (int i = 0; i < values.length; i++) {
          values[i] = Float.intBitsToFloat(b.getShort(2 * i) << 16);
        }
      }
      default -> throw wrongType(entry, "real numbers");
    }
    return values;
  }

  /** The elements of a tensor of an integer type. */
  public int[] ints(String name) throws TensorFileException {
    Entry entry = entry(name);
    int[] values = new int[entry.shape().size()];
    ByteBuffer b = map(entry);
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (entry.type()) {
            case I64 -> intOf(entry, b.getLong(8 * i));
            case I32 -> b.getInt(4 * i);
            case I16 -> b.getShort(2 * i);
            case I8 -> b.get(i);
            case U8, BOOL -> b.get(i) & 0xff;
            default -> throw wrongType(entry, "integers");
          };
    }
    return values;
  }

  /** The elements of an I64 tensor. */
  public long[] longs(String name) throws TensorFileException {
    Entry entry = entry(name);
    if (entry.type() != Type.I64) {
      throw wrongType(entry, "I64");
    }
    long[] values = new long[entry.shape().size()];
    map(entry).asLongBuffer().get(values);
    return values;
  }

  private int intOf(Entry entry, long value) throws TensorFileException {
    if (value != (int) value) {
      throw new TensorFileException(
          path + ": tensor \"" + entry.name() + "\" holds " + value + ", which needs 64 bits");
    }
    return (int) value;
  }

  private TensorFileException wrongType(Entry entry, String wanted) {
    return new TensorFileException(
        path + ": tensor \"" + entry.name() + "\" is " + entry.type() + ", expected " + wanted);
  }

  private ByteBuffer map(Entry entry) throws TensorFileException {
    long length = entry.to() - entry.from();
    if (length > Integer.MAX_VALUE) {
      throw new TensorFileException(
          path + ": tensor \"" + entry.name() + "\" has " + length + " bytes; 2 GiB is the most");
    }
    try {
      return channel
          .map(FileChannel.MapMode.READ_ONLY, entry.from(), length)
          .order(ByteOrder.LITTLE_ENDIAN);
    } catch (IOException e) {
      throw new TensorFileException(path + ": cannot be read (" + reason(e) + ")", e);
    }
  }

  /** IEEE-754 binary16 to binary32, exactly. */
  static float halfToFloat(short half) {
    int sign = (half & 0x8000) << 16;
    int exponent = (half >> 10) & 31;
    int fraction = half & 0x3ff;
    if (exponent == 31) {
      return Float.intBitsToFloat(sign | 0x7f800000 | fraction << 13);
    }
    if (exponent == 0) {
      // A subnormal: fraction · 2⁻²⁴.
      float magnitude = fraction * 0x1p-24f;
      return sign != 0 ? -magnitude : magnitude;
    }
    return Float.intBitsToFloat(sign | (exponent + 112) << 23 | fraction << 13);
  }

  /** Closes the file; arrays and tensors read from it stay valid. */
  @Override
  public void close() {
    closeQuietly(channel);
  }
}
