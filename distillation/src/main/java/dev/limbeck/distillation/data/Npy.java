package dev.limbeck.distillation.data;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * NumPy's array files: {@code \x93NUMPY}, version, header length, a Python dictionary that names
 * type, order and shape, then the values.
 */
public final class Npy {
  private static final byte[] MAGIC = {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y'};
  private static final int LONGEST_HEADER = 1 << 16;
  private static final Pattern TYPE = Pattern.compile("'descr'\\s*:\\s*'([<>|=]?[a-z]\\d+)'");
  private static final Pattern ORDER = Pattern.compile("'fortran_order'\\s*:\\s*(True|False)");
  private static final Pattern SHAPE = Pattern.compile("'shape'\\s*:\\s*\\(([\\d\\s,]*)\\)");
  private static final String READABLE = "u1 i1 b1 i2 u2 i4 i8 f2 f4 f8";

  private Npy() {}

  /**
   * One array as it stands in a file.
   *
   * @param type NumPy's kind and size, as in {@code f4}
   */
  record Array(String type, int[] shape, ByteBuffer values) {
    int count() {
      return values.capacity() / bytes(type);
    }

    boolean isBytes() {
      return type.equals("u1");
    }

    double get(int i) {
      return switch (type) {
        case "u1" -> values.get(i) & 0xff;
        case "i1", "b1" -> values.get(i);
        case "i2" -> values.getShort(2 * i);
        case "u2" -> values.getShort(2 * i) & 0xffff;
        case "i4" -> values.getInt(4 * i);
        case "i8" -> values.getLong(8 * i);
        case "f2" -> half(values.getShort(2 * i));
        case "f4" -> values.getFloat(4 * i);
        default -> values.getDouble(8 * i);
      };
    }
  }

  private static int bytes(String type) {
    return type.charAt(1) - '0';
  }

  /** IEEE-754 binary16 to double, exactly. */
  private static double half(short bits) {
    int exponent = bits >> 10 & 31;
    int fraction = bits & 1023;
    double magnitude =
        exponent == 31
            ? (fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN)
            : exponent == 0
                ? Math.scalb((double) fraction, -24)
                : Math.scalb(1024.0 + fraction, exponent - 25);
    return bits < 0 ? -magnitude : magnitude;
  }

  /** Reads one array; {@code name} is for messages. */
  static Array read(String name, InputStream stream) throws IOException {
    DataInputStream in = new DataInputStream(stream);
    String header = header(name, in);
    String descr = find(name, TYPE, header, "type");
    String type = descr.replaceAll("[<>|=]", "");
    if (!Arrays.asList(READABLE.split(" ")).contains(type)) {
      throw new DataException(
          name + ": arrays of type " + descr + " are not read, only " + READABLE);
    }
    int[] shape = shape(name, find(name, SHAPE, header, "shape"));
    long length = bytes(type);
    for (int size : shape) {
      if (size > 0 && length > Integer.MAX_VALUE / size) {
        throw new DataException(
            name + ": an array of shape " + Arrays.toString(shape) + " is too large");
      }
      length *= size;
    }
    if (find(name, ORDER, header, "order").equals("True") && shape.length > 1) {
      throw new DataException(
          name + ": it is stored in Fortran order; save numpy.ascontiguousarray(x) instead");
    }
    byte[] values = in.readNBytes((int) length);
    if (values.length < length) {
      throw new DataException(
          name + ": its header promises " + length + " bytes, the file has " + values.length);
    }
    ByteOrder order = descr.startsWith(">") ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
    return new Array(type, shape, ByteBuffer.wrap(values).order(order));
  }

  private static String header(String name, DataInputStream in) throws IOException {
    byte[] start = in.readNBytes(8);
    if (start.length < 8 || !Arrays.equals(Arrays.copyOf(start, MAGIC.length), MAGIC)) {
      throw new DataException(name + ": this is not a NumPy array");
    }
    try {
      int length = Short.toUnsignedInt(Short.reverseBytes(in.readShort()));
      if (start[6] > 1) {
        length |= Short.toUnsignedInt(Short.reverseBytes(in.readShort())) << 16;
      }
      if (length < 0 || length > LONGEST_HEADER) {
        throw new DataException(name + ": its header is too long");
      }
      byte[] header = new byte[length];
      in.readFully(header);
      return new String(header, StandardCharsets.UTF_8);
    } catch (EOFException e) {
      throw new DataException(name + ": the file is cut short", e);
    }
  }

  private static String find(String name, Pattern pattern, String header, String what) {
    Matcher matcher = pattern.matcher(header);
    if (!matcher.find()) {
      throw new DataException(name + ": its header does not say the array's " + what);
    }
    return matcher.group(1);
  }

  private static int[] shape(String name, String text) {
    String[] parts = text.replace(" ", "").split(",");
    int axes = parts.length == 1 && parts[0].isEmpty() ? 0 : parts.length;
    int[] shape = new int[axes];
    for (int i = 0; i < axes; i++) {
      try {
        shape[i] = Integer.parseInt(parts[i]);
      } catch (NumberFormatException e) {
        throw new DataException(name + ": the shape (" + text + ") cannot be", e);
      }
    }
    return shape;
  }

  // ---- writing ----

  /** Writes an array of F32 as a file of version 1.0. */
  public static void write(Path file, int[] shape, float[] values) {
    SafeFiles.write(file, out -> write(out, shape, values));
  }

  /** Writes an array of I32 as a file of version 1.0. */
  public static void write(Path file, int[] shape, int[] values) {
    SafeFiles.write(
        file,
        out -> {
          out.write(headerOf("<i4", shape));
          ByteBuffer buffer = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN);
          for (int value : values) {
            out.write(buffer.putInt(0, value).array());
          }
        });
  }

  static void write(OutputStream out, int[] shape, float[] values) throws IOException {
    out.write(headerOf("<f4", shape));
    ByteBuffer buffer = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN);
    for (float value : values) {
      out.write(buffer.putFloat(0, value).array());
    }
  }

  private static byte[] headerOf(String type, int[] shape) {
    StringBuilder sizes = new StringBuilder();
    for (int size : shape) {
      sizes.append(size).append(", ");
    }
    String text = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + sizes + "), }";
    // The values start at a multiple of 64 bytes; the header ends with a line feed.
    int length = (MAGIC.length + 4 + text.length() + 1 + 63) / 64 * 64 - MAGIC.length - 4;
    ByteBuffer header =
        ByteBuffer.allocate(MAGIC.length + 4 + length).order(ByteOrder.LITTLE_ENDIAN);
    header.put(MAGIC).put((byte) 1).put((byte) 0).putShort((short) length);
    String padded = text + " ".repeat(length - text.length() - 1) + "\n";
    header.put(padded.getBytes(StandardCharsets.US_ASCII));
    return header.array();
  }
}
