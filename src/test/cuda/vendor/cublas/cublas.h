// The part of the cuBLAS 12 interface that the stand-in computes: values and signatures, stated from the public documentation.
#pragma once

#include <cstddef>
#include <cstdint>

#define CUBLAS_API extern "C" __attribute__((visibility("default")))

enum cublasStatus_t : int {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_ARCH_MISMATCH = 8,
  CUBLAS_STATUS_MAPPING_ERROR = 11,
  CUBLAS_STATUS_EXECUTION_FAILED = 13,
  CUBLAS_STATUS_INTERNAL_ERROR = 14,
  CUBLAS_STATUS_NOT_SUPPORTED = 15,
  CUBLAS_STATUS_LICENSE_ERROR = 16,
};

enum { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1, CUBLAS_OP_C = 2 };
enum { CUBLAS_POINTER_MODE_HOST = 0, CUBLAS_POINTER_MODE_DEVICE = 1 };
enum {
  CUBLAS_DEFAULT_MATH = 0,
  CUBLAS_TENSOR_OP_MATH = 1,
  CUBLAS_PEDANTIC_MATH = 2,
  CUBLAS_TF32_TENSOR_OP_MATH = 3,
  CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16,
};
enum {
  CUBLAS_COMPUTE_16F = 64,
  CUBLAS_COMPUTE_16F_PEDANTIC = 65,
  CUBLAS_COMPUTE_32F = 68,
  CUBLAS_COMPUTE_32F_PEDANTIC = 69,
  CUBLAS_COMPUTE_64F = 70,
  CUBLAS_COMPUTE_64F_PEDANTIC = 71,
  CUBLAS_COMPUTE_32I = 72,
  CUBLAS_COMPUTE_32I_PEDANTIC = 73,
  CUBLAS_COMPUTE_32F_FAST_16F = 74,
  CUBLAS_COMPUTE_32F_FAST_16BF = 75,
  CUBLAS_COMPUTE_32F_FAST_TF32 = 77,
};
enum { CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16F = 2, CUDA_R_8I = 3, CUDA_R_16BF = 14 };
enum { CUBLAS_GEMM_DEFAULT = -1, CUBLAS_GEMM_ALGO23 = 23, CUBLAS_GEMM_DEFAULT_TENSOR_OP = 99, CUBLAS_GEMM_ALGO15_TENSOR_OP = 115 };

using cublasHandle_t = void *;

CUBLAS_API cublasStatus_t cublasCreate_v2(cublasHandle_t *handle);
CUBLAS_API cublasStatus_t cublasDestroy_v2(cublasHandle_t handle);
CUBLAS_API cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, void *stream);
CUBLAS_API cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, void **stream);
CUBLAS_API cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, int mode);
CUBLAS_API cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, int *mode);
CUBLAS_API cublasStatus_t cublasSetMathMode(cublasHandle_t handle, int mode);
CUBLAS_API cublasStatus_t cublasGetMathMode(cublasHandle_t handle, int *mode);
CUBLAS_API cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, int mode);
CUBLAS_API cublasStatus_t cublasGetAtomicsMode(cublasHandle_t handle, int *mode);
CUBLAS_API cublasStatus_t cublasSetSmCountTarget(cublasHandle_t handle, int count);
CUBLAS_API cublasStatus_t cublasGetSmCountTarget(cublasHandle_t handle, int *count);
CUBLAS_API cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes);
CUBLAS_API cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int *version);
CUBLAS_API cublasStatus_t cublasGetProperty(int type, int *value);
CUBLAS_API size_t cublasGetCudartVersion(void);
CUBLAS_API const char *cublasGetStatusName(cublasStatus_t status);
CUBLAS_API const char *cublasGetStatusString(cublasStatus_t status);

#define CUBLAS_PRODUCTS(INT, SUFFIX)                                                                                           \
  CUBLAS_API cublasStatus_t cublasSgemm_v2##SUFFIX(cublasHandle_t handle, int transa, int transb, INT m, INT n, INT k,         \
                                                   const float *alpha, const float *a, INT lda, const float *b, INT ldb,       \
                                                   const float *beta, float *c, INT ldc);                                      \
  CUBLAS_API cublasStatus_t cublasSgemmStridedBatched##SUFFIX(                                                                 \
      cublasHandle_t handle, int transa, int transb, INT m, INT n, INT k, const float *alpha, const float *a, INT lda,         \
      long long stride_a, const float *b, INT ldb, long long stride_b, const float *beta, float *c, INT ldc,                   \
      long long stride_c, INT batch);                                                                                          \
  CUBLAS_API cublasStatus_t cublasGemmEx##SUFFIX(cublasHandle_t handle, int transa, int transb, INT m, INT n, INT k,           \
                                                 const void *alpha, const void *a, int a_type, INT lda, const void *b,         \
                                                 int b_type, INT ldb, const void *beta, void *c, int c_type, INT ldc,          \
                                                 int compute_type, int algorithm);                                             \
  CUBLAS_API cublasStatus_t cublasGemmStridedBatchedEx##SUFFIX(                                                                \
      cublasHandle_t handle, int transa, int transb, INT m, INT n, INT k, const void *alpha, const void *a, int a_type,        \
      INT lda, long long stride_a, const void *b, int b_type, INT ldb, long long stride_b, const void *beta, void *c,          \
      int c_type, INT ldc, long long stride_c, INT batch, int compute_type, int algorithm);                                    \
  CUBLAS_API cublasStatus_t cublasSgeam##SUFFIX(cublasHandle_t handle, int transa, int transb, INT m, INT n,                   \
                                                const float *alpha, const float *a, INT lda, const float *beta,                \
                                                const float *b, INT ldb, float *c, INT ldc);

CUBLAS_PRODUCTS(int, )
CUBLAS_PRODUCTS(int64_t, _64)
#undef CUBLAS_PRODUCTS
