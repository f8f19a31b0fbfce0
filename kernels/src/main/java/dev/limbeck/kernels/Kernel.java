package dev.limbeck.kernels;

import java.util.List;
import java.util.Objects;

/**
 * One launch of one operation with its arguments bound.
 *
 * <p>An operation's class holds the code for every kind of device side by side: {@link #onCpu} is
 * the loop on host arrays, {@link #onCuda} launches functions of the {@code .cu} file that lies
 * beside the class.
 */
public interface Kernel {
  /** The operation's name, as in {@code conv2d}. */
  String name();

  /** Every buffer that the launch reads or writes; null entries (absent operands) are skipped. */
  List<Buffer> buffers();

  /** Operations on floats that the definition asks for, whichever algorithm runs. */
  default double flops() {
    return 0;
  }

  /** Bytes that have to move: each operand is read or written once. */
  default double bytes() {
    return buffers().stream().filter(Objects::nonNull).mapToDouble(Buffer::bytes).sum();
  }

  /**
   * The algorithm by which {@link #onCpu} computes these arguments.
   *
   * @param simd whether the Vector API is there
   */
  default String path(boolean simd) {
    for (Class<?> nested : getClass().getDeclaredClasses()) {
      if (simd && nested.getSimpleName().equals("Simd")) {
        return "vectors";
      }
    }
    return "loop";
  }

  /**
   * Whether the code of a device takes BF16 operands of this launch as they are: {@link #onCpu} if
   * {@code ptx} is 0, else {@link #onCuda} with PTX 75, 80 or 90. Where it does not, the device
   * launches {@link #on} F32 copies of them, and rounds the results.
   */
  default boolean takesHalves(int ptx) {
    return false;
  }

  /**
   * The same launch on other buffers.
   *
   * @throws IllegalArgumentException if the operation has no meaning for BF16
   */
  default Kernel on(Operands by) {
    throw new IllegalArgumentException(name() + " takes no BF16 operands: convert them to F32");
  }

  /** Runs on host memory. */
  void onCpu(Ranges ranges);

  /**
   * Runs on a CUDA device: launches and returns without waiting.
   *
   * @throws UnsupportedOperationException if the operation has no CUDA kernel
   */
  default void onCuda(Launcher cuda) {
    throw new UnsupportedOperationException(
        name() + " has no CUDA kernel: compute it on a CPU device");
  }
}
