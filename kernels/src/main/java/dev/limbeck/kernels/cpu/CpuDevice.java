package dev.limbeck.kernels.cpu;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.op.Widened;

/** The host's processor. Kernels run to their end before {@link #execute} returns. */
public final class CpuDevice extends Device {
  private final String id;
  private final String simd;
  private final WorkerPool workers;
  private final ArrayPool arrays = new ArrayPool();

  CpuDevice(String id, boolean simd, int threads) {
    this.id = id;
    this.simd = simd ? SimdSupport.describe() : "scalar (" + SimdSupport.whyNot() + ")";
    this.workers = new WorkerPool(threads, simd);
  }

  /** A private device with its own threads; {@code simd} false selects the scalar loops. */
  public static CpuDevice open(boolean simd, int threads) {
    return new CpuDevice("cpu", simd && SimdSupport.available(), threads);
  }

  @Override
  public String id() {
    return id;
  }

  @Override
  public String description() {
    int threads = workers.threads();
    return threads + (threads == 1 ? " thread, " : " threads, ") + simd;
  }

  /** True if kernels take their Vector API path. */
  public boolean isSimd() {
    return workers.simd();
  }

  /** Number of threads that share a kernel's work. */
  public int threads() {
    return workers.threads();
  }

  @Override
  protected Buffer allocateMemory(DType type, int length) {
    return new Buffer(this, type, arrays.take(type, length), ArrayPool.lead(type), length);
  }

  @Override
  protected void releaseMemory(DType type, Object memory) {
    arrays.give(type, memory);
  }

  @Override
  protected void launch(Kernel kernel) {
    if (!Widened.launch(this, kernel, 0)) {
      kernel.onCpu(workers);
    }
  }

  @Override
  protected void upload(Object hostArray, int from, Buffer target) {
    System.arraycopy(hostArray, from, target.memory(), target.offset(), target.length());
  }

  @Override
  protected void download(Buffer source, Object hostArray, int from) {
    System.arraycopy(source.memory(), source.offset(), hostArray, from, source.length());
  }

  @Override
  public void synchronize() {}

  @Override
  public void close() {
    forgetShared();
    workers.close();
    arrays.clear();
  }
}
