package dev.limbeck.kernels.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/** Host memory that the device copies from and to while the host goes on. */
final class Pinned implements AutoCloseable {
  private final HostPointer pointer = new HostPointer();
  private final ByteBuffer bytes;

  /** A host address whose number can be read. */
  private static final class HostPointer extends Pointer {
    long value() {
      return getNativePointer();
    }
  }

  /** Memory of the current context. */
  Pinned(int size) {
    Driver.check("cuMemHostAlloc", JCudaDriver.cuMemHostAlloc(pointer, size, 0), size + " bytes");
    bytes = pointer.getByteBuffer(0, size).order(ByteOrder.nativeOrder());
  }

  /** The memory itself. */
  ByteBuffer bytes() {
    return bytes;
  }

  /** A pointer to byte {@code offset}. */
  Pointer at(long offset) {
    return pointer.withByteOffset(offset);
  }

  /** The host address of byte 0. */
  long address() {
    return pointer.value();
  }

  @Override
  public void close() {
    JCudaDriver.cuMemFreeHost(pointer);
  }
}
