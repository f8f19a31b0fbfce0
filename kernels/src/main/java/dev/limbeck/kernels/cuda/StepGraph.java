package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Replay;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.Map;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;

/**
 * A step as a CUDA graph: rehearsed once, captured in the second run, replayed from then on.
 *
 * <p>The rehearsal runs as usual, but on memory of the graph's own pool, and shows how much of it,
 * how many inputs, which modules and which tables the step needs: nothing of that may be made
 * during a capture. Inputs (uploads and varying arguments) lie in one block that is copied to the
 * device before each replay.
 */
final class StepGraph implements Replay {
  /** Host copies of the inputs in turn: one is filled while the other is being read. */
  private static final int TURNS = 2;

  private static final int INPUT_GRAIN = 64;

  private enum State {
    REHEARSAL,
    CAPTURE,
    REPLAY,
    CLOSED
  }

  private final CudaDevice device;
  private final Queue queue;
  private final Allocator pool;
  private final Map<Modules.Function, Integer> functions = new IdentityHashMap<>();
  private State state = State.REHEARSAL;
  private CUgraph graph;
  private CUgraphExec executable;

  // What the captured run did, word by word, and how far this run has followed it.
  private long[] record = new long[1024];
  private int recorded;
  private int cursor;
  private String operation;
  private boolean same;

  private int inputBytes;
  private int inputs;
  private Pinned[] host;
  private CUevent[] read;
  private Allocator.Block input;
  private int turn;

  StepGraph(CudaDevice device, Queue queue) {
    this.device = device;
    this.queue = queue;
    this.pool = new Allocator(false);
  }

  Allocator pool() {
    return pool;
  }

  /** True while work is written down instead of being queued as usual. */
  boolean records() {
    return state != State.REHEARSAL;
  }

  @Override
  public void run(Runnable step) {
    synchronized (device) {
      if (state == State.CLOSED) {
        throw new IllegalStateException("this replay was closed");
      }
      device.begin(this);
      try {
        pool.tidy();
        inputs = 0;
        cursor = 0;
        switch (state) {
          case REHEARSAL -> rehearse(step);
          case CAPTURE -> capture(step);
          default -> replay(step);
        }
      } finally {
        device.end();
      }
    }
  }

  private void rehearse(Runnable step) {
    step.run();
    inputBytes = inputs;
    state = State.CAPTURE;
  }

  private void capture(Runnable step) {
    if (host == null) {
      reserveInputs();
    }
    awaitInputs();
    recorded = 0;
    pool.seal(true);
    Driver.check(
        "cuStreamBeginCapture",
        JCudaDriver.cuStreamBeginCapture(
            queue.stream, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    CUgraph captured = new CUgraph();
    boolean complete = false;
    try {
      step.run();
      complete = true;
    } finally {
      int status = JCudaDriver.cuStreamEndCapture(queue.stream, captured);
      pool.seal(false);
      if (complete) {
        Driver.check("cuStreamEndCapture", status);
      } else if (status == 0) {
        JCudaDriver.cuGraphDestroy(captured);
      }
    }
    graph = captured;
    executable = new CUgraphExec();
    Driver.check("cuGraphInstantiate", JCudaDriver.cuGraphInstantiate(executable, graph, 0L));
    state = State.REPLAY;
    start();
  }

  private void replay(Runnable step) {
    awaitInputs();
    step.run();
    if (cursor != recorded) {
      throw differs("ends early");
    }
    start();
  }

  private void start() {
    if (inputBytes > 0) {
      queue.send(host[turn], input.address, inputBytes);
      Driver.check("cuEventRecord", JCudaDriver.cuEventRecord(read[turn], queue.stream));
    }
    Driver.check("cuGraphLaunch", JCudaDriver.cuGraphLaunch(executable, queue.stream));
    queue.countReplay();
    turn = (turn + 1) % TURNS;
  }

  private void reserveInputs() {
    int bytes = Math.max(inputBytes, INPUT_GRAIN);
    input = device.memoryOfItsOwn().take(bytes);
    host = new Pinned[TURNS];
    read = new CUevent[TURNS];
    for (int i = 0; i < TURNS; i++) {
      host[i] = new Pinned(bytes);
      read[i] = new CUevent();
      Driver.check(
          "cuEventCreate",
          JCudaDriver.cuEventCreate(read[i], CUevent_flags.CU_EVENT_DISABLE_TIMING));
    }
  }

  /** Waits, rarely, until the device has read what this turn's inputs will overwrite. */
  private void awaitInputs() {
    queue.await(read[turn]);
  }

  /** Counts, in a rehearsal, an input of this size. */
  void count(int bytes) {
    inputs += (bytes + INPUT_GRAIN - 1) / INPUT_GRAIN * INPUT_GRAIN;
  }

  /** Takes values over as an input and answers where on the device they will be. */
  long input(Object values, int from, DType type, int length) {
    int offset = inputs;
    count(length * type.bytes());
    if (inputs > inputBytes) {
      throw differs("has more inputs");
    }
    Queue.put(host[turn].bytes(), offset, values, from, length);
    return input.address + offset;
  }

  /** Writes a launch down, or compares it; true if it is to be queued, because this captures. */
  boolean launch(
      Modules.Function function, int x, int y, int z, int threads, int shared, Arguments args) {
    int number = functions.computeIfAbsent(function, each -> functions.size());
    same = word(number) & word(x) & word(y) & word(z) & word(threads) & word(shared);
    for (int i = 0; i < args.count(); i++) {
      same &= word(args.word(i));
    }
    if (!same) {
      throw differs("launches " + function.symbol + " with other arguments or at another place");
    }
    return state == State.CAPTURE;
  }

  /** Writes another operation down, or compares it; true if it is to be queued. */
  boolean operation(String name, long a, long b, long c) {
    return begin(name).with(a).with(b).with(c).end();
  }

  /**
   * Starts to write down, or to compare, an operation with as many numbers as it has.
   *
   * @param name fixes how many numbers follow
   */
  StepGraph begin(String name) {
    operation = name;
    same = word(-name.hashCode() - 1L);
    return this;
  }

  /** The next number of the operation. */
  StepGraph with(long value) {
    same &= word(value);
    return this;
  }

  /** The last number was given; true if the operation is to be queued. */
  boolean end() {
    if (!same) {
      throw differs("has another " + operation);
    }
    return state == State.CAPTURE;
  }

  private boolean word(long value) {
    if (state == State.CAPTURE) {
      if (recorded == record.length) {
        record = Arrays.copyOf(record, 2 * recorded);
      }
      record[recorded++] = value;
      return true;
    }
    return cursor < recorded && record[cursor++] == value;
  }

  private static IllegalStateException differs(String how) {
    return new IllegalStateException(
        "the step differs from the recorded one: it "
            + how
            + "; what differs from run to run is uploaded inside the step or passed as varying, and"
            + " buffers kept from the last run are closed before the next");
  }

  @Override
  public void close() {
    synchronized (device) {
      if (state == State.CLOSED) {
        return;
      }
      device.makeCurrent();
      state = State.CLOSED;
      JCudaDriver.cuStreamSynchronize(queue.stream);
      if (executable != null) {
        JCudaDriver.cuGraphExecDestroy(executable);
        JCudaDriver.cuGraphDestroy(graph);
      }
      if (host != null) {
        input.release();
        for (int i = 0; i < TURNS; i++) {
          host[i].close();
          JCudaDriver.cuEventDestroy(read[i]);
        }
      }
      pool.close();
    }
  }
}
