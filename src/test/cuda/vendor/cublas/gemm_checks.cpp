// What cuBLAS refuses: sizes, leading dimensions, type combinations; and what it leaves undefined, refused here.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "gemm.h"

namespace limbeck::blas {

namespace {

constexpr const char *kMatrixNames[] = {"a", "b", "c"};

bool is_operation(int op) { return op == CUBLAS_OP_N || op == CUBLAS_OP_T || op == CUBLAS_OP_C; }

bool is_algorithm(int algorithm) {
  return (algorithm >= CUBLAS_GEMM_DEFAULT && algorithm <= CUBLAS_GEMM_ALGO23) ||
         (algorithm >= CUBLAS_GEMM_DEFAULT_TENSOR_OP && algorithm <= CUBLAS_GEMM_ALGO15_TENSOR_OP);
}

// The rows of the cublasGemmEx table that are real numbers of 16, 32 and 64 bits.
bool is_listed(int compute, int a, int b, int c) {
  if (a != b) return false;
  switch (compute) {
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC:
      return (a == CUDA_R_32F && c == CUDA_R_32F) || ((a == CUDA_R_16F || a == CUDA_R_16BF) && (c == a || c == CUDA_R_32F));
    case CUBLAS_COMPUTE_32F_FAST_16F:
    case CUBLAS_COMPUTE_32F_FAST_16BF:
    case CUBLAS_COMPUTE_32F_FAST_TF32:
      return a == CUDA_R_32F && c == CUDA_R_32F;
    case CUBLAS_COMPUTE_64F:
    case CUBLAS_COMPUTE_64F_PEDANTIC:
      return a == CUDA_R_64F && c == CUDA_R_64F;
    default:
      return false;
  }
}

// What the tensor cores may do to F32 inputs; before Ampere "fast" TF32 and BF16 are permissions that go unused.
InputRounding rounding_of(const Product &product, const Settings &settings, int capability) {
  if (product.a.type != CUDA_R_32F) return InputRounding::kNone;
  const bool ampere = capability >= 80;
  const int mode = settings.math_mode & ~CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
  switch (product.compute_type) {
    case CUBLAS_COMPUTE_32F_FAST_16F:
      return InputRounding::kF16;
    case CUBLAS_COMPUTE_32F_FAST_16BF:
      return ampere ? InputRounding::kBf16 : InputRounding::kNone;
    case CUBLAS_COMPUTE_32F_FAST_TF32:
      return ampere ? InputRounding::kTf32 : InputRounding::kNone;
    case CUBLAS_COMPUTE_32F:
      return ampere && mode == CUBLAS_TF32_TENSOR_OP_MATH ? InputRounding::kTf32 : InputRounding::kNone;
    default:
      return InputRounding::kNone;
  }
}

// Whether two matrices of the batch share an element: i + j * ld + p * stride meets itself for a difference of indices.
bool batches_collide(int64_t rows, int64_t columns, int64_t ld, int64_t stride, int64_t batch) {
  for (int64_t p = 1; p < batch; p++) {
    const int64_t distance = std::llabs(stride) * p;
    const int64_t column = distance / ld;
    if (column > columns) return false;  // from here on they lie apart
    for (int64_t j = column; j <= column + 1; j++) {
      if (j < columns && std::llabs(distance - j * ld) < rows) return true;
    }
  }
  return false;
}

// A matrix of the caller as it lies in memory: `columns` runs of `rows` elements, for each of the batch.
struct Stored {
  Matrix matrix;
  int64_t rows, columns, batch, size;
};

struct Extent {
  Address first, end;
};

// The bytes from the first to the last element; an absurd stride may wrap here, and is then found by the memory check.
Extent extent_of(const Stored &s) {
  const Address first = s.matrix.address, run = static_cast<Address>((s.columns - 1) * s.matrix.ld + s.rows) * s.size;
  const Address span = static_cast<Address>(s.batch - 1) * static_cast<Address>(s.matrix.stride) * s.size;
  return s.matrix.stride < 0 ? Extent{first + span, first + run} : Extent{first, first + span + run};
}

std::vector<Extent> runs_of(const Stored &s) {
  std::vector<Extent> runs;
  for (int64_t p = 0; p < s.batch; p++) {
    for (int64_t j = 0; j < s.columns; j++) {
      const Address first = s.matrix.address + static_cast<Address>(p * s.matrix.stride + j * s.matrix.ld) * s.size;
      runs.push_back({first, first + static_cast<Address>(s.rows * s.size)});
    }
  }
  std::sort(runs.begin(), runs.end(), [](const Extent &one, const Extent &other) { return one.first < other.first; });
  return runs;
}

bool meet(const Extent &one, const Extent &other) { return one.first < other.end && other.first < one.end; }

// Exact: interleaved matrices (heads, parts of one packed buffer) may lie within each other's range without sharing an element.
bool share_elements(const Stored &one, const Stored &other) {
  if (!meet(extent_of(one), extent_of(other))) return false;
  const std::vector<Extent> left = runs_of(one), right = runs_of(other);
  for (size_t i = 0, j = 0; i < left.size() && j < right.size();) {
    if (meet(left[i], right[j])) return true;
    left[i].first < right[j].first ? i++ : j++;
  }
  return false;
}

cublasStatus_t check_sizes(const char *function, const Product &p) {
  if (!is_operation(p.transa) || !is_operation(p.transb)) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "transa = %d, transb = %d: not 0, 1 or 2", p.transa, p.transb);
  }
  if (p.m < 0 || p.n < 0 || p.k < 0 || p.batch < 0) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "a negative size: m = %lld, n = %lld, k = %lld, batch = %lld",
                       static_cast<long long>(p.m), static_cast<long long>(p.n), static_cast<long long>(p.k),
                       static_cast<long long>(p.batch));
  }
  const int64_t rows[] = {p.transa == CUBLAS_OP_N ? p.m : p.k, p.transb == CUBLAS_OP_N ? p.k : p.n, p.m};
  const int64_t lds[] = {p.a.ld, p.b.ld, p.c.ld};
  for (int i = 0; i < 3; i++) {
    if (lds[i] < std::max<int64_t>(1, rows[i])) {
      return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "ld%s = %lld is below max(1, %lld rows as stored)",
                         kMatrixNames[i], static_cast<long long>(lds[i]), static_cast<long long>(rows[i]));
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_types(const char *function, const Product &p, Job *job) {
  if (!is_algorithm(p.algorithm)) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "%d is no cublasGemmAlgo_t", p.algorithm);
  }
  if (!is_listed(p.compute_type, p.a.type, p.b.type, p.c.type)) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_NOT_SUPPORTED,
                       "compute type %d with data types a %d, b %d, c %d is not in the table of cublasGemmEx (or is one of its "
                       "integer, complex or half-accumulating rows, which are not computed here)",
                       p.compute_type, p.a.type, p.b.type, p.c.type);
  }
  number_of(p.a.type, &job->a_type);
  number_of(p.b.type, &job->b_type);
  number_of(p.c.type, &job->c_type);
  job->scale_type = job->a_type == Number::kF64 ? Number::kF64 : Number::kF32;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_output(const char *function, const Product &p, const Job &job) {
  if (p.c.address == 0) return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "c is null");
  if (batches_collide(p.m, p.n, p.c.ld, p.c.stride, p.batch)) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "the matrices c of the batch overlap: stride %lld, ldc %lld",
                       static_cast<long long>(p.c.stride), static_cast<long long>(p.c.ld));
  }
  if (p.k == 0) return CUBLAS_STATUS_SUCCESS;
  const auto stored = [&](const Matrix &matrix, Number type, int op, int64_t rows, int64_t columns) {
    const auto size = static_cast<int64_t>(size_of(type));
    return op == CUBLAS_OP_N ? Stored{matrix, rows, columns, p.batch, size} : Stored{matrix, columns, rows, p.batch, size};
  };
  const Stored c = stored(p.c, job.c_type, CUBLAS_OP_N, p.m, p.n);
  if (share_elements(c, stored(p.a, job.a_type, p.transa, p.m, p.k)) ||
      share_elements(c, stored(p.b, job.b_type, p.transb, p.k, p.n))) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "c overlaps a or b");
  }
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

bool number_of(int type, Number *number) {
  switch (type) {
    case CUDA_R_32F:
      *number = Number::kF32;
      return true;
    case CUDA_R_64F:
      *number = Number::kF64;
      return true;
    case CUDA_R_16F:
      *number = Number::kF16;
      return true;
    case CUDA_R_16BF:
      *number = Number::kBf16;
      return true;
    default:
      return false;
  }
}

Scalar scalar_of(const void *pointer, bool on_device, Number type) {
  return {on_device, on_device ? 0 : load_one(type, pointer, 0), on_device ? address_of(pointer) : 0};
}

cublasStatus_t check(const char *function, const Product &p, const Settings &settings, Job *job) {
  cublasStatus_t status = check_sizes(function, p);
  if (status == CUBLAS_STATUS_SUCCESS) status = check_types(function, p, job);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  if (p.alpha == nullptr || p.beta == nullptr) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "alpha or beta is null");
  }
  const int capability = compute_capability();
  if (capability == 0) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_EXECUTION_FAILED, "the device does not answer: no current context, or one in error");
  }
  if (capability < 50) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_ARCH_MISMATCH, "compute capability %d.%d is below 5.0", capability / 10,
                       capability % 10);
  }
  job->m = p.m, job->n = p.n, job->k = p.k, job->batch = p.batch;
  job->transposed_a = p.transa != CUBLAS_OP_N;
  job->transposed_b = p.transb != CUBLAS_OP_N;
  job->a = p.a, job->b = p.b, job->c = p.c;
  if (p.m == 0 || p.n == 0 || p.batch == 0) return CUBLAS_STATUS_SUCCESS;  // nothing to read, nothing to write
  const bool on_device = settings.pointer_mode == CUBLAS_POINTER_MODE_DEVICE;
  job->alpha = scalar_of(p.alpha, on_device, job->scale_type);
  job->beta = scalar_of(p.beta, on_device, job->scale_type);
  job->rounding = rounding_of(p, settings, capability);
  return check_output(function, p, *job);
}

}  // namespace limbeck::blas
