package dev.limbeck.kernels.cpu;

import dev.limbeck.kernels.Apart;
import dev.limbeck.kernels.Ranges;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A fixed set of threads that run a kernel's chunks together with the calling thread.
 *
 * <p>Chunks are claimed one by one from a counter. A second thread that launches a kernel meanwhile
 * (many inference threads, one model) runs its own chunks itself: with every core busy there is
 * nothing to gain from waiting.
 */
final class WorkerPool implements Ranges, AutoCloseable {
  /** How long a worker looks for the next kernel without letting others run. */
  private static final long SPIN_NANOS = 20_000;

  /**
   * How long it looks, giving way to any other thread, before it parks: longer than the usual gap
   * between parallel kernels, because waking a parked thread takes as long as a small kernel.
   */
  private static final long IDLE_NANOS = 300_000;

  /** Rounds that the caller spins for the last chunks before it gives way to their threads. */
  private static final int PATIENCE = 2_000;

  private static final int SLOTS = 16;

  private final boolean simd;
  private final Thread[] workers;
  private final ReentrantLock submission = new ReentrantLock();
  private final ThreadLocal<float[][]> scratch = ThreadLocal.withInitial(() -> new float[SLOTS][]);
  private final AtomicIntegerArray parked;
  private volatile Job job;
  private volatile boolean closed;

  /** One parallel loop; workers that come late find no chunk left. */
  private static final class Job {
    final int count;
    final Chunk body;
    final AtomicInteger next = new AtomicInteger();
    final AtomicInteger done = new AtomicInteger();
    volatile Throwable failure;

    Job(int count, Chunk body) {
      this.count = count;
      this.body = body;
    }

    void work() {
      int finished = 0;
      for (int chunk = next.getAndIncrement(); chunk < count; chunk = next.getAndIncrement()) {
        try {
          Apart.run(body, chunk);
        } catch (Throwable t) {
          failure = t;
        }
        finished++;
      }
      if (finished > 0) {
        done.addAndGet(finished);
      }
    }

    /** On a machine with more threads than cores the last chunk's thread may need this core. */
    void await() {
      for (int round = 0; done.get() < count; round++) {
        if (round < PATIENCE) {
          Thread.onSpinWait();
        } else {
          Thread.yield();
        }
      }
    }
  }

  WorkerPool(int threads, boolean simd) {
    this.simd = simd;
    workers = new Thread[threads - 1];
    parked = new AtomicIntegerArray(threads - 1);
    for (int i = 0; i < workers.length; i++) {
      int index = i;
      workers[i] = new Thread(() -> serve(index), "limbeck-cpu-" + (i + 1));
      workers[i].setDaemon(true);
      workers[i].start();
    }
  }

  private void serve(int index) {
    Job last = null;
    long idleSince = System.nanoTime();
    while (!closed) {
      Job current = job;
      if (current != null && current != last) {
        last = current;
        current.work();
        idleSince = System.nanoTime();
        continue;
      }
      long idle = System.nanoTime() - idleSince;
      if (idle < SPIN_NANOS) {
        Thread.onSpinWait();
      } else if (idle < IDLE_NANOS) {
        Thread.yield();
      } else {
        parked.set(index, 1);
        // A job published before the flag was seen wakes nobody, so look again.
        if (job == null && !closed) {
          LockSupport.park(this);
        }
        parked.set(index, 0);
        idleSince = System.nanoTime();
      }
    }
  }

  @Override
  public boolean simd() {
    return simd;
  }

  @Override
  public int threads() {
    return workers.length + 1;
  }

  @Override
  public void chunks(int count, Chunk body) {
    if (count <= 1 || workers.length == 0 || submission.isHeldByCurrentThread()) {
      runAll(count, body);
      return;
    }
    if (!submission.tryLock()) {
      runAll(count, body);
      return;
    }
    try {
      Job current = new Job(count, body);
      job = current;
      for (int i = 0; i < workers.length && i < count - 1; i++) {
        if (parked.get(i) != 0) {
          LockSupport.unpark(workers[i]);
        }
      }
      current.work();
      current.await();
      job = null;
      rethrow(current.failure);
    } finally {
      submission.unlock();
    }
  }

  private static void runAll(int count, Chunk body) {
    for (int chunk = 0; chunk < count; chunk++) {
      Apart.run(body, chunk);
    }
  }

  private static void rethrow(Throwable failure) {
    if (failure instanceof RuntimeException e) {
      throw e;
    }
    if (failure instanceof Error e) {
      throw e;
    }
  }

  @Override
  public float[] scratch(int slot, int length) {
    float[][] slots = scratch.get();
    if (slots[slot] == null || slots[slot].length < length) {
      slots[slot] = new float[ArrayPool.sizeClass(length)];
    }
    return slots[slot];
  }

  @Override
  public void close() {
    closed = true;
    for (Thread worker : workers) {
      LockSupport.unpark(worker);
    }
  }
}
