package dev.limbeck.kernels.cpu;

import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Ranges;
import java.lang.reflect.Array;
import java.util.ArrayDeque;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Map;

/**
 * Arrays kept for the next request of the same size class, so that a steady training step leaves
 * nothing to the garbage collector.
 *
 * <p>Size classes are eighths of powers of two: at most an eighth of an array is unused. Every
 * array is longer than its class by {@link #lead}, so that contents can start on a cache line.
 */
final class ArrayPool {
  private final Map<DType, Map<Integer, ArrayDeque<Object>>> free = new EnumMap<>(DType.class);

  ArrayPool() {
    for (DType type : DType.values()) {
      free.put(type, new HashMap<>());
    }
  }

  synchronized Object take(DType type, int length) {
    int size = sizeClass(length);
    ArrayDeque<Object> ready = free.get(type).get(size);
    if (ready != null && !ready.isEmpty()) {
      return ready.pop();
    }
    int whole = size + lead(type);
    return switch (type) {
      case F32 -> new float[whole];
      case BF16 -> new short[whole];
      case I32 -> new int[whole];
    };
  }

  synchronized void give(DType type, Object array) {
    int size = Array.getLength(array) - lead(type);
    free.get(type).computeIfAbsent(size, s -> new ArrayDeque<>()).push(array);
  }

  synchronized void clear() {
    free.values().forEach(Map::clear);
  }

  /** Elements before an array's first whole cache line; see {@link Ranges#LEAD}. */
  static int lead(DType type) {
    return Ranges.LEAD * DType.F32.bytes() / type.bytes();
  }

  static int sizeClass(int length) {
    if (length <= 64) {
      return 64;
    }
    int step = Math.max(64, Integer.highestOneBit(length - 1) >> 3);
    long rounded = ((long) length + step - 1) / step * step;
    return (int) Math.min(rounded, Integer.MAX_VALUE - 64);
  }
}
