package dev.limbeck.kernels;

import dev.limbeck.kernels.Ranges.Chunk;
import dev.limbeck.kernels.Ranges.Range;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;

/**
 * Calls the body of a loop so that the JIT compiles it apart from whoever calls it.
 *
 * <p>C2 inlines no deeper than 15 calls. A Vector API operation is up to nine deep by itself; where
 * a body is compiled as part of its callers, the operations in its helpers lie beyond that limit,
 * their vectors end on the heap, and the loop takes thirty times as long, from one moment to the
 * next, some thousands of calls into the run. A call through a method handle that is no constant is
 * never inlined, and takes some nanoseconds.
 */
public final class Apart {
  // Not final: a constant handle would be inlined.
  private static MethodHandle range = find(Range.class, int.class, int.class);
  private static MethodHandle chunk = find(Chunk.class, int.class);

  private Apart() {}

  private static MethodHandle find(Class<?> type, Class<?>... parameters) {
    try {
      MethodType signature = MethodType.methodType(void.class, parameters);
      return MethodHandles.lookup().findVirtual(type, "run", signature);
    } catch (ReflectiveOperationException e) {
      throw new AssertionError(e);
    }
  }

  /** As {@code body.run(from, to)}. */
  static void run(Range body, int from, int to) {
    try {
      range.invokeExact(body, from, to);
    } catch (Throwable t) {
      throw Apart.<RuntimeException>unchecked(t);
    }
  }

  /** As {@code body.run(index)}. */
  public static void run(Chunk body, int index) {
    try {
      chunk.invokeExact(body, index);
    } catch (Throwable t) {
      throw Apart.<RuntimeException>unchecked(t);
    }
  }

  /** Whatever a body throws, as it is. */
  @SuppressWarnings("unchecked")
  private static <T extends Throwable> RuntimeException unchecked(Throwable t) throws T {
    throw (T) t;
  }
}
