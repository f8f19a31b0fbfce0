package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Libraries;
import java.util.Objects;

/** cuBLAS and cuDNN as far as they are found, opened at their first use. */
final class CudaLibraries implements Libraries, AutoCloseable {
  private final CudaDevice device;
  private final Queue queue;
  private final boolean on;
  private Blas blas;
  private Dnn dnn;

  CudaLibraries(CudaDevice device, Queue queue, boolean on) {
    this.device = device;
    this.queue = queue;
    this.on = on;
  }

  private Blas blas() {
    if (blas == null && on && Blas.unavailable().isEmpty()) {
      refuseNewInRecord("cuBLAS");
      blas = new Blas(queue, device.memoryOfItsOwn(), device.compute(), device.tf32());
    }
    return blas;
  }

  private Dnn dnn() {
    if (dnn == null && on && Dnn.unavailable().isEmpty()) {
      refuseNewInRecord("cuDNN");
      dnn = new Dnn(queue, device.tf32());
    }
    return dnn;
  }

  private void refuseNewInRecord(String library) {
    if (device.graph() != null && device.graph().records()) {
      throw new IllegalStateException("the step uses " + library + ", its rehearsal did not");
    }
  }

  @Override
  public boolean matMul(
      int batch,
      int m,
      int n,
      int k,
      Buffer a,
      boolean transposeA,
      Buffer b,
      boolean transposeB,
      Buffer c,
      boolean accumulate) {
    if (blas() == null || batch == 0 || m == 0 || n == 0 || k == 0) {
      return false;
    }
    long as = CudaDevice.address(a);
    long bs = CudaDevice.address(b);
    long cs = CudaDevice.address(c);
    int shape = Objects.hash(batch, m, n, k, transposeA, transposeB, accumulate);
    if (device.queues("matmul " + shape, as, bs, cs)) {
      blas.matMul(batch, m, n, k, as, transposeA, bs, transposeB, cs, accumulate);
    }
    return true;
  }

  @Override
  public boolean convolve(
      Pass pass, Convolution sizes, Buffer x, Buffer weight, Buffer y, boolean accumulate) {
    long bytes = dnn() == null ? -1 : dnn.workspace(pass, sizes);
    if (bytes < 0) {
      return false;
    }
    Buffer space = device.launcher().scratch(DType.I32, Math.toIntExact((bytes + 3) / 4));
    long xs = CudaDevice.address(x);
    long ws = CudaDevice.address(weight);
    long ys = CudaDevice.address(y);
    if (device.queues("conv2d " + Objects.hash(pass, sizes, accumulate), xs, ws, ys)) {
      dnn.convolve(pass, sizes, xs, ws, ys, accumulate, CudaDevice.address(space));
    }
    return true;
  }

  /** Which libraries were found, and what is used instead of the others, for people. */
  String description() {
    if (!on) {
      return "own kernels only";
    }
    String first = Blas.unavailable().map(why -> why + ", own kernels instead").orElse("cuBLAS");
    String second = Dnn.unavailable().map(why -> why + ", own kernels instead").orElse("cuDNN");
    return first + "; " + second;
  }

  @Override
  public void close() {
    if (blas != null) {
      blas.close();
    }
    if (dnn != null) {
      dnn.close();
    }
  }
}
