package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.Device;
import dev.limbeck.kernels.DeviceProvider;
import dev.limbeck.kernels.DeviceUnavailableException;
import java.util.Optional;
import jcuda.driver.CUdevice;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/** Opens NVIDIA GPUs: {@code cuda:0}, {@code cuda:1} and so on; {@code cuda} is the first. */
public final class CudaProvider implements DeviceProvider {
  @Override
  public String id() {
    return "cuda";
  }

  @Override
  public int rank() {
    return 10;
  }

  @Override
  public String canonical(String id) {
    return id.equals(id()) ? "cuda:0" : id;
  }

  @Override
  public Optional<String> unavailable() {
    return Driver.unavailable();
  }

  @Override
  public Device open(String id) {
    String number = canonical(id).substring(id().length() + 1);
    int index = number.matches("\\d{1,4}") ? Integer.parseInt(number) : -1;
    if (index < 0 || index >= Driver.devices()) {
      throw new DeviceUnavailableException(
          "there is no device \"" + id + "\"; the driver has " + last(Driver.devices()));
    }
    return CudaDevice.open(index);
  }

  /**
   * True if the driver knows a GPU by this PCI bus address, as in {@code 0000:3b:00.0}; the
   * software CUDA device of the tests takes its options as such addresses.
   */
  public static boolean hasDeviceAt(String address) {
    return JCudaDriver.cuDeviceGetByPCIBusId(new CUdevice(), address) == CUresult.CUDA_SUCCESS;
  }

  private static String last(int count) {
    return count == 1 ? "cuda:0 only" : "cuda:0 to cuda:" + (count - 1);
  }
}
