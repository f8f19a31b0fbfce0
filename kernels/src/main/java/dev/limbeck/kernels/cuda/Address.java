package dev.limbeck.kernels.cuda;

import jcuda.driver.CUdeviceptr;

/** A device address as JCuda wants it, with its number to be read. */
final class Address extends CUdeviceptr {
  /** To be filled by an allocation. */
  Address() {}

  /** The address of this number. */
  Address(long address) {
    super(new CUdeviceptr(), address);
  }

  long value() {
    return getNativePointer() + getByteOffset();
  }
}
