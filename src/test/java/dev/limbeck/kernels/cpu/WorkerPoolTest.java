package dev.limbeck.kernels.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;

class WorkerPoolTest {
  @Test
  void everyChunkRunsOnceAlsoAfterTheWorkersParked() {
    try (WorkerPool pool = new WorkerPool(3, false)) {
      for (int round = 0; round < 300; round++) {
        int count = round % 17;
        AtomicIntegerArray runs = new AtomicIntegerArray(17);
        pool.chunks(count, runs::incrementAndGet);
        for (int i = 0; i < 17; i++) {
          assertEquals(i < count ? 1 : 0, runs.get(i));
        }
        if (round % 100 == 99) {
          LockSupport.parkNanos(2_000_000);
        }
      }
    }
  }

  @Test
  void aFailureReachesTheCallerAndThePoolLivesOn() {
    try (WorkerPool pool = new WorkerPool(2, false)) {
      for (int i = 0; i < 20; i++) {
        assertThrows(
            IllegalStateException.class,
            () ->
                pool.chunks(
                    8,
                    chunk -> {
                      throw new IllegalStateException("chunk " + chunk);
                    }));
        AtomicInteger sum = new AtomicInteger();
        pool.chunks(8, sum::addAndGet);
        assertEquals(28, sum.get());
      }
    }
  }

  @Test
  void loopsNestAndManyThreadsMayLaunch() throws InterruptedException {
    try (WorkerPool pool = new WorkerPool(2, false)) {
      AtomicInteger count = new AtomicInteger();
      List<Thread> callers = new ArrayList<>();
      for (int t = 0; t < 3; t++) {
        Thread caller =
            new Thread(
                () -> {
                  for (int i = 0; i < 50; i++) {
                    pool.chunks(5, c -> pool.chunks(4, d -> count.incrementAndGet()));
                  }
                });
        caller.start();
        callers.add(caller);
      }
      for (Thread caller : callers) {
        caller.join();
      }
      assertEquals(3 * 50 * 20, count.get());
    }
  }
}
