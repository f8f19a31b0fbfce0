package dev.limbeck.bench;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Launcher;
import dev.limbeck.kernels.Libraries;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** Notes what a kernel would launch on a GPU, without one: its own functions, no library's. */
public final class CudaPlan implements Launcher {
  private final Gpu gpu;
  private final List<Launch> launches = new ArrayList<>();
  private Kernel kernel;
  private String module;
  private String symbol;

  /**
   * What a kernel asks about the device.
   *
   * @param capability of the PTX: 75, 80 or 90
   * @param multiprocessors that the grids are sized for
   * @param tf32 matrix products may round their operands to TF32
   */
  public record Gpu(int capability, int multiprocessors, boolean tf32) {}

  /**
   * One launch.
   *
   * @param beside the kernel's class, beside which the module's PTX lies
   * @param shared bytes of dynamic shared memory per block
   */
  public record Launch(
      Class<?> beside, String module, String symbol, int x, int y, int z, int threads, int shared) {
    @Override
    public String toString() {
      String grid = y == 1 && z == 1 ? "" + x : x + "×" + y + "×" + z;
      String bytes = shared == 0 ? "" : ", " + shared + " bytes";
      return symbol + " [" + grid + " of " + threads + bytes + "]";
    }
  }

  private CudaPlan(Gpu gpu) {
    this.gpu = gpu;
  }

  /**
   * The launches of one kernel, in order; fills and copies of memory are none.
   *
   * @throws UnsupportedOperationException if it has no CUDA kernel
   */
  public static List<Launch> of(Kernel kernel, Gpu gpu) {
    CudaPlan plan = new CudaPlan(gpu);
    plan.kernel = kernel;
    kernel.onCuda(plan);
    return plan.launches;
  }

  @Override
  public Launcher kernel(String named, String function) {
    module = named;
    symbol = function;
    return this;
  }

  @Override
  public Launcher kernel(String named, String function, String source) {
    return kernel(named, function);
  }

  @Override
  public Launcher i32(int value) {
    return this;
  }

  @Override
  public Launcher i64(long value) {
    return this;
  }

  @Override
  public Launcher f32(float value) {
    return this;
  }

  @Override
  public Launcher pointer(Buffer buffer) {
    return this;
  }

  @Override
  public Launcher varying(float... values) {
    return this;
  }

  @Override
  public Launcher varying(int... values) {
    return this;
  }

  @Override
  public Launcher table(int[] values) {
    return this;
  }

  @Override
  public Launcher table(float[] values) {
    return this;
  }

  @Override
  public void launch(int x, int y, int z, int threads, int sharedBytes) {
    if (x > 0 && y > 0 && z > 0) {
      launches.add(new Launch(kernel.getClass(), module, symbol, x, y, z, threads, sharedBytes));
    }
  }

  @Override
  public Buffer scratch(DType type, int length) {
    Buffer any = kernel.buffers().stream().filter(Objects::nonNull).findFirst().orElseThrow();
    return any.device().allocate(type, length);
  }

  @Override
  public void zero(Buffer buffer) {}

  @Override
  public void copy(Buffer from, Buffer to) {}

  @Override
  public int multiprocessors() {
    return gpu.multiprocessors();
  }

  @Override
  public int capability() {
    return gpu.capability();
  }

  @Override
  public boolean tf32() {
    return gpu.tf32();
  }

  @Override
  public Libraries libraries() {
    return new Libraries() {};
  }
}
