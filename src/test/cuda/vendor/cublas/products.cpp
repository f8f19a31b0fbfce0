// The exported products: each fills a Product; 32-bit and 64-bit sizes share one body.
#include "gemm.h"

using namespace limbeck;
using namespace limbeck::blas;

namespace {

Matrix f32(const float *data, int64_t ld, int64_t stride = 0) { return {address_of(data), CUDA_R_32F, ld, stride}; }

}  // namespace

#define PRODUCTS(INT, SUFFIX)                                                                                                 \
  cublasStatus_t cublasSgemm_v2##SUFFIX(cublasHandle_t handle, int transa, int transb, INT m, INT n, INT k,                   \
                                        const float *alpha, const float *a, INT lda, const float *b, INT ldb,                 \
                                        const float *beta, float *c, INT ldc) {                                               \
    return multiply(__func__, handle,                                                                                         \
                    {transa, transb, m, n, k, 1, alpha, beta, f32(a, lda), f32(b, ldb), f32(c, ldc), CUBLAS_COMPUTE_32F,      \
                     CUBLAS_GEMM_DEFAULT});                                                                                   \
  }                                                                                                                           \
  cublasStatus_t cublasSgemmStridedBatched##SUFFIX(                                                                           \
      cublasHandle_t handle, int transa, int transb, INT m, INT n, INT k, const float *alpha, const float *a, INT lda,        \
      long long stride_a, const float *b, INT ldb, long long stride_b, const float *beta, float *c, INT ldc,                  \
      long long stride_c, INT batch) {                                                                                        \
    return multiply(__func__, handle,                                                                                         \
                    {transa, transb, m, n, k, batch, alpha, beta, f32(a, lda, stride_a), f32(b, ldb, stride_b),               \
                     f32(c, ldc, stride_c), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT});                                        \
  }                                                                                                                           \
  cublasStatus_t cublasGemmEx##SUFFIX(cublasHandle_t handle, int transa, int transb, INT m, INT n, INT k,                     \
                                      const void *alpha, const void *a, int a_type, INT lda, const void *b, int b_type,       \
                                      INT ldb, const void *beta, void *c, int c_type, INT ldc, int compute_type,              \
                                      int algorithm) {                                                                        \
    return multiply(__func__, handle,                                                                                         \
                    {transa, transb, m, n, k, 1, alpha, beta, {address_of(a), a_type, lda, 0},                                \
                     {address_of(b), b_type, ldb, 0}, {address_of(c), c_type, ldc, 0}, compute_type, algorithm});             \
  }                                                                                                                           \
  cublasStatus_t cublasGemmStridedBatchedEx##SUFFIX(                                                                          \
      cublasHandle_t handle, int transa, int transb, INT m, INT n, INT k, const void *alpha, const void *a, int a_type,       \
      INT lda, long long stride_a, const void *b, int b_type, INT ldb, long long stride_b, const void *beta, void *c,         \
      int c_type, INT ldc, long long stride_c, INT batch, int compute_type, int algorithm) {                                  \
    return multiply(__func__, handle,                                                                                         \
                    {transa, transb, m, n, k, batch, alpha, beta, {address_of(a), a_type, lda, stride_a},                     \
                     {address_of(b), b_type, ldb, stride_b}, {address_of(c), c_type, ldc, stride_c}, compute_type,            \
                     algorithm});                                                                                             \
  }

PRODUCTS(int, )
PRODUCTS(int64_t, _64)
