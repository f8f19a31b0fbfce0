// Products against a reference of another form (row, column and element found by an accessor, sums over the definition).
#include <atomic>
#include <thread>

#include "check.h"
#include "cublas.h"
#include "fake_driver.h"
#include "number.h"

namespace {

cublasHandle_t handle;

using limbeck::from_bf16;
using limbeck::to_bf16;

struct Buffer {
  void *device;
  size_t count, size;

  Buffer(const std::vector<float> &values, int type) : count(values.size()), size(type == CUDA_R_32F ? 4 : 2) {
    device = fake::allocate(count * size);
    for (size_t i = 0; i < count; i++) {
      if (type == CUDA_R_32F) {
        static_cast<float *>(fake::host(device))[i] = values[i];
      } else {
        static_cast<uint16_t *>(fake::host(device))[i] = to_bf16(values[i]);
      }
    }
  }

  double at(size_t i) const {
    return size == 4 ? static_cast<float *>(fake::host(device))[i] : from_bf16(static_cast<uint16_t *>(fake::host(device))[i]);
  }
};

// op(X)[i][j] of a column-major matrix with leading dimension ld.
double element(const std::vector<float> &x, bool transposed, size_t ld, size_t offset, size_t i, size_t j) {
  return transposed ? x[offset + j + i * ld] : x[offset + i + j * ld];
}

void every_layout(int in_type, int out_type) {
  const int m = 5, n = 4, k = 7;
  for (int transa : {CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C}) {
    for (int transb : {CUBLAS_OP_N, CUBLAS_OP_T}) {
      for (float beta : {0.0F, 1.0F, -0.5F}) {
        const int lda = (transa == CUBLAS_OP_N ? m : k) + 2, ldb = (transb == CUBLAS_OP_N ? k : n) + 1, ldc = m + 3;
        const auto a = eighths(static_cast<size_t>(lda) * 8, 1), b = eighths(static_cast<size_t>(ldb) * 8, 2);
        auto c = eighths(static_cast<size_t>(ldc) * n, 3);
        if (beta == 0) {
          for (float &value : c) value = NAN;  // must not be read
        }
        Buffer da(a, in_type), db(b, in_type), dc(c, out_type);
        const float alpha = 0.5F;
        CHECK_EQUAL(cublasGemmEx(handle, transa, transb, m, n, k, &alpha, da.device, in_type, lda, db.device, in_type, ldb, &beta,
                                 dc.device, out_type, ldc, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                    CUBLAS_STATUS_SUCCESS);
        CHECK_EQUAL(fake::run_all(), 0);
        for (size_t j = 0; j < n; j++) {
          for (size_t i = 0; i < static_cast<size_t>(ldc); i++) {
            const double before = c[i + j * static_cast<size_t>(ldc)], after = dc.at(i + j * static_cast<size_t>(ldc));
            if (i >= m) {  // padding stays
              CHECK(after == before || (std::isnan(after) && std::isnan(before)));
              continue;
            }
            double sum = 0;
            for (size_t l = 0; l < k; l++) {
              sum += element(a, transa != CUBLAS_OP_N, static_cast<size_t>(lda), 0, i, l) *
                     element(b, transb != CUBLAS_OP_N, static_cast<size_t>(ldb), 0, l, j);
            }
            const double exact = alpha * sum + (beta == 0 ? 0 : beta * before);
            CHECK_EQUAL(after, out_type == CUDA_R_32F ? exact : from_bf16(to_bf16(exact)));
          }
        }
      }
    }
  }
}

// Attention's layout: heads interleaved in the rows of one matrix, so that the batch's matrices lie within each other's columns.
void interleaved_batches() {
  const int heads = 3, width = 4, tokens = 5, ld = heads * width;
  const auto a = eighths(static_cast<size_t>(ld) * tokens, 4), b = eighths(static_cast<size_t>(tokens) * tokens * heads, 5);
  Buffer da(a, CUDA_R_32F), db(b, CUDA_R_32F), dc(std::vector<float>(a.size(), NAN), CUDA_R_32F);
  const float one = 1, zero = 0;
  CHECK_EQUAL(cublasGemmStridedBatchedEx(handle, 0, 0, width, tokens, tokens, &one, da.device, CUDA_R_32F, ld, width, db.device,
                                         CUDA_R_32F, tokens, tokens * tokens, &zero, dc.device, CUDA_R_32F, ld, width, heads,
                                         CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
              CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(fake::run_all(), 0);
  for (size_t h = 0; h < heads; h++) {
    for (size_t i = 0; i < width; i++) {
      for (size_t j = 0; j < tokens; j++) {
        double sum = 0;
        for (size_t l = 0; l < tokens; l++) {
          sum += element(a, false, ld, h * width, i, l) * element(b, false, tokens, h * tokens * tokens, l, j);
        }
        CHECK_EQUAL(dc.at(h * width + i + j * ld), sum);
      }
    }
  }
}

// A stride beyond 2^31 elements must arrive whole: with one batch it is not used, with two it points outside memory.
void wide_strides() {
  Buffer a({2}, CUDA_R_32F), b({3}, CUDA_R_32F), c({0}, CUDA_R_32F);
  const float one = 1, zero = 0;
  const long long wide = 1LL << 33;
  const auto call = [&](long long stride_a, int batch, void *target, long long stride_c) {
    return cublasSgemmStridedBatched(handle, 0, 0, 1, 1, 1, &one, static_cast<float *>(a.device), 1, stride_a,
                                     static_cast<float *>(b.device), 1, 0, &zero, static_cast<float *>(target), 1, stride_c, batch);
  };
  CHECK_EQUAL(call(wide, 1, c.device, wide), 0);
  CHECK_EQUAL(fake::run_all(), 0);
  CHECK_EQUAL(c.at(0), 6);
  CHECK_EQUAL(call(wide, 2, Buffer({0, 0}, CUDA_R_32F).device, 1), 0);  // truncated to 32 bits it would be stride 0 and succeed
  CHECK_EQUAL(fake::run_all(), 700);
  CHECK_EQUAL(call(0, 2, c.device, wide), 0);
  CHECK_EQUAL(fake::run_all(), 700);
  CHECK_EQUAL(cublasSgemm_v2_64(handle, 0, 0, 1, 1, 1, &one, static_cast<float *>(a.device), wide, static_cast<float *>(b.device),
                                wide, &zero, static_cast<float *>(c.device), wide),
              0);
  CHECK_EQUAL(fake::run_all(), 0);
}

// What the tensor cores drop, and who lets them.
void input_rounding() {
  const float fine = 1 + 0x1p-12F;
  Buffer a({fine}, CUDA_R_32F), b({1}, CUDA_R_32F), c({0}, CUDA_R_32F);
  const float one = 1, zero = 0;
  const auto product = [&](int compute) {
    CHECK_EQUAL(cublasGemmEx(handle, 0, 0, 1, 1, 1, &one, a.device, CUDA_R_32F, 1, b.device, CUDA_R_32F, 1, &zero, c.device,
                             CUDA_R_32F, 1, compute, CUBLAS_GEMM_DEFAULT),
                0);
    CHECK_EQUAL(fake::run_all(), 0);
    return c.at(0);
  };
  const auto sgemm = [&] {
    CHECK_EQUAL(cublasSgemm_v2(handle, 0, 0, 1, 1, 1, &one, static_cast<float *>(a.device), 1, static_cast<float *>(b.device), 1,
                               &zero, static_cast<float *>(c.device), 1),
                0);
    CHECK_EQUAL(fake::run_all(), 0);
    return c.at(0);
  };
  CHECK_EQUAL(product(CUBLAS_COMPUTE_32F), fine);
  CHECK_EQUAL(product(CUBLAS_COMPUTE_32F_FAST_TF32), 1);
  static_cast<float *>(fake::host(a.device))[0] = 1 + 0x1p-11F;
  CHECK_EQUAL(product(CUBLAS_COMPUTE_32F_FAST_TF32), 1 + 0x1p-10);  // rounded, not cut
  static_cast<float *>(fake::host(a.device))[0] = fine;
  CHECK_EQUAL(product(CUBLAS_COMPUTE_32F_FAST_16BF), 1);
  CHECK_EQUAL(product(CUBLAS_COMPUTE_32F_FAST_16F), 1);
  CHECK_EQUAL(product(CUBLAS_COMPUTE_32F_PEDANTIC), fine);
  CHECK_EQUAL(sgemm(), fine);
  CHECK_EQUAL(cublasSetMathMode(handle, CUBLAS_TF32_TENSOR_OP_MATH), 0);
  CHECK_EQUAL(sgemm(), 1);
  CHECK_EQUAL(product(CUBLAS_COMPUTE_32F_PEDANTIC), fine);
  fake::set_capability(75);
  CHECK_EQUAL(sgemm(), fine);
  CHECK_EQUAL(product(CUBLAS_COMPUTE_32F_FAST_TF32), fine);
  fake::set_capability(80);
  CHECK_EQUAL(cublasSetMathMode(handle, CUBLAS_DEFAULT_MATH), 0);
}

// Host scalars are read during the call, device scalars when the product runs; nothing runs before the stream gets there.
void pointer_modes() {
  Buffer a({2}, CUDA_R_32F), b({3}, CUDA_R_32F), c({10}, CUDA_R_32F), scalars({1, 0}, CUDA_R_32F);
  auto *host = static_cast<float *>(fake::host(scalars.device));
  const auto call = [&](const float *alpha, const float *beta) {
    return cublasSgemm_v2(handle, 0, 0, 1, 1, 1, alpha, static_cast<float *>(a.device), 1, static_cast<float *>(b.device), 1, beta,
                          static_cast<float *>(c.device), 1);
  };
  float alpha = 1, beta = 1;
  CHECK_EQUAL(call(&alpha, &beta), 0);
  alpha = beta = 100;
  CHECK_EQUAL(fake::pending(), 1);
  CHECK_EQUAL(c.at(0), 10);
  CHECK_EQUAL(fake::run_all(), 0);
  CHECK_EQUAL(c.at(0), 16);
  CHECK_EQUAL(cublasSetPointerMode_v2(handle, CUBLAS_POINTER_MODE_DEVICE), 0);
  const auto *device = static_cast<float *>(scalars.device);
  CHECK_EQUAL(call(device, device + 1), 0);
  host[0] = 2, host[1] = 1;
  CHECK_EQUAL(fake::run_all(), 0);
  CHECK_EQUAL(c.at(0), 28);
  fake::drop_all();
  CHECK_EQUAL(call(device, device + 1), 0);
  CHECK_EQUAL(fake::run_again(), 0);
  host[0] = 0, host[1] = 3;
  CHECK_EQUAL(fake::run_again(), 0);  // a replay reads the scalars anew
  CHECK_EQUAL(c.at(0), 120);
  CHECK_EQUAL(call(&alpha, &beta), 0);  // a host pointer in device mode
  CHECK_EQUAL(fake::run_all(), 700);
  CHECK_EQUAL(cublasSetPointerMode_v2(handle, CUBLAS_POINTER_MODE_HOST), 0);
}

void sums_and_degenerate_sizes() {
  Buffer a({1, 2, 3, 4, 5, 6}, CUDA_R_32F), b({1, 1, 1, 1, 1, 1}, CUDA_R_32F), c(std::vector<float>(6, NAN), CUDA_R_32F);
  const auto *pa = static_cast<float *>(a.device), *pb = static_cast<float *>(b.device);
  auto *pc = static_cast<float *>(c.device);
  const float two = 2, one = 1, zero = 0;
  CHECK_EQUAL(cublasSgeam(handle, 1, 0, 2, 3, &two, pa, 3, &one, pb, 2, pc, 2), 0);
  CHECK_EQUAL(fake::run_all(), 0);
  const double transposed[] = {3, 9, 5, 11, 7, 13};
  for (size_t i = 0; i < 6; i++) CHECK_EQUAL(c.at(i), transposed[i]);
  CHECK_EQUAL(cublasSgeam(handle, 0, 0, 2, 3, &two, pc, 2, &zero, nullptr, 2, pc, 2), 0);  // in place; a zero beta reads no b
  CHECK_EQUAL(fake::run_all(), 0);
  for (size_t i = 0; i < 6; i++) CHECK_EQUAL(c.at(i), 2 * transposed[i]);
  CHECK_EQUAL(cublasSgemm_v2(handle, 0, 0, 2, 3, 0, &one, nullptr, 2, nullptr, 1, &two, pc, 2), 0);  // k = 0: only beta
  CHECK_EQUAL(fake::run_all(), 0);
  for (size_t i = 0; i < 6; i++) CHECK_EQUAL(c.at(i), 4 * transposed[i]);
  CHECK_EQUAL(cublasSgemm_v2(handle, 0, 0, 0, 3, 2, &one, nullptr, 1, nullptr, 2, &zero, nullptr, 1), 0);
  CHECK_EQUAL(fake::pending(), 0);
}

// Handles come and go in several threads while others compute.
void threads() {
  std::vector<std::thread> workers;
  std::atomic<int> failed{0};
  for (int t = 0; t < 4; t++) {
    workers.emplace_back([&failed] {
      const float one = 1, zero = 0;
      Buffer a({2}, CUDA_R_32F), c({0}, CUDA_R_32F);
      for (int i = 0; i < 200; i++) {
        cublasHandle_t own;
        if (cublasCreate_v2(&own) != 0) failed++;
        if (cublasSgemm_v2(own, 0, 0, 1, 1, 1, &one, static_cast<float *>(a.device), 1, static_cast<float *>(a.device), 1, &zero,
                           static_cast<float *>(c.device), 1) != 0) {
          failed++;
        }
        if (cublasSetStream_v2(handle, nullptr) != 0) failed++;  // one handle for all
      }
    });
  }
  for (std::thread &worker : workers) worker.join();
  CHECK_EQUAL(failed, 0);
  CHECK_EQUAL(fake::pending(), 800);
  CHECK_EQUAL(fake::run_all(), 0);
}

}  // namespace

int main() {
  CHECK_EQUAL(cublasCreate_v2(&handle), 0);
  every_layout(CUDA_R_32F, CUDA_R_32F);
  every_layout(CUDA_R_16BF, CUDA_R_16BF);
  every_layout(CUDA_R_16BF, CUDA_R_32F);
  interleaved_batches();
  wide_strides();
  input_rounding();
  pointer_modes();
  sums_and_degenerate_sizes();
  threads();
  CHECK_EQUAL(cublasDestroy_v2(handle), 0);
  fake::drop_all();
  return report_checks(1500);
}
