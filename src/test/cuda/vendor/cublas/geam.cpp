// C = alpha op(A) + beta op(B), also in place.
#include <algorithm>
#include <vector>

#include "gemm.h"

using namespace limbeck;
using namespace limbeck::blas;

namespace {

struct Operand {
  bool transposed;
  Address address;
  int64_t ld;
  Scalar factor;
};

// Adds factor * op(matrix) to the sums; a zero factor leaves the matrix unread.
void accumulate(const Operand &operand, int64_t m, int64_t n, std::vector<double> *sums) {
  const double factor = operand.factor.get(Number::kF32);
  if (factor == 0) return;
  const int64_t rows = operand.transposed ? n : m, columns = operand.transposed ? m : n;
  for (int64_t j = 0; j < columns; j++) {
    const void *column = readable(operand.address + static_cast<Address>(j * operand.ld) * sizeof(float),
                                  static_cast<size_t>(rows) * sizeof(float), sizeof(float));
    for (int64_t i = 0; i < rows; i++) {
      const int64_t at = operand.transposed ? i * m + j : j * m + i;
      (*sums)[static_cast<size_t>(at)] += factor * load_one(Number::kF32, column, static_cast<size_t>(i));
    }
  }
}

cublasStatus_t add(const char *function, cublasHandle_t handle, int transa, int transb, int64_t m, int64_t n,
                   const float *alpha, const float *a, int64_t lda, const float *beta, const float *b, int64_t ldb, float *c,
                   int64_t ldc) {
  return with_handle(function, handle, [&](Handle &live) {
    const auto invalid = [&](const char *reason) { return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "%s", reason); };
    const Settings settings = live.settings();
    if (transa < CUBLAS_OP_N || transa > CUBLAS_OP_C || transb < CUBLAS_OP_N || transb > CUBLAS_OP_C) {
      return invalid("transa or transb is not 0, 1 or 2");
    }
    if (m < 0 || n < 0) return invalid("a negative size");
    if (lda < std::max<int64_t>(1, transa == CUBLAS_OP_N ? m : n)) return invalid("lda is below the rows of a as stored");
    if (ldb < std::max<int64_t>(1, transb == CUBLAS_OP_N ? m : n)) return invalid("ldb is below the rows of b as stored");
    if (ldc < std::max<int64_t>(1, m)) return invalid("ldc is below m");
    if (alpha == nullptr || beta == nullptr) return invalid("alpha or beta is null");
    if (a == c && (transa != CUBLAS_OP_N || lda != ldc)) return invalid("in place, a must be untransposed with lda = ldc");
    if (b == c && (transb != CUBLAS_OP_N || ldb != ldc)) return invalid("in place, b must be untransposed with ldb = ldc");
    if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
    if (c == nullptr) return invalid("c is null");
    const bool on_device = settings.pointer_mode == CUBLAS_POINTER_MODE_DEVICE;
    const Operand first{transa != CUBLAS_OP_N, address_of(a), lda, scalar_of(alpha, on_device, Number::kF32)};
    const Operand second{transb != CUBLAS_OP_N, address_of(b), ldb, scalar_of(beta, on_device, Number::kF32)};
    const Address target = address_of(c);
    return launched(function, enqueue(settings.stream, function, [=] {
      std::vector<double> sums(static_cast<size_t>(m * n));
      accumulate(first, m, n, &sums);
      accumulate(second, m, n, &sums);
      for (int64_t j = 0; j < n; j++) {
        void *column = writable(target + static_cast<Address>(j * ldc) * sizeof(float), static_cast<size_t>(m) * sizeof(float),
                                sizeof(float));
        for (int64_t i = 0; i < m; i++) {
          store_one(Number::kF32, column, static_cast<size_t>(i), sums[static_cast<size_t>(j * m + i)]);
        }
      }
    }));
  });
}

}  // namespace

cublasStatus_t cublasSgeam(cublasHandle_t handle, int transa, int transb, int m, int n, const float *alpha, const float *a,
                           int lda, const float *beta, const float *b, int ldb, float *c, int ldc) {
  return add(__func__, handle, transa, transb, m, n, alpha, a, lda, beta, b, ldb, c, ldc);
}

cublasStatus_t cublasSgeam_64(cublasHandle_t handle, int transa, int transb, int64_t m, int64_t n, const float *alpha,
                              const float *a, int64_t lda, const float *beta, const float *b, int64_t ldb, float *c,
                              int64_t ldc) {
  return add(__func__, handle, transa, transb, m, n, alpha, a, lda, beta, b, ldb, c, ldc);
}
