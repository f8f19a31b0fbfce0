package dev.limbeck.kernels.op;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.Kernel;
import dev.limbeck.kernels.Operands;
import dev.limbeck.kernels.Scope;
import java.util.ArrayList;
import java.util.List;

/**
 * F32 copies of BF16 operands: a launch reads them, computes in F32, and its results are rounded
 * once. So does every launch on the CPU, where BF16 is storage; on CUDA, those without a function
 * for BF16 ({@link Kernel#takesHalves}).
 */
public final class Widened implements Operands {
  private final Device device;
  private final List<Cast> roundings = new ArrayList<>();

  private Widened(Device device) {
    this.device = device;
  }

  /**
   * Launches a kernel whose code does not take its BF16 operands.
   *
   * @param ptx which code runs, as for {@link Kernel#takesHalves}
   * @return false, having done nothing, if the kernel can run as it is
   */
  public static boolean launch(Device device, Kernel kernel, int ptx) {
    boolean halves = false;
    for (Buffer buffer : kernel.buffers()) {
      halves |= isHalf(buffer);
    }
    if (!halves || kernel.takesHalves(ptx)) {
      return false;
    }
    try (Scope scope = Scope.open()) {
      Widened operands = new Widened(device);
      device.execute(kernel.on(operands));
      operands.roundings.forEach(device::execute);
    }
    return true;
  }

  private static boolean isHalf(Buffer buffer) {
    return buffer != null && buffer.type() == DType.BF16;
  }

  @Override
  public Buffer read(Buffer buffer) {
    if (!isHalf(buffer)) {
      return buffer;
    }
    Buffer wide = device.allocate(DType.F32, buffer.length());
    device.execute(new Cast(buffer, wide));
    return wide;
  }

  @Override
  public Buffer written(Buffer buffer) {
    if (!isHalf(buffer)) {
      return buffer;
    }
    Buffer wide = device.allocate(DType.F32, buffer.length());
    roundings.add(new Cast(wide, buffer));
    return wide;
  }

  @Override
  public Buffer updated(Buffer buffer) {
    if (!isHalf(buffer)) {
      return buffer;
    }
    Buffer wide = read(buffer);
    roundings.add(new Cast(wide, buffer));
    return wide;
  }
}
