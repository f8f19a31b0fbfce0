package dev.limbeck.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.limbeck.kernels.Scope;
import dev.limbeck.tensor.Rng;
import dev.limbeck.tensor.Shape;
import dev.limbeck.tensor.Tensor;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

/** Loops over vectors stay fast when everything around them has become hot too. */
class CompiledApartTest {
  /** Calls after which the JIT has inlined a launch into its callers, if it ever does. */
  private static final int WARM_UP = 30_000;

  private static final int WINDOWS = 20;
  private static final int CALLS = 50;

  /**
   * The handful of objects that a launch makes take 328 bytes. One box for each of the 2,048
   * vectors of a call would take 130,000; it was 1,770,000 where launches were compiled as a whole.
   */
  private static final long BYTES_PER_CALL = 10_000;

  @Test
  void vectorsStayInRegistersHoweverHotTheCallersAre() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (CpuDevice device = CpuDevice.open(true, 1);
        Scope scope = Scope.open()) {
      Tensor x = Rng.of(1).normal(device, Shape.of(256, 128));
      run(x, WARM_UP);
      long least = Long.MAX_VALUE;
      for (int i = 0; i < WINDOWS; i++) {
        long before = threads.getThreadAllocatedBytes(Thread.currentThread().getId());
        run(x, CALLS);
        long after = threads.getThreadAllocatedBytes(Thread.currentThread().getId());
        least = Math.min(least, (after - before) / CALLS);
      }
      assertTrue(least < BYTES_PER_CALL, least + " bytes in a call");
    }
  }

  private static void run(Tensor x, int calls) {
    for (int i = 0; i < calls; i++) {
      x.silu().close();
    }
  }

  @Test
  void whatABodyThrowsIsThrown() {
    try (WorkerPool pool = new WorkerPool(1, true)) {
      Error error = new StackOverflowError();
      RuntimeException wrong = new IllegalStateException("wrong");
      assertSame(
          error,
          assertThrows(
              StackOverflowError.class,
              () ->
                  pool.chunks(
                      2,
                      i -> {
                        throw error;
                      })));
      assertSame(
          wrong,
          assertThrows(
              IllegalStateException.class,
              () ->
                  pool.split(
                      9,
                      9,
                      (from, to) -> {
                        throw wrong;
                      })));
    }
  }
}
