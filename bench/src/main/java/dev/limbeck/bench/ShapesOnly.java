package dev.limbeck.bench;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Kernel;

/** A device without memory: kernels of any size are made on it and looked at, and never run. */
final class ShapesOnly extends Device {
  private static final Object NOTHING = new Object();

  @Override
  public String id() {
    return "shapes";
  }

  @Override
  public String description() {
    return "shapes without contents";
  }

  @Override
  protected Buffer allocateMemory(DType type, int length) {
    return new Buffer(this, type, NOTHING, 0, length);
  }

  @Override
  protected void releaseMemory(DType type, Object memory) {}

  @Override
  protected void launch(Kernel kernel) {}

  @Override
  protected void upload(Object hostArray, int from, Buffer target) {}

  @Override
  protected void download(Buffer source, Object hostArray, int from) {
    throw new UnsupportedOperationException("there are shapes only, no contents to read");
  }

  @Override
  public void synchronize() {}

  @Override
  public void close() {}
}
