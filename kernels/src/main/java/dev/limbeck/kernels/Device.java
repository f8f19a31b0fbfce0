package dev.limbeck.kernels;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.ServiceLoader;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Memory and the execution of {@linkplain Kernel kernels}: all a backend is.
 *
 * <p>{@link #execute} is the one choke point for argument checks, the kernel trace ({@code
 * -Dlimbeck.trace=kernels}) and the check for non-finite results ({@code -Dlimbeck.trace=nan}).
 */
public abstract class Device implements AutoCloseable {
  private static final String TRACE = System.getProperty("limbeck.trace", "");
  private static final boolean TRACE_KERNELS = TRACE.contains("kernels");
  private static final boolean TRACE_NAN = TRACE.contains("nan");

  private final AtomicLong liveBytes = new AtomicLong();
  private final AtomicLong peakBytes = new AtomicLong();
  private final AtomicLong liveBuffers = new AtomicLong();

  /** Bytes and buffers handed out and not yet closed, and the largest sum of bytes so far. */
  public record Memory(long liveBuffers, long liveBytes, long peakBytes) {}

  /** The shared CPU device. */
  public static Device cpu() {
    return of("cpu");
  }

  /**
   * The shared device of GPU number {@code index}, counted from 0.
   *
   * @throws DeviceUnavailableException if there is no such GPU, saying why
   */
  public static Device cuda(int index) {
    return of("cuda:" + index);
  }

  /** The fastest device present; prints one line that says which it is and why. */
  public static Device best() {
    return Devices.best();
  }

  /**
   * The shared device of a name such as {@code cpu} or {@code cuda:0}.
   *
   * @throws DeviceUnavailableException if there is no such device, saying why and what there is
   */
  public static Device of(String id) {
    return Devices.of(id.toLowerCase(Locale.ROOT));
  }

  /** Every provider found on the class path. */
  public static List<DeviceProvider> providers() {
    List<DeviceProvider> found = new ArrayList<>();
    ServiceLoader.load(DeviceProvider.class, Device.class.getClassLoader()).forEach(found::add);
    return found;
  }

  /** The name that {@link #of} takes. */
  public abstract String id();

  /** What it is, for people: model, threads, vector width. */
  public abstract String description();

  /** A buffer with undefined contents, adopted by the calling thread's innermost scope. */
  public final Buffer allocate(DType type, int length) {
    if (length < 0) {
      throw new IllegalArgumentException("allocate: negative length " + length);
    }
    Buffer buffer = allocateMemory(type, length);
    liveBuffers.incrementAndGet();
    long live = liveBytes.addAndGet(buffer.bytes());
    peakBytes.accumulateAndGet(live, Math::max);
    Scope.adopt(buffer);
    return buffer;
  }

  final void release(Buffer buffer, Object memory) {
    liveBuffers.decrementAndGet();
    liveBytes.addAndGet(-buffer.bytes());
    releaseMemory(buffer.type(), memory);
  }

  /** Runs a kernel. On an asynchronous device it may return before the kernel has run. */
  public final void execute(Kernel kernel) {
    for (Buffer buffer : kernel.buffers()) {
      if (buffer != null && buffer.device() != this) {
        throw new IllegalArgumentException(
            kernel.name() + ": a buffer lies on " + buffer.device().id() + ", not on " + id());
      }
    }
    if (!TRACE_KERNELS && !TRACE_NAN) {
      launch(kernel);
      return;
    }
    long start = System.nanoTime();
    launch(kernel);
    synchronize();
    if (TRACE_KERNELS) {
      long micros = (System.nanoTime() - start) / 1000;
      System.err.println("kernel " + kernel.name() + " " + micros + " us");
    }
    if (TRACE_NAN) {
      Devices.checkFinite(kernel);
    }
  }

  /** Bytes and buffers in use. */
  public final Memory memory() {
    return new Memory(liveBuffers.get(), liveBytes.get(), peakBytes.get());
  }

  /** Starts a new measurement of the peak of live bytes, from what lives now. */
  public final void resetPeak() {
    peakBytes.set(liveBytes.get());
  }

  protected abstract Buffer allocateMemory(DType type, int length);

  protected abstract void releaseMemory(DType type, Object memory);

  protected abstract void launch(Kernel kernel);

  protected abstract void upload(Object hostArray, int from, Buffer target);

  protected abstract void download(Buffer source, Object hostArray, int from);

  /** Copies a buffer of any device to one of this device; through the host, unless overridden. */
  protected void copy(Buffer source, Buffer target) {
    Object host =
        switch (source.type()) {
          case F32 -> new float[source.length()];
          case I32 -> new int[source.length()];
          case BF16 -> new short[source.length()];
        };
    source.device().download(source, host, 0);
    upload(host, 0, target);
  }

  /** Waits until everything executed so far has finished. */
  public abstract void synchronize();

  /** True if kernels run while the host goes on, so that reading a result means waiting. */
  public boolean isAsynchronous() {
    return false;
  }

  /** What runs a step many times; here, on devices without a record, it just runs it. */
  public Replay replay() {
    return new Replay() {
      @Override
      public void run(Runnable step) {
        step.run();
      }

      @Override
      public void close() {}
    };
  }

  /** To be called when a device closes: the next request for it opens a fresh one. */
  protected final void forgetShared() {
    Devices.forget(this);
  }

  /** Ends the device's threads and gives back its memory; its buffers must not be used again. */
  @Override
  public abstract void close();
}
