// C = alpha op(A) op(B) + beta C by the definition: sums in double, one rounding to C's type.
#include "gemm.h"

#include <vector>

namespace limbeck::blas {

namespace {

using Array = std::vector<double>;

// A matrix of the batch as op(matrix), column after column. Each stored column is asked for by itself, so that padding between
// columns is neither read nor checked.
Array load_operand(const Matrix &matrix, Number type, bool transposed, int64_t rows, int64_t columns, int64_t index,
                   InputRounding rounding) {
  const int64_t stored_rows = transposed ? columns : rows, stored_columns = transposed ? rows : columns;
  const size_t size = size_of(type);
  Array result(static_cast<size_t>(rows * columns)), column(static_cast<size_t>(stored_rows));
  for (int64_t j = 0; j < stored_columns; j++) {
    const int64_t offset = index * matrix.stride + j * matrix.ld;
    const void *host =
        readable(matrix.address + static_cast<Address>(offset) * size, static_cast<size_t>(stored_rows) * size, size);
    if (!transposed) {
      load(type, host, static_cast<size_t>(stored_rows), 1, rounding, &result[static_cast<size_t>(j * rows)]);
    } else {
      load(type, host, static_cast<size_t>(stored_rows), 1, rounding, column.data());
      for (int64_t i = 0; i < stored_rows; i++) result[static_cast<size_t>(i * rows + j)] = column[static_cast<size_t>(i)];
    }
  }
  return result;
}

}  // namespace

double Scalar::get(Number type) const {
  return on_device ? load_one(type, readable(address, size_of(type), size_of(type)), 0) : value;
}

void Job::operator()() const {
  const double scale = alpha.get(scale_type), keep = beta.get(scale_type);
  const size_t size = size_of(c_type);
  Array sums(static_cast<size_t>(m));
  for (int64_t p = 0; p < batch; p++) {
    // As in the reference BLAS, a zero alpha leaves A and B unread, a zero beta leaves C unread.
    Array left, right;
    if (k > 0 && scale != 0) {
      left = load_operand(a, a_type, transposed_a, m, k, p, rounding);
      right = load_operand(b, b_type, transposed_b, k, n, p, rounding);
    }
    for (int64_t j = 0; j < n; j++) {
      sums.assign(sums.size(), 0);
      for (int64_t l = 0; l < k && scale != 0; l++) {
        multiply_add(sums.data(), &left[static_cast<size_t>(l * m)], right[static_cast<size_t>(j * k + l)], sums.size());
      }
      const Address column = c.address + static_cast<Address>(p * c.stride + j * c.ld) * size;
      const void *before = keep == 0 ? nullptr : readable(column, sums.size() * size, size);
      void *after = writable(column, sums.size() * size, size);
      for (size_t i = 0; i < sums.size(); i++) {
        const double kept = keep == 0 ? 0 : keep * load_one(c_type, before, i);
        store_one(c_type, after, i, scale == 0 ? kept : scale * sums[i] + kept);
      }
    }
  }
}

cublasStatus_t launched(const char *function, int result) {
  if (result == kSuccess) return CUBLAS_STATUS_SUCCESS;
  return BLAS_REFUSE(function, CUBLAS_STATUS_EXECUTION_FAILED, "the launch failed with CUresult %d", result);
}

cublasStatus_t multiply(const char *function, cublasHandle_t handle, const Product &product) {
  return with_handle(function, handle, [&](Handle &live) {
    const Settings settings = live.settings();
    Job job{};
    const cublasStatus_t status = check(function, product, settings, &job);
    if (status != CUBLAS_STATUS_SUCCESS || job.m == 0 || job.n == 0 || job.batch == 0) return status;
    return launched(function, enqueue(settings.stream, function, job));
  });
}

}  // namespace limbeck::blas
