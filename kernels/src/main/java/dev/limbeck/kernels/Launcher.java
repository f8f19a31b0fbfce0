package dev.limbeck.kernels;

/**
 * Starts kernels of a {@code .cu} file on a CUDA device, in the order of the calls, without waiting
 * for them.
 *
 * <p>A {@link Kernel#onCuda} names a symbol, gives its arguments in the order of the CUDA
 * function's parameters, and launches:
 *
 * <pre>{@code
 * cuda.kernel("axpy", "axpy_f32").i32(n).f32(a).pointer(x).pointer(y);
 * cuda.launch(cuda.blocks(n / 4, 256), 256);
 * }</pre>
 *
 * <p>The module {@code axpy} is the file {@code axpy.cu} beside the kernel's class; the script
 * {@code kernels/ptx} compiles it. Number and types of the arguments are checked against the
 * compiled function.
 *
 * <p>Every pointer is aligned to 128 bytes: a row-free loop may take 16 bytes at a time and needs
 * care only for the last n mod 4 elements. Fresh memory holds anything.
 *
 * <p>A training step may be captured once and replayed. So a plain scalar argument is a constant of
 * the network or of its shapes; what differs from step to step (Adam's coefficients, a random key,
 * an averaging rate) goes through {@link #varying}, which passes a pointer to device memory. A
 * replay refuses a step whose plain scalars, shapes or launches differ from the captured ones.
 *
 * <p>The order of a sum must follow from shapes alone: a grid sized by {@link #blocks} or {@link
 * #multiprocessors} may only cut work whose parts do not meet.
 */
public interface Launcher {
  /** Threads of a block where nothing asks for another number. */
  int THREADS = 256;

  /**
   * Begins a launch and forgets the arguments of an unfinished one.
   *
   * @param module the {@code .cu} file's name without its ending
   * @param symbol the function, as in {@code group_norm_grad_f32}
   */
  Launcher kernel(String module, String symbol);

  /**
   * The same for a text of the caller's own, which NVIDIA's NVRTC compiles at its first use; for
   * kernels that are made at run time. The helpers of {@code device.cuh} stand before it, and each
   * function is {@code extern "C"}. A module that has no PTX, but a file {@code module.cu} among
   * the resources beside the kernel's class, is compiled so, too.
   *
   * @param source CUDA C++, the same at each call
   */
  Launcher kernel(String module, String symbol, String source);

  /** The next argument, an {@code int}. */
  Launcher i32(int value);

  /** The next argument, a {@code long long}. */
  Launcher i64(long value);

  /** The next argument, a {@code float}. */
  Launcher f32(float value);

  /** The next argument, a pointer to a buffer's first element; null is the null pointer. */
  Launcher pointer(Buffer buffer);

  /**
   * The next argument, a {@code const float*} to these values in device memory; for what differs
   * from step to step. Valid during this launch.
   */
  Launcher varying(float... values);

  /** The next argument, a {@code const int*} to these values; see {@link #varying(float...)}. */
  Launcher varying(int... values);

  /**
   * The next argument, a {@code const int*} to a table in device memory, which is made once per
   * contents and kept; for tables that follow from shapes.
   */
  Launcher table(int[] values);

  /** The next argument, a {@code const float*}; see {@link #table(int[])}. */
  Launcher table(float[] values);

  /** Launches on a grid of {@code blocks} blocks of {@code threads} threads. */
  default void launch(int blocks, int threads) {
    launch(blocks, 1, 1, threads, 0);
  }

  /**
   * Launches on a grid of x·y·z blocks; does nothing if one of them is 0.
   *
   * @param x at most 2³¹ − 1
   * @param y at most 65,535
   * @param z at most 65,535
   * @param threads per block, at most 1,024
   * @param sharedBytes dynamic shared memory per block; above 48 KiB where the device has it
   */
  void launch(int x, int y, int z, int threads, int sharedBytes);

  /**
   * Blocks for a grid-stride loop: one thread for each of {@code items}, but no more blocks than
   * the device holds at a time.
   */
  default int blocks(long items, int threads) {
    long wanted = (items + threads - 1) / threads;
    return (int) Math.min(wanted, (long) multiprocessors() * (2048 / threads));
  }

  /** Device memory with undefined contents that lasts until {@link Kernel#onCuda} returns. */
  Buffer scratch(DType type, int length);

  /** Sets every byte of a buffer to 0, in order with the launches. */
  void zero(Buffer buffer);

  /** Copies a buffer to another of the same length and type, in order with the launches. */
  void copy(Buffer from, Buffer to);

  /** Number of multiprocessors. */
  int multiprocessors();

  /** Which PTX runs: 75, 80 or 90, the largest that the device has. */
  int capability();

  /** True if matrix products may round their operands to TF32. */
  boolean tf32();

  /** Products and convolutions by the vendor's libraries. */
  Libraries libraries();

  /** How products and convolutions run. */
  enum Way {
    /** As follows from shapes, device, and what libraries are for: large shapes, usually. */
    RULE,
    /** By a library. */
    LIBRARY,
    /** By Limbeck's kernels, with tiles of 64×64. */
    SMALL_TILES,
    /** By Limbeck's kernels, with tiles of 128×128 where the result is that large. */
    LARGE_TILES
  }

  /** How the kernel that runs now is to run, if it is {@link Tunable}. */
  default Way way() {
    return Way.RULE;
  }
}
