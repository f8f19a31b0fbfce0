package dev.limbeck.kernels.cuda;

import java.nio.ByteBuffer;
import jcuda.Pointer;

/**
 * The arguments of one launch, in memory that every launch uses again: eight bytes for each, and
 * before them their addresses, as cuLaunchKernel wants them.
 */
final class Arguments implements AutoCloseable {
  private static final int MOST = 64;

  private final Pinned memory = new Pinned(2 * MOST * Long.BYTES);
  private final ByteBuffer bytes = memory.bytes();
  private final Pointer pointers = memory.at(0);
  private final char[] types = new char[MOST];
  private int count;

  Arguments() {
    for (int i = 0; i < MOST; i++) {
      bytes.putLong(i * Long.BYTES, memory.address() + (long) (MOST + i) * Long.BYTES);
    }
  }

  void clear() {
    count = 0;
  }

  private int next(char type) {
    if (count == MOST) {
      throw new IllegalStateException("a kernel takes at most " + MOST + " arguments");
    }
    types[count] = type;
    int at = (MOST + count) * Long.BYTES;
    count++;
    bytes.putLong(at, 0);
    return at;
  }

  void i32(int value) {
    bytes.putInt(next('i'), value);
  }

  void i64(long value) {
    bytes.putLong(next('l'), value);
  }

  void f32(float value) {
    bytes.putFloat(next('f'), value);
  }

  int count() {
    return count;
  }

  /** All eight bytes of an argument. */
  long word(int i) {
    return bytes.getLong((MOST + i) * Long.BYTES);
  }

  Pointer pointers() {
    return pointers;
  }

  /** Refuses arguments that are not what the function takes. */
  void check(Modules.Function function) {
    boolean same = count == function.parameters.length();
    for (int i = 0; same && i < count; i++) {
      same = types[i] == function.parameters.charAt(i);
    }
    if (!same) {
      throw new IllegalArgumentException(
          function.symbol
              + " takes ("
              + function.parameters
              + "), not ("
              + new String(types, 0, count)
              + "); i is 32 bits, l is 64 bits or a pointer, f is a float");
    }
  }

  @Override
  public void close() {
    memory.close();
  }
}
