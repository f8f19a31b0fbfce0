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
