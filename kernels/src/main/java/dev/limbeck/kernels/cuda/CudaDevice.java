package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceException;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Replay;
import dev.limbeck.kernels.op.Widened;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUevent;
import jcuda.driver.JCudaDriver;

/**
 * One NVIDIA GPU. Kernels are queued on one stream and run later; {@link #synchronize} and every
 * download wait for them.
 *
 * <p>{@code -Dlimbeck.cuda.tf32=true} lets matrix products round their operands to TF32; {@code
 * -Dlimbeck.cuda.memory=exact} makes every buffer an allocation of its own, for memory checkers;
 * {@code -Dlimbeck.cuda.ptx=75} or 80 takes older PTX than the device could run; {@code
 * -Dlimbeck.cuda.libraries=} {@link LibraryUse off, large or always} says what cuBLAS and cuDNN
 * compute; {@code -Dlimbeck.cuda.graphs=off} starts the kernels of repeated steps one by one;
 * {@code -Dlimbeck.cuda.autotune=FILE} measures how each shape of product and convolution runs
 * fastest, and keeps the choices in that file.
 */
public final class CudaDevice extends Device {
  static final int[] PTX = {90, 80, 75};

  /** The context that each thread made current last, so that it is made so once. */
  private static final ThreadLocal<CUcontext> CURRENT = new ThreadLocal<>();

  private static final AtomicLong OPENED = new AtomicLong();

  private final long number = OPENED.incrementAndGet();
  private final String id;
  private final CUdevice device = new CUdevice();
  private final CUcontext context = new CUcontext();
  private final String model;
  private final int compute;
  private final int capability;
  private final int multiprocessors;
  private final long totalBytes;
  private final Options options;
  private final boolean graphs = !"off".equals(System.getProperty("limbeck.cuda.graphs"));
  private final Modules modules;
  private final Allocator allocator;
  private final Queue queue;
  private final CudaLauncher launcher;
  private final CudaLibraries libraries;
  private final Tuner tuner;
  private StepGraph graph;
  private boolean closed;

  /**
   * How a device works.
   *
   * @param newestPtx the newest PTX to use: 90, or 75 or 80 to try older one
   * @param tf32 matrix products may round their operands to TF32
   * @param libraries what cuBLAS and cuDNN compute where they are found
   * @param exactMemory every buffer is an allocation of its own, so that a memory checker sees its
   *     end
   * @param autotune the file of measured choices, which is made if it is not there; empty: each
   *     shape runs by a fixed rule
   */
  public record Options(
      int newestPtx,
      boolean tf32,
      LibraryUse libraries,
      boolean exactMemory,
      Optional<Path> autotune) {
    /** What the system properties say; see {@link CudaDevice}. */
    public static Options ofProperties() {
      return new Options(
          Integer.getInteger("limbeck.cuda.ptx", PTX[0]),
          Boolean.getBoolean("limbeck.cuda.tf32"),
          LibraryUse.of(System.getProperty("limbeck.cuda.libraries", LibraryUse.LARGE.toString())),
          "exact".equals(System.getProperty("limbeck.cuda.memory")),
          Optional.ofNullable(System.getProperty("limbeck.cuda.autotune")).map(Path::of));
    }

    public Options withPtx(int ptx) {
      return new Options(ptx, tf32, libraries, exactMemory, autotune);
    }

    public Options withTf32(boolean on) {
      return new Options(newestPtx, on, libraries, exactMemory, autotune);
    }

    public Options withLibraries(LibraryUse use) {
      return new Options(newestPtx, tf32, use, exactMemory, autotune);
    }

    public Options withExactMemory(boolean on) {
      return new Options(newestPtx, tf32, libraries, on, autotune);
    }

    public Options withAutotune(Path file) {
      return new Options(newestPtx, tf32, libraries, exactMemory, Optional.of(file));
    }
  }

  /** A private device of GPU number {@code index}; a process may open the same GPU repeatedly. */
  public static CudaDevice open(int index) {
    return open(index, Options.ofProperties());
  }

  /** The same with older PTX than the device could run: 75 or 80. */
  public static CudaDevice open(int index, int newestPtx) {
    return open(index, Options.ofProperties().withPtx(newestPtx));
  }

  /** The same with other options than the system properties'. */
  public static CudaDevice open(int index, Options options) {
    return new CudaDevice("cuda:" + index, index, options);
  }

  /**
   * Opens GPU number {@code index}.
   *
   * @throws DeviceException if the driver refuses anything; then nothing stays open
   */
  private CudaDevice(String id, int index, Options options) {
    this.id = id;
    this.options = options;
    Driver.check("cuDeviceGet", JCudaDriver.cuDeviceGet(device, index), "device " + index);
    compute =
        10 * attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
            + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    capability = ptxFor(Math.min(compute, options.newestPtx()));
    multiprocessors = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    model = name(device);
    long[] bytes = new long[1];
    Driver.check("cuDeviceTotalMem", JCudaDriver.cuDeviceTotalMem(bytes, device));
    totalBytes = bytes[0];
    Driver.check("cuDevicePrimaryCtxRetain", JCudaDriver.cuDevicePrimaryCtxRetain(context, device));
    try {
      makeCurrent();
      modules = new Modules(capability);
      allocator = new Allocator(options.exactMemory());
      queue = new Queue();
      launcher = new CudaLauncher(this, queue);
      libraries = new CudaLibraries(this, queue, options.libraries());
      tuner = options.autotune().map(this::tuner).orElse(null);
    } catch (RuntimeException e) {
      closed = true;
      release();
      throw e;
    }
  }

  private static int ptxFor(int compute) {
    for (int each : PTX) {
      if (each <= compute) {
        return each;
      }
    }
    throw new DeviceException(
        "cuDeviceGetAttribute",
        "compute capability " + compute / 10 + "." + compute % 10,
        "7.5 or newer is needed");
  }

  private int attribute(int attribute) {
    int[] value = new int[1];
    Driver.check(
        "cuDeviceGetAttribute",
        JCudaDriver.cuDeviceGetAttribute(value, attribute, device),
        "attribute " + attribute);
    return value[0];
  }

  private static String name(CUdevice device) {
    byte[] bytes = new byte[256];
    Driver.check("cuDeviceGetName", JCudaDriver.cuDeviceGetName(bytes, bytes.length, device));
    int end = 0;
    while (end < bytes.length && bytes[end] != 0) {
      end++;
    }
    return new String(bytes, 0, end, StandardCharsets.UTF_8);
  }

  /** Contexts belong to threads: whatever calls the driver makes this device's current first. */
  void makeCurrent() {
    if (CURRENT.get() != context) {
      Driver.check("cuCtxSetCurrent", JCudaDriver.cuCtxSetCurrent(context));
      CURRENT.set(context);
    }
  }

  static long address(Buffer buffer) {
    Allocator.Block block = (Allocator.Block) buffer.memory();
    return block.address + (long) buffer.offset() * buffer.type().bytes();
  }

  @Override
  public String id() {
    return id;
  }

  @Override
  public String description() {
    return String.format(
        "%s, compute capability %d.%d (PTX %d), %d multiprocessors, %,d MiB, driver for CUDA %s; %s%s",
        model,
        compute / 10,
        compute % 10,
        capability,
        multiprocessors,
        totalBytes >> 20,
        Driver.version(),
        libraries.description(),
        (options.tf32() ? ", TF32 allowed" : "")
            + options.autotune().map(file -> ", choices measured in " + file).orElse(""));
  }

  /** What the device did and holds so far. */
  public record Counters(
      long launches, long replays, long waits, long usedBytes, long heldBytes, long allocations) {}

  /** What the device did and holds so far. */
  public synchronized Counters counters() {
    Queue.Statistics work = queue.statistics();
    Allocator.Statistics held = allocator.statistics();
    return new Counters(
        work.launches(),
        work.replays(),
        work.waits(),
        held.usedBytes(),
        held.heldBytes(),
        held.calls());
  }

  CudaLauncher launcher() {
    return launcher;
  }

  private Tuner tuner(Path file) {
    String circumstances =
        String.format(
            "%s; compute capability %d; PTX %d; %d multiprocessors; TF32 %s; driver for CUDA %s; %s",
            model,
            compute,
            capability,
            multiprocessors,
            options.tf32() ? "on" : "off",
            Driver.version(),
            libraries.versions());
    return new Tuner(this, queue, file, circumstances);
  }

  /** What chooses among the ways to run a kernel, or null: then a fixed rule does. */
  Tuner tuner() {
    return tuner;
  }

  CudaLibraries libraries() {
    return libraries;
  }

  int compute() {
    return compute;
  }

  int multiprocessors() {
    return multiprocessors;
  }

  int capability() {
    return capability;
  }

  boolean tf32() {
    return options.tf32();
  }

  /** Where buffers come from now: the device's memory, or that of the step being recorded. */
  Allocator allocator() {
    return graph == null ? allocator : graph.pool();
  }

  Allocator memoryOfItsOwn() {
    return allocator;
  }

  /** The step being rehearsed, captured or replayed, or null. */
  StepGraph graph() {
    return graph;
  }

  void begin(StepGraph step) {
    makeCurrent();
    if (graph != null) {
      throw new IllegalStateException("a replay runs inside another one");
    }
    graph = step;
  }

  void end() {
    graph = null;
  }

  /** The step that writes down what runs, or null: then everything is queued as usual. */
  StepGraph record() {
    return graph != null && graph.records() ? graph : null;
  }

  /** False if an operation need not be queued, because a recorded one will run in its place. */
  boolean queues(String operation, long a, long b, long c) {
    StepGraph record = record();
    return record == null || record.operation(operation, a, b, c);
  }

  private void refuseInside(String what) {
    if (graph != null) {
      throw new IllegalStateException(what + " inside a step that is replayed: do so between runs");
    }
  }

  @Override
  public boolean isAsynchronous() {
    return true;
  }

  @Override
  public Replay replay() {
    return graphs ? new StepGraph(this, queue) : super.replay();
  }

  Modules modules() {
    return modules;
  }

  @Override
  protected synchronized Buffer allocateMemory(DType type, int length) {
    makeCurrent();
    try {
      return new Buffer(this, type, allocator().take((long) length * type.bytes()), 0, length);
    } catch (DeviceException e) {
      throw e.during("the allocation of " + type + "[" + length + "]");
    }
  }

  @Override
  protected synchronized void releaseMemory(DType type, Object memory) {
    if (!closed) {
      makeCurrent();
      ((Allocator.Block) memory).release();
    }
  }

  @Override
  protected synchronized void launch(Kernel kernel) {
    makeCurrent();
    try {
      if (!Widened.launch(this, kernel, capability)) {
        launcher.run(kernel);
      }
    } catch (DeviceException e) {
      throw e.during(kernel.name() + ": " + kernel);
    }
  }

  @Override
  protected synchronized void upload(Object hostArray, int from, Buffer target) {
    makeCurrent();
    long address = address(target);
    DType type = target.type();
    if (record() == null) {
      if (graph != null) {
        graph.count((int) target.bytes());
      }
      queue.upload(hostArray, from, type, target.length(), address);
    } else {
      long input = graph.input(hostArray, from, type, target.length());
      if (graph.operation("upload", input, address, target.bytes())) {
        queue.copy(input, address, target.bytes());
      }
    }
  }

  @Override
  protected synchronized void download(Buffer source, Object hostArray, int from) {
    refuseInside("results are read");
    makeCurrent();
    queue.download(address(source), source.type(), source.length(), hostArray, from);
  }

  @Override
  protected void copy(Buffer source, Buffer target) {
    if (!(source.device() instanceof CudaDevice from)) {
      super.copy(source, target);
      return;
    }
    // Always in the same order, so that two threads that copy to and fro do not wait for ever.
    boolean first = from.number <= number;
    synchronized (first ? from : this) {
      synchronized (first ? this : from) {
        from.refuseInside("memory is copied between devices");
        refuseInside("memory is copied between devices");
        peerCopy(from, source, target);
      }
    }
  }

  /** Queued here after what the source's device has queued, which then waits for it in turn. */
  private void peerCopy(CudaDevice from, Buffer source, Buffer target) {
    if (target.length() == 0) {
      return;
    }
    from.makeCurrent();
    CUevent written = from.queue.mark();
    makeCurrent();
    queue.after(written);
    Driver.check(
        "cuMemcpyPeerAsync",
        JCudaDriver.cuMemcpyPeerAsync(
            new Address(address(target)),
            context,
            new Address(address(source)),
            from.context,
            source.bytes(),
            queue.stream));
    CUevent read = queue.mark();
    from.makeCurrent();
    from.queue.after(read);
  }

  @Override
  public synchronized void synchronize() {
    refuseInside("the host waits");
    makeCurrent();
    queue.synchronize();
  }

  /** Gives memory that no buffer uses back to the driver. */
  public synchronized void trim() {
    makeCurrent();
    allocator.trim();
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    forgetShared();
    release();
  }

  /** Looks at no status: after a failed kernel every call answers its status. */
  private void release() {
    JCudaDriver.cuCtxSetCurrent(context);
    if (queue != null) {
      JCudaDriver.cuStreamSynchronize(queue.stream);
    }
    for (AutoCloseable each :
        new AutoCloseable[] {libraries, launcher, modules, queue, allocator}) {
      closeQuietly(each);
    }
    CURRENT.remove();
    JCudaDriver.cuCtxSetCurrent(new CUcontext());
    JCudaDriver.cuDevicePrimaryCtxRelease(device);
  }

  private static void closeQuietly(AutoCloseable part) {
    try {
      if (part != null) {
        part.close();
      }
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }
}
