package dev.limbeck.kernels.cuda;

import dev.limbeck.kernels.DeviceException;
import java.util.Optional;
import jcuda.Pointer;
import jcuda.cudaDataType;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasComputeType;
import jcuda.jcublas.cublasGemmAlgo;
import jcuda.jcublas.cublasHandle;
import jcuda.jcublas.cublasOperation;
import jcuda.jcublas.cublasStatus;
import jcuda.runtime.cudaStream_t;

/** cuBLAS on one queue, with a workspace of its own: the same product gives the same bits. */
final class Blas implements AutoCloseable {
  /** NVIDIA's recommendation: 32 MiB from capability 9.0 on, 4 MiB before. */
  private static final long WORKSPACE = 4L << 20;

  private static final long WORKSPACE_90 = 32L << 20;

  private static final String WHY_NOT =
      Redist.before(
          "libcublas",
          () ->
              Driver.load(
                  () -> JCublas2.setExceptionsEnabled(false),
                  "libcublas.so.12",
                  "no cuBLAS of CUDA 12"));

  private static final Pointer ONE = Pointer.to(new float[] {1f});
  private static final Pointer ZERO = Pointer.to(new float[] {0f});

  private final cublasHandle handle = new cublasHandle();
  private final Allocator.Block workspace;
  private final boolean tf32;

  Blas(Queue queue, Allocator memory, int compute, boolean tf32) {
    this.tf32 = tf32;
    check("cublasCreate", JCublas2.cublasCreate(handle));
    workspace = memory.take(compute >= 90 ? WORKSPACE_90 : WORKSPACE);
    check("cublasSetStream", JCublas2.cublasSetStream(handle, new cudaStream_t(queue.stream)));
    // After the stream, which resets it.
    check(
        "cublasSetWorkspace",
        JCublas2.cublasSetWorkspace(handle, new Address(workspace.address), workspace.bytes));
  }

  /** Empty if the library is there, else one sentence that says why not. */
  static Optional<String> unavailable() {
    return WHY_NOT.isEmpty() ? Optional.empty() : Optional.of(WHY_NOT);
  }

  /** The version in cuBLAS's own form, as in 120604. */
  int version() {
    int[] version = new int[1];
    check("cublasGetVersion", JCublas2.cublasGetVersion(handle, version));
    return version[0];
  }

  /**
   * Cᵢ = op(Aᵢ)·op(Bᵢ) (+ Cᵢ), row by row. The library counts columns first, so it computes the
   * transposed product: operands in exchanged order.
   */
  void matMul(
      int batch,
      int m,
      int n,
      int k,
      long a,
      boolean transposeA,
      long b,
      boolean transposeB,
      long c,
      boolean accumulate) {
    // JCuda's cublasGemmEx takes another type for the computation than the C function; _new does.
    int status =
        JCublas2.cublasGemmStridedBatchedEx_new(
            handle,
            transposeB ? cublasOperation.CUBLAS_OP_T : cublasOperation.CUBLAS_OP_N,
            transposeA ? cublasOperation.CUBLAS_OP_T : cublasOperation.CUBLAS_OP_N,
            n,
            m,
            k,
            ONE,
            new Address(b),
            cudaDataType.CUDA_R_32F,
            transposeB ? k : n,
            (long) k * n,
            new Address(a),
            cudaDataType.CUDA_R_32F,
            transposeA ? m : k,
            (long) m * k,
            accumulate ? ONE : ZERO,
            new Address(c),
            cudaDataType.CUDA_R_32F,
            n,
            (long) m * n,
            batch,
            tf32
                ? cublasComputeType.CUBLAS_COMPUTE_32F_FAST_TF32
                : cublasComputeType.CUBLAS_COMPUTE_32F,
            cublasGemmAlgo.CUBLAS_GEMM_DEFAULT);
    if (status != 0) {
      check("cublasGemmStridedBatchedEx", status);
    }
  }

  private static void check(String call, int status) {
    if (status != 0) {
      throw new DeviceException(call, cublasStatus.stringFor(status), "");
    }
  }

  @Override
  public void close() {
    JCublas2.cublasDestroy(handle);
  }
}
