// Forward, data gradient, filter gradient and bias gradient in every layout and type, against sums of another form.
#include "convolution_fixture.h"

namespace {

cudnnHandle_t handle;

constexpr Shape kShapes[] = {
    {2, 3, 6, 5, 4, 3, 3, 1, 1, 1, 1, 1, 1, 1},   // same size
    {1, 4, 7, 6, 6, 3, 2, 2, 1, 0, 2, 1, 1, 1},   // groups, a stride, a filter that is not square
    {2, 2, 8, 9, 2, 3, 3, 1, 2, 1, 1, 2, 2, 3},   // dilations
    {1, 4, 5, 5, 4, 3, 3, 4, 1, 1, 1, 1, 1, 1},   // depthwise
    {3, 5, 4, 3, 2, 1, 1, 1, 0, 0, 1, 1, 1, 1},   // pointwise
};

struct Workspace {
  size_t bytes = 0;
  void *memory = nullptr;
  void get() { memory = bytes == 0 ? nullptr : fake::allocate(bytes); }
};

void all_directions(const Shape &shape, bool last, int type, int mode, double beta) {
  const Setting z(shape, last, type, mode);
  const Data x = z.input(1), w = z.filter(2), dy = z.output(3);
  const unsigned seed = beta == 0 ? 0 : 4;  // a zero beta must not read what is there: NaN
  Data y = z.output(seed), dx = z.input(seed), dw = z.filter(seed);
  const bool wide = type == CUDNN_DATA_DOUBLE;
  const float alpha32 = 0.5F, beta32 = static_cast<float>(beta);
  const double alpha64 = 0.5;
  const void *alpha = wide ? static_cast<const void *>(&alpha64) : &alpha32;
  const void *keep = wide ? static_cast<const void *>(&beta) : &beta32;
  Workspace forward, data, filter;
  CHECK_EQUAL(cudnnGetConvolutionForwardWorkspaceSize(handle, z.x, z.w, z.convolution, z.y, 1, &forward.bytes), 0);
  CHECK_EQUAL(cudnnGetConvolutionBackwardDataWorkspaceSize(handle, z.w, z.y, z.convolution, z.x, 1, &data.bytes), 0);
  CHECK_EQUAL(cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, z.x, z.y, z.convolution, z.w, 1, &filter.bytes), 0);
  CHECK(forward.bytes > 0 && data.bytes > 0 && filter.bytes > 0);
  forward.get(), data.get(), filter.get();
  CHECK_EQUAL(cudnnConvolutionForward(handle, alpha, z.x, x.device, z.w, w.device, z.convolution, 1, forward.memory,
                                      forward.bytes, keep, z.y, y.device),
              0);
  CHECK_EQUAL(cudnnConvolutionBackwardData(handle, alpha, z.w, w.device, z.y, dy.device, z.convolution, 1, data.memory,
                                           data.bytes, keep, z.x, dx.device),
              0);
  CHECK_EQUAL(cudnnConvolutionBackwardFilter(handle, alpha, z.x, x.device, z.y, dy.device, z.convolution, 1,
                                             filter.memory, filter.bytes, keep, z.w, dw.device),
              0);
  CHECK_EQUAL(fake::pending(), 3);
  CHECK_EQUAL(fake::run_all(), 0);
  std::vector<double> y_sum(y.values.size()), dx_sum(dx.values.size()), dw_sum(dw.values.size());
  z.visit([&](int n, int in, int h, int iw, int k, int c, int r, int s, int p, int q) {
    const size_t xi = x.index(n, in, h, iw), wi = w.index(k, c, r, s), yi = dy.index(n, k, p, q);
    y_sum[yi] += x.values[xi] * w.values[wi];
    dx_sum[xi] += dy.values[yi] * w.values[wi];
    dw_sum[wi] += dy.values[yi] * x.values[xi];
  });
  const auto compare = [&](const Data &result, const std::vector<double> &sums) {
    int wrong = 0;
    for (size_t i = 0; i < sums.size(); i++) {
      const double exact = 0.5 * sums[i] + (beta == 0 ? 0 : beta * result.values[i]);
      if (result.read(i) != result.rounded(exact)) wrong++;
    }
    CHECK_EQUAL(wrong, 0);
  };
  compare(y, y_sum);
  compare(dx, dx_sum);
  compare(dw, dw_sum);
  fake::drop_all();
}

void bias_gradient(bool last, int type) {
  const Setting z(kShapes[0], last, type);
  const Data dy = z.output(3);
  Data db(1, kShapes[0].k, 1, 1, last, type, 4);
  void *descriptor;
  CHECK_EQUAL(cudnnCreateTensorDescriptor(&descriptor), 0);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(descriptor, CUDNN_TENSOR_NCHW, type, 1, kShapes[0].k, 1, 1), 0);
  const float alpha = 2, beta = 1;
  CHECK_EQUAL(cudnnConvolutionBackwardBias(handle, &alpha, z.y, dy.device, &beta, descriptor, db.device), 0);
  CHECK_EQUAL(fake::run_all(), 0);
  for (int k = 0; k < kShapes[0].k; k++) {
    double sum = 0;
    for (size_t i = 0; i < dy.values.size(); i++) {
      if (static_cast<int>(i) / (kShapes[0].p() * kShapes[0].q()) % kShapes[0].k == k) sum += dy.values[i];
    }
    CHECK_EQUAL(db.read(static_cast<size_t>(k)), db.rounded(2 * sum + db.values[static_cast<size_t>(k)]));
  }
  cudnnDestroyTensorDescriptor(descriptor);
  fake::drop_all();
}

// Every algorithm that says it takes a convolution computes it; the unordered ones differ from run to run, in the last bits only.
void every_algorithm() {
  const Setting z(kShapes[0], false, CUDNN_DATA_FLOAT);
  CHECK_EQUAL(cudnnSetConvolutionMathType(z.convolution, CUDNN_FMA_MATH), 0);
  const Data x = z.input(1), dy = z.output(3);
  const float one = 1, zero = 0;
  int computed = 0;
  for (int id = 0; id < 7; id++) {
    Workspace space;
    if (cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, z.x, z.y, z.convolution, z.w, id, &space.bytes) != 0) continue;
    space.get();
    Data results[] = {z.filter(0), z.filter(0)};
    for (Data &dw : results) {
      CHECK_EQUAL(cudnnConvolutionBackwardFilter(handle, &one, z.x, x.device, z.y, dy.device, z.convolution, id,
                                                 space.memory, space.bytes, &zero, z.w, dw.device),
                  0);
    }
    CHECK_EQUAL(fake::run_all(), 0);
    bool same = true, close = true;
    for (size_t i = 0; i < results[0].values.size(); i++) {
      const double first = results[0].read(i), second = results[1].read(i);
      same &= first == second;
      close &= std::fabs(first - second) <= 1e-6 * std::fabs(first);
    }
    CHECK(close);
    CHECK_EQUAL(same, id != CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0 && id != CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3);
    computed++;
    fake::drop_all();
  }
  CHECK_EQUAL(computed, 6);  // all but the one cuDNN does not have
}

// Unlike cuBLAS, cuDNN lets F32 data become TF32 unless FMA math is asked for.
void input_rounding() {
  const Shape one_by_one{1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1};
  const float fine = 1 + 0x1p-12F, one = 1, zero = 0;
  const auto convolve = [&](int math, int algorithm, int capability) {
    fake::set_capability(capability);
    const Setting z(one_by_one, false, CUDNN_DATA_FLOAT);
    CHECK_EQUAL(cudnnSetConvolutionMathType(z.convolution, math), 0);
    Data x = z.input(1), w = z.filter(2), y = z.output(0);
    x.store(0, fine);
    w.store(0, 1);
    void *space = fake::allocate(4096);
    CHECK_EQUAL(cudnnConvolutionForward(handle, &one, z.x, x.device, z.w, w.device, z.convolution, algorithm, space, 4096,
                                        &zero, z.y, y.device),
                0);
    CHECK_EQUAL(fake::run_all(), 0);
    fake::set_capability(80);
    return y.read(0);
  };
  CHECK_EQUAL(convolve(CUDNN_DEFAULT_MATH, 1, 80), 1);
  CHECK_EQUAL(convolve(CUDNN_TENSOR_OP_MATH, 1, 80), 1);
  CHECK_EQUAL(convolve(CUDNN_FMA_MATH, 1, 80), fine);
  CHECK_EQUAL(convolve(CUDNN_DEFAULT_MATH, 0, 80), fine);  // not a tensor core algorithm
  CHECK_EQUAL(convolve(CUDNN_DEFAULT_MATH, 1, 75), fine);
  CHECK_EQUAL(convolve(CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION, 1, 75), 1);
}

}  // namespace

int main() {
  CHECK_EQUAL(cudnnCreate(&handle), 0);
  for (const Shape &shape : kShapes) {
    for (bool last : {false, true}) {
      for (int mode : {CUDNN_CROSS_CORRELATION, CUDNN_CONVOLUTION}) {
        for (int type : {CUDNN_DATA_FLOAT, CUDNN_DATA_BFLOAT16, CUDNN_DATA_HALF, CUDNN_DATA_DOUBLE}) {
          if (last && type == CUDNN_DATA_DOUBLE) continue;  // has no backward passes
          for (double beta : {0.0, 1.0, -0.5}) all_directions(shape, last, type, mode, beta);
        }
      }
    }
  }
  bias_gradient(false, CUDNN_DATA_FLOAT);
  bias_gradient(true, CUDNN_DATA_FLOAT);
  bias_gradient(true, CUDNN_DATA_BFLOAT16);
  every_algorithm();
  input_rounding();
  CHECK_EQUAL(cudnnDestroy(handle), 0);
  return report_checks(4000);
}
