package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.Buffer;
import dev.limbeck.kernels.DType;
import dev.limbeck.kernels.Launcher.Way;
import dev.limbeck.kernels.Libraries;

/** cuBLAS and cuDNN as far as they are found, opened at their first use. */
final class CudaLibraries implements Libraries, AutoCloseable {
  /** What a trail of launches says of a kernel that a library ran. */
  static final String BLAS = "cuBLAS";

  static final String DNN = "cuDNN";

  private final CudaDevice device;
  private final Queue queue;
  private final LibraryUse use;
  private Blas blas;
  private Dnn dnn;

  CudaLibraries(CudaDevice device, Queue queue, LibraryUse use) {
    this.device = device;
    this.queue = queue;
    this.use = use;
  }

  private boolean isOn() {
    return use != LibraryUse.OFF;
  }

  /** True if a measurement, or a choice that one made, asks for the library, whatever the rule. */
  private boolean isAsked() {
    return device.launcher().way() == Way.LIBRARY;
  }

  private Blas blas() {
    if (blas == null && isOn() && Blas.unavailable().isEmpty()) {
      refuseNewInRecord("cuBLAS");
      blas = new Blas(queue, device.memoryOfItsOwn(), device.compute(), device.tf32());
    }
    return blas;
  }

  private Dnn dnn() {
    if (dnn == null && isOn() && Dnn.unavailable().isEmpty()) {
      refuseNewInRecord("cuDNN");
      dnn = new Dnn(queue, device.tf32());
    }
    return dnn;
  }

  private void refuseNewInRecord(String library) {
    if (device.record() != null) {
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
    boolean empty = batch == 0 || m == 0 || n == 0 || k == 0;
    if (empty || !(use.takes((long) m * n * k) || isAsked()) || blas() == null) {
      return false;
    }
    device.launcher().tookOver(BLAS);
    long as = CudaDevice.address(a);
    long bs = CudaDevice.address(b);
    long cs = CudaDevice.address(c);
    StepGraph record = device.record();
    if (record == null
        || record
            .begin("matmul")
            .with(batch)
            .with(m)
            .with(n)
            .with(k)
            .with(flags(transposeA, transposeB, accumulate))
            .with(as)
            .with(bs)
            .with(cs)
            .end()) {
      blas.matMul(batch, m, n, k, as, transposeA, bs, transposeB, cs, accumulate);
    }
    return true;
  }

  @Override
  public boolean convolve(
      Pass pass, Convolution sizes, Buffer x, Buffer weight, Buffer y, boolean accumulate) {
    boolean wanted = use.takes(sizes) || isAsked();
    long bytes = !wanted || dnn() == null ? -1 : dnn.workspace(pass, sizes);
    if (bytes < 0) {
      return false;
    }
    device.launcher().tookOver(DNN);
    Buffer space = device.launcher().scratch(DType.I32, Math.toIntExact((bytes + 3) / 4));
    long xs = CudaDevice.address(x);
    long ws = CudaDevice.address(weight);
    long ys = CudaDevice.address(y);
    StepGraph record = device.record();
    if (record == null
        || write(sizes, record.begin("conv2d"))
            .with(flags(accumulate, pass == Pass.INPUT_GRADIENT, pass == Pass.WEIGHT_GRADIENT))
            .with(xs)
            .with(ws)
            .with(ys)
            .end()) {
      dnn.convolve(pass, sizes, xs, ws, ys, accumulate, CudaDevice.address(space));
    }
    return true;
  }

  private static StepGraph write(Convolution s, StepGraph record) {
    return record
        .with(s.n())
        .with(s.h())
        .with(s.w())
        .with(s.c())
        .with(s.o())
        .with(s.kh())
        .with(s.kw())
        .with(s.strideY())
        .with(s.strideX())
        .with(s.padY())
        .with(s.padX())
        .with(s.outH())
        .with(s.outW());
  }

  private static int flags(boolean a, boolean b, boolean c) {
    return (a ? 1 : 0) + (b ? 2 : 0) + (c ? 4 : 0);
  }

  /** Which versions run, and for what, for a file that other runs read. */
  String versions() {
    String first = blas() == null ? "no cuBLAS" : "cuBLAS " + blas.version();
    return "libraries "
        + use
        + ": "
        + first
        + "; "
        + (dnn() == null ? "no cuDNN" : "cuDNN " + Dnn.version());
  }

  /** Which libraries were found, and what is used instead of the others, for people. */
  String description() {
    if (!isOn()) {
      return "own kernels only";
    }
    String first = Blas.unavailable().map(why -> why + ", own kernels instead").orElse("cuBLAS");
    String second = Dnn.unavailable().map(why -> why + ", own kernels instead").orElse("cuDNN");
    return first + "; " + second + Redist.origin();
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
