package dev.limbeck.tensor;

import dev.limbeck.kernels.Json;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Collects named tensors and strings, then writes them as one safetensors file.
 *
 * <p>Nothing is copied before {@link #write}: arrays and tensors must stay unchanged until then.
 */
public final class TensorFileWriter {
  /** Elements converted at a time. */
  private static final int BLOCK = 1 << 16;

  private record Item(String name, TensorFile.Type type, Shape shape, Object values) {
    long bytes() {
      return (long) shape.size() * type.bytes();
    }
  }

  private final Map<String, Item> items = new LinkedHashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();

  TensorFileWriter() {}

  /** Adds an F32 or I32 tensor. */
  public TensorFileWriter add(String name, Tensor tensor) {
    TensorFile.Type type =
        switch (tensor.type()) {
          case F32 -> TensorFile.Type.F32;
          case I32 -> TensorFile.Type.I32;
          case BF16 ->
              throw new IllegalArgumentException(name + ": BF16 tensors are not written to files");
        };
    return add(new Item(name, type, tensor.shape(), tensor));
  }

  /** Adds F32 numbers from a host array. */
  public TensorFileWriter add(String name, Shape shape, float[] values) {
    return add(new Item(name, TensorFile.Type.F32, checked(name, shape, values.length), values));
  }

  /** Adds I32 numbers from a host array. */
  public TensorFileWriter add(String name, Shape shape, int[] values) {
    return add(new Item(name, TensorFile.Type.I32, checked(name, shape, values.length), values));
  }

  /** Adds I64 numbers from a host array. */
  public TensorFileWriter add(String name, Shape shape, long[] values) {
    return add(new Item(name, TensorFile.Type.I64, checked(name, shape, values.length), values));
  }

  private static Shape checked(String name, Shape shape, int length) {
    if (shape.size() != length) {
      throw new ShapeException(name + ": " + length + " values given for shape " + shape);
    }
    return shape;
  }

  private TensorFileWriter add(Item item) {
    if (items.putIfAbsent(item.name(), item) != null) {
      throw new IllegalArgumentException("the tensor \"" + item.name() + "\" was added before");
    }
    return this;
  }

  /** Stores a string beside the tensors. */
  public TensorFileWriter metadata(String key, String value) {
    metadata.put(key, value);
    return this;
  }

  /**
   * Writes everything to a temporary file beside {@code path} and renames it, so that a reader sees
   * the old contents or the new, and a failure leaves the old.
   *
   * @throws TensorFileException if the directory is missing or not writable, or the disk is full
   */
  public void write(Path path) throws TensorFileException {
    Path target = path.toAbsolutePath();
    if (Files.isDirectory(target)) {
      throw new TensorFileException(path + ": cannot be written: it is a directory");
    }
    if (!Files.isDirectory(target.getParent())) {
      throw new TensorFileException(
          path + ": cannot be written: there is no directory " + target.getParent());
    }
    // Not Files.createTempFile, which would hide the result from other users.
    Path temporary =
        target.resolveSibling(
            "." + target.getFileName() + "." + ProcessHandle.current().pid() + ".tmp");
    try {
      try (FileChannel channel =
          FileChannel.open(
              temporary,
              StandardOpenOption.WRITE,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING)) {
        writeTo(channel);
        // Without this a crash of the machine may leave an empty file under the final name.
        channel.force(true);
      }
      Files.move(
          temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new TensorFileException(path + ": cannot be written (" + TensorFile.reason(e) + ")", e);
    } finally {
      delete(temporary);
    }
  }

  private static void delete(Path temporary) {
    try {
      Files.deleteIfExists(temporary);
    } catch (IOException e) {
      // The reason why writing failed is the error to report.
    }
  }

  private void writeTo(FileChannel channel) throws IOException {
    List<Item> sorted = new ArrayList<>(items.values());
    // Wide elements first, so that every tensor starts at a multiple of its element size.
    sorted.sort(Comparator.comparingInt((Item item) -> -item.type().bytes()));
    byte[] header = header(sorted);
    ByteBuffer out = ByteBuffer.allocate(8 * BLOCK).order(ByteOrder.LITTLE_ENDIAN);
    writeAll(channel, out.putLong(header.length));
    writeAll(channel, ByteBuffer.wrap(header).position(header.length));
    for (Item item : sorted) {
      write(channel, out, item);
    }
  }

  private byte[] header(List<Item> sorted) {
    Map<String, Object> fields = new LinkedHashMap<>();
    if (!metadata.isEmpty()) {
      fields.put("__metadata__", metadata);
    }
    long at = 0;
    for (Item item : sorted) {
      Map<String, Object> entry = new LinkedHashMap<>();
      entry.put("dtype", item.type());
      entry.put("shape", item.shape().toArray());
      entry.put("data_offsets", List.of(at, at + item.bytes()));
      fields.put(item.name(), entry);
      at += item.bytes();
    }
    String text = Json.write(fields);
    int length = text.getBytes(StandardCharsets.UTF_8).length;
    // Spaces up to a multiple of 8 keep the numbers aligned in a mapping of the whole file.
    return (text + " ".repeat((8 - length % 8) % 8)).getBytes(StandardCharsets.UTF_8);
  }

  private static void write(FileChannel channel, ByteBuffer out, Item item) throws IOException {
    Object values = item.values();
    if (values instanceof Tensor t) {
      values = item.type() == TensorFile.Type.F32 ? t.toFloats() : t.toInts();
    }
    int size = item.shape().size();
    for (int from = 0; from < size; from += BLOCK) {
      int count = Math.min(BLOCK, size - from);
      out.clear();
      if (values instanceof float[] floats) {
        out.asFloatBuffer().put(floats, from, count);
      } else if (values instanceof int[] ints) {
        out.asIntBuffer().put(ints, from, count);
      } else {
        out.asLongBuffer().put((long[]) values, from, count);
      }
      writeAll(channel, out.position(count * item.type().bytes()));
    }
  }

  /** Writes what lies before the position, and clears. */
  private static void writeAll(FileChannel channel, ByteBuffer out) throws IOException {
    out.flip();
    while (out.hasRemaining()) {
      channel.write(out);
    }
    out.clear();
  }
}
