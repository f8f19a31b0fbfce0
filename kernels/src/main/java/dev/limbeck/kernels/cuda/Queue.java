package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.DType;
import java.nio.ByteBuffer;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/** A device's stream, and the pinned memory through which data goes to and fro. */
final class Queue implements AutoCloseable {
  /** Bytes of a staging area: large enough for the bus, small enough to be pinned for good. */
  private static final int STAGE = 1 << 20;

  /** Areas in turn: one is filled while the others are being read. */
  private static final int STAGES = 4;

  final CUstream stream = new CUstream();
  private final Pinned staging;
  private final CUevent[] emptied = new CUevent[STAGES];
  private int turn;
  private int filled;
  private long launches;
  private long waits;
  private long replays;
  private CUevent mark;

  /** A queue of the current context. */
  Queue() {
    Driver.check(
        "cuStreamCreate",
        JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING));
    Pinned memory = null;
    try {
      memory = new Pinned(STAGE * STAGES);
      for (int i = 0; i < STAGES; i++) {
        emptied[i] = event();
      }
    } catch (RuntimeException e) {
      release(memory);
      throw e;
    }
    staging = memory;
  }

  private static CUevent event() {
    CUevent event = new CUevent();
    Driver.check(
        "cuEventCreate", JCudaDriver.cuEventCreate(event, CUevent_flags.CU_EVENT_DISABLE_TIMING));
    return event;
  }

  /** Kernels launched, graphs launched, and times that the host waited for the device, so far. */
  record Statistics(long launches, long replays, long waits) {}

  Statistics statistics() {
    return new Statistics(launches, replays, waits);
  }

  void launch(
      Modules.Function function, int x, int y, int z, int threads, int shared, Arguments args) {
    launches++;
    int status =
        JCudaDriver.cuLaunchKernel(
            function.handle, x, y, z, threads, 1, 1, shared, stream, args.pointers(), null);
    if (status != 0) {
      Driver.check(
          "cuLaunchKernel",
          status,
          String.format("%s<<<(%d, %d, %d), %d, %d>>>", function.symbol, x, y, z, threads, shared));
    }
  }

  void zero(long address, long bytes) {
    Driver.check(
        "cuMemsetD8Async",
        JCudaDriver.cuMemsetD8Async(new Address(address), (byte) 0, bytes, stream));
  }

  void copy(long from, long to, long bytes) {
    Driver.check(
        "cuMemcpyDtoDAsync",
        JCudaDriver.cuMemcpyDtoDAsync(new Address(to), new Address(from), bytes, stream));
  }

  /** Copies host elements to device memory, without waiting for the device. */
  void upload(Object array, int from, DType type, int length, long address) {
    int perStage = STAGE / type.bytes();
    for (int done = 0; done < length; done += perStage) {
      int count = Math.min(perStage, length - done);
      int offset = claim(count * type.bytes());
      put(staging.bytes(), offset, array, from + done, count);
      send(offset, address + (long) done * type.bytes(), count * type.bytes());
    }
  }

  private void send(int offset, long address, int bytes) {
    Driver.check(
        "cuMemcpyHtoDAsync",
        JCudaDriver.cuMemcpyHtoDAsync(new Address(address), staging.at(offset), bytes, stream));
  }

  /** Copies the start of pinned memory to the device, without waiting for it. */
  void send(Pinned source, long address, int bytes) {
    Driver.check(
        "cuMemcpyHtoDAsync",
        JCudaDriver.cuMemcpyHtoDAsync(new Address(address), source.at(0), bytes, stream));
  }

  /** The event of everything queued so far; lasts until the next mark. */
  CUevent mark() {
    if (mark == null) {
      mark = event();
    }
    Driver.check("cuEventRecord", JCudaDriver.cuEventRecord(mark, stream));
    return mark;
  }

  /** Lets what is queued from now on wait for an event, of another queue for instance. */
  void after(CUevent event) {
    Driver.check("cuStreamWaitEvent", JCudaDriver.cuStreamWaitEvent(stream, event, 0));
  }

  /** Waits for an event, if it has not happened yet. */
  void await(CUevent event) {
    if (JCudaDriver.cuEventQuery(event) != 0) {
      waits++;
      Driver.check("cuEventSynchronize", JCudaDriver.cuEventSynchronize(event));
    }
  }

  /** The device's time for work that is queued meanwhile; waits for it. */
  double microseconds(Runnable work) {
    CUevent first = new CUevent();
    CUevent last = new CUevent();
    float[] milliseconds = new float[1];
    Driver.check("cuEventCreate", JCudaDriver.cuEventCreate(first, CUevent_flags.CU_EVENT_DEFAULT));
    try {
      Driver.check(
          "cuEventCreate", JCudaDriver.cuEventCreate(last, CUevent_flags.CU_EVENT_DEFAULT));
      Driver.check("cuEventRecord", JCudaDriver.cuEventRecord(first, stream));
      work.run();
      Driver.check("cuEventRecord", JCudaDriver.cuEventRecord(last, stream));
      waits++;
      Driver.check("cuEventSynchronize", JCudaDriver.cuEventSynchronize(last));
      Driver.check("cuEventElapsedTime", JCudaDriver.cuEventElapsedTime(milliseconds, first, last));
    } finally {
      JCudaDriver.cuEventDestroy(first);
      JCudaDriver.cuEventDestroy(last);
    }
    return 1000.0 * milliseconds[0];
  }

  void countReplay() {
    replays++;
  }

  /** The offset of free staging memory; waits only if the device is a whole round behind. */
  private int claim(int bytes) {
    if (filled + bytes > STAGE) {
      Driver.check("cuEventRecord", JCudaDriver.cuEventRecord(emptied[turn], stream));
      turn = (turn + 1) % STAGES;
      filled = 0;
      await(emptied[turn]);
    }
    int offset = turn * STAGE + filled;
    filled += (bytes + 63) & ~63;
    return offset;
  }

  /** Copies device memory to the host and waits for it. */
  void download(long address, DType type, int length, Object array, int from) {
    int perStage = STAGE / type.bytes();
    for (int done = 0; done < length; done += perStage) {
      int count = Math.min(perStage, length - done);
      int offset = claim(count * type.bytes());
      Driver.check(
          "cuMemcpyDtoHAsync",
          JCudaDriver.cuMemcpyDtoHAsync(
              staging.at(offset),
              new Address(address + (long) done * type.bytes()),
              (long) count * type.bytes(),
              stream));
      synchronize();
      get(staging.bytes(), offset, array, from + done, count);
    }
  }

  void synchronize() {
    waits++;
    Driver.check("cuStreamSynchronize", JCudaDriver.cuStreamSynchronize(stream));
  }

  /** Writes elements of a Java array into memory. */
  static void put(ByteBuffer bytes, int offset, Object array, int from, int count) {
    ByteBuffer at = bytes.duplicate().order(bytes.order()).position(offset);
    if (array instanceof float[] floats) {
      at.asFloatBuffer().put(floats, from, count);
    } else if (array instanceof int[] ints) {
      at.asIntBuffer().put(ints, from, count);
    } else {
      at.asShortBuffer().put((short[]) array, from, count);
    }
  }

  private static void get(ByteBuffer bytes, int offset, Object array, int from, int count) {
    ByteBuffer at = bytes.duplicate().order(bytes.order()).position(offset);
    if (array instanceof float[] floats) {
      at.asFloatBuffer().get(floats, from, count);
    } else if (array instanceof int[] ints) {
      at.asIntBuffer().get(ints, from, count);
    } else {
      at.asShortBuffer().get((short[]) array, from, count);
    }
  }

  @Override
  public void close() {
    JCudaDriver.cuStreamSynchronize(stream);
    release(staging);
  }

  private void release(Pinned memory) {
    for (CUevent event : emptied) {
      if (event != null) {
        JCudaDriver.cuEventDestroy(event);
      }
    }
    if (mark != null) {
      JCudaDriver.cuEventDestroy(mark);
    }
    if (memory != null) {
      memory.close();
    }
    JCudaDriver.cuStreamDestroy(stream);
  }
}
