package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Libraries;
import dev.limbeck.kernels.Tunable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Launches of one device; used by one thread at a time. */
final class CudaLauncher implements Launcher, AutoCloseable {
  /** Bytes that {@link #varying} may pass to one launch. */
  private static final int VARYING = 4096;

  private static final int VARYING_GRAIN = 64;

  /** In place of the libraries where the device's own kernels are asked for. */
  private static final Libraries NONE = new Libraries() {};

  private final CudaDevice device;
  private final Queue queue;
  private final Arguments arguments;
  private final Allocator.Block varying;
  private final Map<Table, Allocator.Block> tables = new HashMap<>();
  private final List<Allocator.Block> scratch = new ArrayList<>();
  private Class<?> beside;
  private Modules.Function function;
  private int varied;
  private Way way = Way.RULE;
  private List<String> trail;

  /** A table by its contents. */
  private record Table(Object values) {
    @Override
    public boolean equals(Object other) {
      if (!(other instanceof Table table)) {
        return false;
      }
      if (values instanceof int[] ints) {
        return table.values instanceof int[] others && Arrays.equals(ints, others);
      }
      return table.values instanceof float[] others && Arrays.equals((float[]) values, others);
    }

    @Override
    public int hashCode() {
      return values instanceof int[] ints
          ? Arrays.hashCode(ints)
          : Arrays.hashCode((float[]) values);
    }
  }

  CudaLauncher(CudaDevice device, Queue queue) {
    this.device = device;
    this.queue = queue;
    varying = device.memoryOfItsOwn().take(VARYING);
    arguments = new Arguments();
  }

  /** Lets a kernel launch what it wants, then takes its scratch memory back. */
  void run(Kernel kernel) {
    Tuner tuner = device.tuner();
    run(kernel, tuner != null && kernel instanceof Tunable known ? tuner.way(known) : Way.RULE);
  }

  /** What a kernel launches in some way; nothing if it is by a library that does not take it. */
  List<String> trial(Kernel kernel, Way how) {
    List<String> launched = new ArrayList<>();
    trail = launched;
    try {
      run(kernel, how);
    } finally {
      trail = null;
    }
    boolean taken = launched.contains(CudaLibraries.BLAS) || launched.contains(CudaLibraries.DNN);
    return how == Way.LIBRARY && !taken ? List.of() : launched;
  }

  /** The same in a given way. */
  void run(Kernel kernel, Way how) {
    way = how;
    beside = kernel.getClass();
    function = null;
    try {
      kernel.onCuda(this);
      if (function != null) {
        throw new IllegalStateException(
            kernel.name() + " names " + function.symbol + " and does not launch it");
      }
    } finally {
      way = Way.RULE;
      scratch.forEach(Allocator.Block::release);
      scratch.clear();
    }
  }

  @Override
  public Launcher kernel(String module, String symbol) {
    return kernel(module, symbol, null);
  }

  @Override
  public Launcher kernel(String module, String symbol, String source) {
    arguments.clear();
    varied = 0;
    function = device.modules().function(beside, module, symbol, source);
    return this;
  }

  @Override
  public Launcher i32(int value) {
    arguments.i32(value);
    return this;
  }

  @Override
  public Launcher i64(long value) {
    arguments.i64(value);
    return this;
  }

  @Override
  public Launcher f32(float value) {
    arguments.f32(value);
    return this;
  }

  @Override
  public Launcher pointer(Buffer buffer) {
    arguments.i64(buffer == null ? 0 : CudaDevice.address(buffer));
    return this;
  }

  @Override
  public Launcher varying(float... values) {
    return varying(values, DType.F32, values.length);
  }

  @Override
  public Launcher varying(int... values) {
    return varying(values, DType.I32, values.length);
  }

  private Launcher varying(Object values, DType type, int length) {
    int bytes = length * type.bytes();
    if (varied + bytes > VARYING) {
      throw new IllegalArgumentException("varying values of a launch exceed 4096 bytes");
    }
    StepGraph graph = device.graph();
    if (graph != null && graph.records()) {
      arguments.i64(graph.input(values, 0, type, length));
      return this;
    }
    if (graph != null) {
      graph.count(bytes);
    }
    // One place serves every launch: this copy waits on the stream for the launches before it.
    long address = varying.address + varied;
    queue.upload(values, 0, type, length, address);
    varied += (bytes + VARYING_GRAIN - 1) / VARYING_GRAIN * VARYING_GRAIN;
    arguments.i64(address);
    return this;
  }

  @Override
  public Launcher table(int[] values) {
    arguments.i64(table(values, DType.I32, values.length));
    return this;
  }

  @Override
  public Launcher table(float[] values) {
    arguments.i64(table(values, DType.F32, values.length));
    return this;
  }

  private long table(Object values, DType type, int length) {
    Allocator.Block block = tables.get(new Table(values));
    if (block == null) {
      if (device.graph() != null && device.graph().records()) {
        throw new IllegalStateException("the step uses a table that its rehearsal did not use");
      }
      block = device.memoryOfItsOwn().take((long) length * type.bytes());
      queue.upload(values, 0, type, length, block.address);
      // A copy, because the caller may change its array.
      Object own = values instanceof int[] ints ? ints.clone() : ((float[]) values).clone();
      tables.put(new Table(own), block);
    }
    return block.address;
  }

  @Override
  public void launch(int x, int y, int z, int threads, int sharedBytes) {
    Modules.Function launched = function;
    if (launched == null) {
      throw new IllegalStateException("launch: name the function with kernel(…) first");
    }
    function = null;
    arguments.check(launched);
    if (x == 0 || y == 0 || z == 0) {
      return;
    }
    if (trail != null) {
      trail.add(launched.symbol + " " + x + " " + y + " " + z);
    }
    StepGraph record = device.record();
    if (record == null || record.launch(launched, x, y, z, threads, sharedBytes, arguments)) {
      launched.reserveShared(sharedBytes);
      queue.launch(launched, x, y, z, threads, sharedBytes, arguments);
    }
  }

  @Override
  public Buffer scratch(DType type, int length) {
    Allocator.Block block = device.allocator().take((long) length * type.bytes());
    scratch.add(block);
    return new Buffer(device, type, block, 0, length);
  }

  @Override
  public void zero(Buffer buffer) {
    long address = CudaDevice.address(buffer);
    if (buffer.length() > 0 && device.queues("fill", address, buffer.bytes(), 0)) {
      queue.zero(address, buffer.bytes());
    }
  }

  @Override
  public void copy(Buffer from, Buffer to) {
    if (from.length() != to.length() || from.type() != to.type()) {
      throw new IllegalArgumentException("copy: " + from + " to " + to);
    }
    long source = CudaDevice.address(from);
    long target = CudaDevice.address(to);
    if (from.length() > 0 && device.queues("copy", source, target, from.bytes())) {
      queue.copy(source, target, from.bytes());
    }
  }

  @Override
  public int multiprocessors() {
    return device.multiprocessors();
  }

  @Override
  public int capability() {
    return device.capability();
  }

  @Override
  public Way way() {
    return way;
  }

  /** A library took over. */
  void tookOver(String library) {
    if (trail != null) {
      trail.add(library);
    }
  }

  @Override
  public boolean tf32() {
    return device.tf32();
  }

  @Override
  public Libraries libraries() {
    return way == Way.SMALL_TILES || way == Way.LARGE_TILES ? NONE : device.libraries();
  }

  @Override
  public void close() {
    arguments.close();
  }
}
