// Every refusal, by its exact status.
#include "check.h"
#include "cublas.h"
#include "fake_driver.h"

namespace {

cublasHandle_t handle;

struct Call {
  int transa = 0, transb = 0, m = 2, n = 3, k = 4, lda = 2, ldb = 4, ldc = 2;
  int a_type = CUDA_R_32F, b_type = CUDA_R_32F, c_type = CUDA_R_32F, compute = CUBLAS_COMPUTE_32F, algorithm = CUBLAS_GEMM_DEFAULT;
  bool alpha = true, beta = true;
  void *c = nullptr, *a = nullptr;
  int batch = 1;
  long long stride_c = 6;

  int status() const {
    static void *memory = fake::allocate(4096);
    const float one = 1;
    auto *base = static_cast<char *>(memory);
    const void *scale = alpha ? &one : nullptr, *keep = beta ? &one : nullptr, *left = a ? a : base;
    const int result = cublasGemmStridedBatchedEx(handle, transa, transb, m, n, k, scale, left, a_type, lda, 0, base + 512, b_type,
                                                  ldb, 0, keep, c ? c : base + 1024, c_type, ldc, stride_c, batch, compute,
                                                  algorithm);
    fake::drop_all();
    return result;
  }
};

template <class Change>
int after(Change change) {
  Call call;
  change(call);
  return call.status();
}

void sizes() {
  CHECK_EQUAL(Call().status(), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(after([](Call &c) { c.transa = 3; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.transb = -1; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.m = -1; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.n = -1; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.k = -1; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.batch = -1; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.lda = 1; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.transa = 1; }), CUBLAS_STATUS_INVALID_VALUE);  // lda must now reach k
  CHECK_EQUAL(after([](Call &c) { c.transa = 1, c.lda = 4; }), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(after([](Call &c) { c.ldb = 3; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.ldc = 1; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.m = 0, c.lda = 0; }), CUBLAS_STATUS_INVALID_VALUE);  // at least 1, even of nothing
  CHECK_EQUAL(after([](Call &c) { c.alpha = false; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.beta = false; }), CUBLAS_STATUS_INVALID_VALUE);
}

void types() {
  const auto status = [](int compute, int a, int b, int c) {
    return after([&](Call &call) { call.compute = compute, call.a_type = a, call.b_type = b, call.c_type = c; });
  };
  const int f32 = CUDA_R_32F, bf16 = CUDA_R_16BF, f16 = CUDA_R_16F, f64 = CUDA_R_64F;
  CHECK_EQUAL(status(CUBLAS_COMPUTE_32F, bf16, bf16, bf16), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_32F, bf16, bf16, f32), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_32F, f16, f16, f32), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_32F, f32, f32, bf16), CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_32F, bf16, f32, f32), CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_32F, f32, bf16, f32), CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_32F, bf16, bf16, f16), CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_32F_FAST_TF32, bf16, bf16, bf16), CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_32F_FAST_16BF, f32, f32, f32), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_64F, f32, f32, f32), CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_32F, f64, f64, f64), CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_EQUAL(status(CUBLAS_COMPUTE_16F, f32, f32, f32), CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK_EQUAL(status(0, f32, f32, f32), CUBLAS_STATUS_NOT_SUPPORTED);  // the cudaDataType of the old interface
  CHECK_EQUAL(after([](Call &c) { c.algorithm = 24; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.algorithm = CUBLAS_GEMM_DEFAULT_TENSOR_OP; }), CUBLAS_STATUS_SUCCESS);
}

void overlaps() {
  auto *memory = static_cast<float *>(fake::allocate(4096));
  CHECK_EQUAL(after([&](Call &c) { c.a = memory, c.c = memory; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([&](Call &c) { c.a = memory, c.c = memory + 7; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([&](Call &c) { c.a = memory, c.c = memory + 8; }), CUBLAS_STATUS_SUCCESS);
  // Interleaved rows of one buffer share a range and no element.
  CHECK_EQUAL(after([&](Call &c) { c.lda = c.ldc = 4, c.a = memory, c.c = memory + 2; }), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(after([](Call &c) { c.batch = 2, c.stride_c = 6; }), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(after([](Call &c) { c.batch = 2, c.stride_c = 5; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.batch = 2, c.stride_c = 0; }), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(after([](Call &c) { c.batch = 3, c.ldc = 6, c.stride_c = 2; }), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(after([](Call &c) { c.batch = 3, c.ldc = 5, c.stride_c = 2; }), CUBLAS_STATUS_INVALID_VALUE);
}

void handles_and_settings() {
  const float one = 1;
  int value = 0;
  CHECK_EQUAL(cublasSgemm_v2(nullptr, 0, 0, 1, 1, 1, &one, nullptr, 1, nullptr, 1, &one, nullptr, 1),
              CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK_EQUAL(cublasSetStream_v2(&value, nullptr), CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK_EQUAL(cublasCreate_v2(nullptr), CUBLAS_STATUS_INVALID_VALUE);
  fake::set_context(false);
  cublasHandle_t other = &value;
  CHECK_EQUAL(cublasCreate_v2(&other), CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(other == nullptr);
  fake::set_context(true);
  CHECK_EQUAL(cublasSetPointerMode_v2(handle, 2), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(cublasSetMathMode(handle, 4), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(cublasSetMathMode(handle, CUBLAS_TF32_TENSOR_OP_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION), 0);
  CHECK_EQUAL(cublasGetMathMode(handle, &value), 0);
  CHECK_EQUAL(value, 19);
  CHECK_EQUAL(cublasSetMathMode(handle, CUBLAS_DEFAULT_MATH), 0);
  auto *memory = static_cast<char *>(fake::allocate(8192));
  auto *aligned = memory + (256 - reinterpret_cast<unsigned long long>(memory) % 256);
  CHECK_EQUAL(cublasSetWorkspace_v2(handle, aligned + 128, 1024), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(cublasSetWorkspace_v2(handle, aligned, 1024), CUBLAS_STATUS_SUCCESS);
  CHECK_EQUAL(cublasSetWorkspace_v2(handle, nullptr, 1024), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(cublasGetVersion_v2(handle, &value), 0);
  CHECK_EQUAL(value, 120600);
  CHECK(std::strcmp(cublasGetStatusName(CUBLAS_STATUS_NOT_SUPPORTED), "CUBLAS_STATUS_NOT_SUPPORTED") == 0);
  fake::set_context(false);
  CHECK_EQUAL(Call().status(), CUBLAS_STATUS_EXECUTION_FAILED);
  fake::set_context(true);
  fake::set_capability(37);
  CHECK_EQUAL(Call().status(), CUBLAS_STATUS_ARCH_MISMATCH);
  fake::set_capability(80);
  CHECK_EQUAL(cublasCreate_v2(&other), 0);
  CHECK_EQUAL(cublasDestroy_v2(other), 0);
  CHECK_EQUAL(cublasDestroy_v2(other), CUBLAS_STATUS_NOT_INITIALIZED);
}

void sums() {
  auto *x = static_cast<float *>(fake::allocate(256));
  const float one = 1;
  CHECK_EQUAL(cublasSgeam(handle, 0, 0, 2, 3, &one, x, 1, &one, x, 2, x + 20, 2), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(cublasSgeam(handle, 0, 1, 2, 3, &one, x, 2, &one, x, 2, x + 20, 2), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(cublasSgeam(handle, 0, 0, 2, 3, &one, x, 2, &one, x, 2, x + 20, 1), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(cublasSgeam(handle, 1, 0, 2, 3, &one, x, 3, &one, x + 20, 2, x, 2), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(cublasSgeam(handle, 0, 0, -2, 3, &one, x, 2, &one, x, 2, x, 2), CUBLAS_STATUS_INVALID_VALUE);
  CHECK_EQUAL(cublasSgeam(handle, 0, 0, 2, 3, nullptr, x, 2, &one, x, 2, x + 20, 2), CUBLAS_STATUS_INVALID_VALUE);
}

}  // namespace

int main() {
  CHECK_EQUAL(cublasCreate_v2(&handle), 0);
  sizes();
  types();
  overlaps();
  handles_and_settings();
  sums();
  CHECK_EQUAL(cublasDestroy_v2(handle), 0);
  return report_checks(60);
}
