// Every refusal by its exact status; the answers of the queries; the traps of workspace and math type.
#include "convolution_fixture.h"

namespace {

cudnnHandle_t handle;

constexpr Shape kShape{2, 8, 6, 6, 8, 3, 3, 1, 1, 1, 1, 1, 1, 1};
constexpr int kBad = CUDNN_STATUS_BAD_PARAM, kUnsupported = CUDNN_STATUS_NOT_SUPPORTED;

int forward_workspace(const Setting &z, int algorithm) {
  size_t bytes;
  return cudnnGetConvolutionForwardWorkspaceSize(handle, z.x, z.w, z.convolution, z.y, algorithm, &bytes);
}

void descriptors() {
  void *t, *f, *c;
  CHECK_EQUAL(cudnnCreateTensorDescriptor(&t), 0);
  CHECK_EQUAL(cudnnCreateFilterDescriptor(&f), 0);
  CHECK_EQUAL(cudnnCreateConvolutionDescriptor(&c), 0);
  CHECK_EQUAL(cudnnCreateTensorDescriptor(nullptr), kBad);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(nullptr, 0, 0, 1, 1, 1, 1), kBad);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(f, 0, 0, 1, 1, 1, 1), kBad);  // a filter descriptor
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(t, 3, 0, 1, 1, 1, 1), kBad);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(t, 0, 15, 1, 1, 1, 1), kBad);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(t, 0, 0, 1, -1, 1, 1), kBad);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(t, 0, 0, 1, 0, 1, 1), kBad);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(t, 0, 0, 1 << 11, 1 << 10, 1 << 10, 1), kUnsupported);  // 2^31 elements
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(t, 0, 0, 1, 1, 1, 1), 0);
  const int dims[] = {2, 3, 4, 5};
  CHECK_EQUAL(cudnnSetTensorNdDescriptor(t, 0, 3, dims, dims), kUnsupported);
  CHECK_EQUAL(cudnnSetTensorNdDescriptor(t, 0, 9, dims, dims), kUnsupported);
  CHECK_EQUAL(cudnnSetTensorNdDescriptorEx(t, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, 4, dims), 0);
  int type, rank, got_dims[4], strides[4];
  CHECK_EQUAL(cudnnGetTensorNdDescriptor(t, 4, &type, &rank, got_dims, strides), 0);
  CHECK(strides[0] == 60 && strides[1] == 1 && strides[2] == 15 && strides[3] == 3 && got_dims[3] == 5 && rank == 4);
  size_t bytes;
  CHECK_EQUAL(cudnnGetTensorSizeInBytes(t, &bytes), 0);
  CHECK_EQUAL(bytes, 480);
  CHECK_EQUAL(cudnnSetTensor4dDescriptorEx(t, 0, 2, 3, 4, 5, 100, 30, 7, 1), 0);
  CHECK_EQUAL(cudnnGetTensorSizeInBytes(t, &bytes), 0);
  CHECK_EQUAL(bytes, 4 * (100 + 60 + 21 + 4 + 1));
  CHECK_EQUAL(cudnnSetFilter4dDescriptor(f, 0, 0, 1, 1, -3, 3), kBad);
  CHECK_EQUAL(cudnnSetFilter4dDescriptor(f, 0, 1, 1, 1, 3, 3), 0);
  const int ones[] = {1, 1};
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(c, -1, 0, 1, 1, 1, 1, 1, 0), kBad);
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(c, 0, 0, 0, 1, 1, 1, 1, 0), kBad);
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(c, 0, 0, 1, 1, 1, 0, 1, 0), kBad);
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(c, 0, 0, 1, 1, 1, 1, 2, 0), kBad);
  CHECK_EQUAL(cudnnSetConvolutionNdDescriptor(c, 7, ones, ones, ones, 1, 0), kUnsupported);
  CHECK_EQUAL(cudnnSetConvolutionNdDescriptor(c, 2, ones, nullptr, ones, 1, 0), kBad);
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(c, 0, 0, 1, 1, 1, 1, 1, 0), 0);
  CHECK_EQUAL(cudnnSetConvolutionGroupCount(c, 0), kBad);
  CHECK_EQUAL(cudnnSetConvolutionMathType(c, 4), kBad);
  CHECK_EQUAL(cudnnSetConvolutionMathType(c, CUDNN_FMA_MATH), 0);
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(c, 0, 0, 1, 1, 1, 1, 1, 0), 0);
  int math;
  CHECK_EQUAL(cudnnGetConvolutionMathType(c, &math), 0);
  CHECK_EQUAL(math, CUDNN_DEFAULT_MATH);  // setting the shape resets it
  CHECK_EQUAL(cudnnDestroyTensorDescriptor(t), 0);
  CHECK_EQUAL(cudnnDestroyTensorDescriptor(t), kBad);
  CHECK_EQUAL(cudnnDestroyFilterDescriptor(c), kBad);
  CHECK_EQUAL(cudnnDestroyFilterDescriptor(f), 0);
  CHECK_EQUAL(cudnnDestroyConvolutionDescriptor(c), 0);
}

void shapes() {
  const Setting z(kShape, true, CUDNN_DATA_FLOAT);
  int n, c, h, w;
  CHECK_EQUAL(cudnnGetConvolution2dForwardOutputDim(z.convolution, z.x, z.w, &n, &c, &h, &w), 0);
  CHECK(n == 2 && c == 8 && h == 6 && w == 6);
  CHECK_EQUAL(forward_workspace(z, 1), 0);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(z.y, 1, 0, 2, 8, 6, 5), 0);
  CHECK_EQUAL(forward_workspace(z, 1), kBad);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(z.y, 1, 0, 2, 8, 6, 6), 0);
  CHECK_EQUAL(cudnnSetFilter4dDescriptor(z.w, 0, 1, 8, 4, 3, 3), 0);
  CHECK_EQUAL(forward_workspace(z, 1), kBad);  // 4 channels in 1 group of 8
  CHECK_EQUAL(cudnnSetConvolutionGroupCount(z.convolution, 2), 0);
  CHECK_EQUAL(forward_workspace(z, 1), 0);
  CHECK_EQUAL(cudnnSetFilter4dDescriptor(z.w, 0, 1, 8, 4, 9, 3), 0);
  CHECK_EQUAL(forward_workspace(z, 1), kBad);  // larger than the padded image
  void *unset;
  CHECK_EQUAL(cudnnCreateTensorDescriptor(&unset), 0);
  size_t bytes;
  CHECK_EQUAL(cudnnGetConvolutionForwardWorkspaceSize(handle, unset, z.w, z.convolution, z.y, 1, &bytes), kBad);
  CHECK_EQUAL(cudnnDestroyTensorDescriptor(unset), 0);
}

void types_and_layouts() {
  const Setting z(kShape, true, CUDNN_DATA_BFLOAT16);
  CHECK_EQUAL(forward_workspace(z, 1), 0);
  CHECK_EQUAL(forward_workspace(z, 0), kUnsupported);  // a filter in NHWC takes one forward algorithm
  CHECK_EQUAL(forward_workspace(z, 2), kUnsupported);
  CHECK_EQUAL(forward_workspace(z, 6), kUnsupported);
  CHECK_EQUAL(forward_workspace(z, 8), kBad);
  CHECK_EQUAL(forward_workspace(z, -1), kBad);
  CHECK_EQUAL(cudnnSetConvolutionMathType(z.convolution, CUDNN_FMA_MATH), 0);
  CHECK_EQUAL(forward_workspace(z, 1), kUnsupported);
  CHECK_EQUAL(cudnnSetConvolutionMathType(z.convolution, CUDNN_TENSOR_OP_MATH), 0);
  fake::set_context(false);
  CHECK_EQUAL(forward_workspace(z, 1), CUDNN_STATUS_EXECUTION_FAILED);
  fake::set_context(true);
  fake::set_capability(75);
  CHECK_EQUAL(forward_workspace(z, 1), CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH);
  fake::set_capability(80);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(z.y, 1, CUDNN_DATA_FLOAT, 2, 8, 6, 6), 0);
  CHECK_EQUAL(forward_workspace(z, 1), kUnsupported);  // bf16 in, f32 out
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(z.y, 0, CUDNN_DATA_BFLOAT16, 2, 8, 6, 6), 0);
  CHECK_EQUAL(forward_workspace(z, 1), kUnsupported);  // y in NCHW
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(z.y, 1, CUDNN_DATA_BFLOAT16, 2, 8, 6, 6), 0);
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(z.convolution, 1, 1, 1, 1, 1, 1, 1, CUDNN_DATA_BFLOAT16), 0);
  CHECK_EQUAL(forward_workspace(z, 1), kUnsupported);  // there is no true bf16 configuration
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(z.convolution, 1, 1, 1, 1, 1, 1, 1, CUDNN_DATA_FLOAT), 0);
  CHECK_EQUAL(cudnnSetTensor4dDescriptorEx(z.x, CUDNN_DATA_BFLOAT16, 2, 8, 6, 6, 1000, 1, 100, 8), 0);
  CHECK_EQUAL(forward_workspace(z, 1), kUnsupported);  // not packed
  const Setting doubles(kShape, true, CUDNN_DATA_DOUBLE);
  size_t bytes;
  CHECK_EQUAL(forward_workspace(doubles, 1), 0);
  CHECK_EQUAL(cudnnGetConvolutionBackwardDataWorkspaceSize(handle, doubles.w, doubles.y, doubles.convolution, doubles.x, 1, &bytes),
              kUnsupported);
  // In NCHW: transforms want unit strides and dilations, small filters, and the right type.
  const Setting planes(kShape, false, CUDNN_DATA_FLOAT);
  for (int algorithm : {0, 1, 2, 4, 5, 6, 7}) CHECK_EQUAL(forward_workspace(planes, algorithm), 0);
  CHECK_EQUAL(forward_workspace(planes, CUDNN_CONVOLUTION_FWD_ALGO_DIRECT), kUnsupported);
  CHECK_EQUAL(cudnnSetConvolution2dDescriptor(planes.convolution, 2, 2, 1, 1, 2, 2, 1, 0), 0);
  for (int algorithm : {2, 4, 5, 6, 7}) CHECK_EQUAL(forward_workspace(planes, algorithm), kUnsupported);
  for (int algorithm : {0, 1}) CHECK_EQUAL(forward_workspace(planes, algorithm), 0);
  const Setting bf16(kShape, false, CUDNN_DATA_BFLOAT16);
  for (int algorithm : {4, 5, 6}) CHECK_EQUAL(forward_workspace(bf16, algorithm), kUnsupported);
  CHECK_EQUAL(forward_workspace(bf16, 7), 0);
}

void execution() {
  const Setting z(kShape, true, CUDNN_DATA_FLOAT);
  const Data x = z.input(1), w = z.filter(2), y = z.output(3);
  size_t needed;
  CHECK_EQUAL(cudnnGetConvolutionForwardWorkspaceSize(handle, z.x, z.w, z.convolution, z.y, 1, &needed), 0);
  void *space = fake::allocate(needed);
  const float one = 1;
  const auto run = [&](cudnnHandle_t h, const void *alpha, const void *input, void *memory, size_t bytes, void *output) {
    const int status = cudnnConvolutionForward(h, alpha, z.x, input, z.w, w.device, z.convolution, 1, memory, bytes, &one, z.y,
                                               output);
    fake::drop_all();
    return status;
  };
  const auto run_later = [&](const void *input) {
    return cudnnConvolutionForward(handle, &one, z.x, input, z.w, w.device, z.convolution, 1, space, needed, &one, z.y, y.device);
  };
  CHECK_EQUAL(run(handle, &one, x.device, space, needed, y.device), 0);
  CHECK_EQUAL(run(nullptr, &one, x.device, space, needed, y.device), kBad);
  CHECK_EQUAL(run(handle, nullptr, x.device, space, needed, y.device), kBad);
  CHECK_EQUAL(run(handle, &one, nullptr, space, needed, y.device), kBad);
  CHECK_EQUAL(run(handle, &one, x.device, nullptr, needed, y.device), kBad);
  CHECK_EQUAL(run(handle, &one, x.device, space, needed - 1, y.device), kBad);
  CHECK_EQUAL(run(handle, &one, x.device, space, needed, nullptr), kBad);
  CHECK_EQUAL(run(handle, &one, x.device, space, needed, x.device), kBad);  // in place
  CHECK_EQUAL(run(handle, &one, x.device, y.device, needed, y.device), kBad);
  CHECK_EQUAL(run(handle, &one, static_cast<char *>(x.device) + 4, space, needed, y.device),
              CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
  // Plain products need less workspace than tensor cores: a size asked for under one math type is too small under another.
  size_t plain;
  CHECK_EQUAL(cudnnSetConvolutionMathType(z.convolution, CUDNN_FMA_MATH), 0);
  CHECK_EQUAL(cudnnGetConvolutionForwardWorkspaceSize(handle, z.x, z.w, z.convolution, z.y, 1, &plain), 0);
  CHECK(plain < needed);
  CHECK_EQUAL(run(handle, &one, x.device, space, plain, y.device), 0);
  CHECK_EQUAL(cudnnSetConvolutionMathType(z.convolution, CUDNN_DEFAULT_MATH), 0);
  CHECK_EQUAL(run(handle, &one, x.device, space, plain, y.device), kBad);
  // A tensor outside memory is found when the work runs.
  CHECK_EQUAL(run_later(reinterpret_cast<void *>(0x700000000)), 0);
  CHECK_EQUAL(fake::run_all(), 700);
  fake::drop_all();
  void *bias;
  CHECK_EQUAL(cudnnCreateTensorDescriptor(&bias), 0);
  CHECK_EQUAL(cudnnSetTensor4dDescriptor(bias, 0, CUDNN_DATA_FLOAT, 1, 4, 1, 1), 0);
  CHECK_EQUAL(cudnnConvolutionBackwardBias(handle, &one, z.y, y.device, &one, bias, x.device), kBad);  // 4 of 8 channels
  CHECK_EQUAL(cudnnDestroyTensorDescriptor(bias), 0);
}

void queries() {
  const Setting z(kShape, true, CUDNN_DATA_FLOAT);
  cudnnConvolutionAlgoPerf_t perf[16];
  int count = 0, most = 0;
  CHECK_EQUAL(cudnnGetConvolutionForwardAlgorithmMaxCount(handle, &most), 0);
  CHECK_EQUAL(cudnnGetConvolutionForwardAlgorithm_v7(handle, z.x, z.w, z.convolution, z.y, 0, &count, perf), kBad);
  count = 99;
  CHECK_EQUAL(cudnnFindConvolutionForwardAlgorithm(handle, z.x, nullptr, z.convolution, z.y, 16, &count, perf), kBad);
  CHECK_EQUAL(count, 0);
  CHECK_EQUAL(cudnnGetConvolutionForwardAlgorithm_v7(handle, z.x, z.w, z.convolution, z.y, 16, &count, perf), 0);
  CHECK_EQUAL(count, most);
  CHECK(perf[0].algo == 1 && perf[0].status == 0 && perf[0].mathType == CUDNN_TENSOR_OP_MATH && perf[0].time < 0);
  CHECK(perf[1].algo == 1 && perf[1].mathType == CUDNN_FMA_MATH && perf[1].memory < perf[0].memory);
  for (int i = 2; i < count; i++) CHECK_EQUAL(perf[i].status, kUnsupported);
  CHECK_EQUAL(cudnnSetConvolutionMathType(z.convolution, CUDNN_FMA_MATH), 0);
  CHECK_EQUAL(cudnnGetConvolutionForwardAlgorithm_v7(handle, z.x, z.w, z.convolution, z.y, 1, &count, perf), 0);
  CHECK(count == 1 && perf[0].algo == 1 && perf[0].mathType == CUDNN_FMA_MATH);
  CHECK_EQUAL(cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, z.w, z.y, z.convolution, z.x, 16, &count, perf), 0);
  CHECK(perf[0].algo == 1 && perf[0].determinism == CUDNN_DETERMINISTIC);
  CHECK(perf[1].algo == 0 && perf[1].determinism == CUDNN_NON_DETERMINISTIC);
  // Find: workspace as a limit, times, and the result's memory destroyed.
  const Data x = z.input(1), dy = z.output(3);
  Data dw = z.filter(4);
  void *space = fake::allocate(256);
  CHECK_EQUAL(cudnnFindConvolutionBackwardFilterAlgorithmEx(handle, z.x, x.device, z.y, dy.device, z.convolution, z.w, dw.device,
                                                            16, &count, perf, space, 256),
              0);
  CHECK(perf[0].algo == 0 && perf[0].time > 0);  // ALGO_1 needs more
  bool too_small = false;
  for (int i = 0; i < count; i++) too_small |= perf[i].algo == 1 && perf[i].status == CUDNN_STATUS_ALLOC_FAILED;
  CHECK(too_small);
  CHECK(std::isnan(dw.read(0)));
  fake::drop_all();
}

void handles() {
  void *other = handle;
  fake::set_context(false);
  CHECK_EQUAL(cudnnCreate(&other), CUDNN_STATUS_NOT_INITIALIZED);
  CHECK(other == nullptr);
  fake::set_context(true);
  CHECK_EQUAL(cudnnCreate(nullptr), kBad);
  CHECK_EQUAL(cudnnSetStream(nullptr, nullptr), kBad);
  CHECK_EQUAL(cudnnGetVersion(), 90501);
  CHECK(std::strcmp(cudnnGetErrorString(CUDNN_STATUS_NOT_SUPPORTED), "CUDNN_STATUS_NOT_SUPPORTED") == 0);
  void *stream = nullptr;
  CHECK_EQUAL(cudnnSetStream(handle, &stream), 0);
  CHECK_EQUAL(cudnnGetStream(handle, &stream), 0);
  CHECK(stream == &stream);
  CHECK_EQUAL(cudnnSetStream(handle, nullptr), 0);
}

}  // namespace

int main() {
  CHECK_EQUAL(cudnnCreate(&handle), 0);
  descriptors();
  shapes();
  types_and_layouts();
  execution();
  queries();
  handles();
  CHECK_EQUAL(cudnnDestroy(handle), 0);
  CHECK_EQUAL(cudnnDestroy(handle), kBad);
  return report_checks(150);
}
