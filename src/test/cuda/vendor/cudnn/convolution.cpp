// The exported computations: checks of pointers, algorithm and workspace, then a job on the handle's stream.
#include <initializer_list>
#include <vector>

#include "arguments.h"

using namespace limbeck;
using namespace limbeck::dnn;

namespace {

struct Data {
  const void *alpha, *first, *second, *beta;
  void *workspace, *result;
  size_t workspace_bytes;
};

struct Range {
  Address first;
  size_t bytes;
};

bool meet(const Range &one, const Range &other) {
  return one.first < other.first + other.bytes && other.first < one.first + one.bytes;
}

cudnnStatus_t check_pointers(const Call &call, const Problem &problem, const Data &data, size_t needed) {
  const auto bad = [&](const char *reason) { return DNN_REFUSE(call.function, CUDNN_STATUS_BAD_PARAM, "%s", reason); };
  for (const void *pointer : {data.alpha, data.first, data.second, data.beta, static_cast<const void *>(data.result)}) {
    if (pointer == nullptr) return bad("a pointer to data or to alpha or beta is null");
  }
  if (needed > 0 && (data.workspace == nullptr || data.workspace_bytes < needed)) {
    return DNN_REFUSE(call.function, CUDNN_STATUS_BAD_PARAM, "a workspace of %zu bytes is needed, %zu are given%s", needed,
                      data.workspace_bytes, data.workspace == nullptr ? " by a null pointer" : "");
  }
  for (const void *pointer : {data.first, data.second, static_cast<const void *>(data.result)}) {
    if (address_of(pointer) % 16 != 0) {
      return DNN_REFUSE(call.function, CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "a tensor is not aligned to 16 bytes");
    }
  }
  const size_t size = size_of(problem.type);
  const auto range = [&](const void *pointer, const Layout &layout) {
    return Range{address_of(pointer), static_cast<size_t>(layout.count()) * size};
  };
  const Range result = range(data.result, result_layout(call.direction, problem)), workspace{address_of(data.workspace), needed};
  const Range inputs[] = {range(data.first, first_layout(call.direction, problem)),
                          range(data.second, second_layout(call.direction, problem))};
  for (const Range &input : inputs) {
    if (meet(input, result)) return bad("the result overlaps an input");
    if (needed > 0 && meet(input, workspace)) return bad("the workspace overlaps an input");
  }
  if (needed > 0 && meet(result, workspace)) return bad("the workspace overlaps the result");
  return CUDNN_STATUS_SUCCESS;
}

InputRounding rounding_of(const Algorithm &algorithm, const Problem &problem) {
  if (problem.type != Number::kF32 || !on_tensor_cores(algorithm, problem)) return InputRounding::kNone;
  return problem.capability >= 80 ? InputRounding::kTf32 : InputRounding::kF16;
}

cudnnStatus_t launched(const char *function, int result) {
  if (result == kSuccess) return CUDNN_STATUS_SUCCESS;
  return DNN_REFUSE(function, CUDNN_STATUS_EXECUTION_FAILED, "the launch failed with CUresult %d", result);
}

cudnnStatus_t convolve(const Call &call, cudnnHandle_t handle, int id, const Data &data) {
  return with<Handle>(call.function, handle, [&](Handle &live) {
    Problem problem;
    cudnnStatus_t status = call.resolve(&problem);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    const Algorithm *algorithm = find(call.direction, id);
    if (algorithm == nullptr) return DNN_REFUSE(call.function, CUDNN_STATUS_BAD_PARAM, "%d is no algorithm", id);
    if (const char *reason = objection(call.direction, *algorithm, problem)) {
      return DNN_REFUSE(call.function, CUDNN_STATUS_NOT_SUPPORTED, "%s: %s", algorithm->name, reason);
    }
    const size_t needed = workspace_bytes(call.direction, *algorithm, problem);
    status = check_pointers(call, problem, data, needed);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    const Number scale = problem.type == Number::kF64 ? Number::kF64 : Number::kF32;
    const Job job{call.direction,
                  problem,
                  rounding_of(*algorithm, problem),
                  algorithm->deterministic,
                  load_one(scale, data.alpha, 0),
                  load_one(scale, data.beta, 0),
                  address_of(data.first),
                  address_of(data.second),
                  address_of(data.result),
                  address_of(data.workspace),
                  needed};
    return launched(call.function, enqueue(live.stream(), call.function, job));
  });
}

}  // namespace

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, void *x, const void *x_data, void *w,
                                      const void *w_data, cudnnConvolutionDescriptor_t convolution, int algorithm,
                                      void *workspace, size_t bytes, const void *beta, void *y, void *y_data) {
  return convolve({__func__, Direction::kForward, x, w, convolution, y}, handle, algorithm,
                  {alpha, x_data, w_data, beta, workspace, y_data, bytes});
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha, void *w, const void *w_data, void *dy,
                                           const void *dy_data, cudnnConvolutionDescriptor_t convolution, int algorithm,
                                           void *workspace, size_t bytes, const void *beta, void *dx, void *dx_data) {
  return convolve({__func__, Direction::kBackwardData, w, dy, convolution, dx}, handle, algorithm,
                  {alpha, w_data, dy_data, beta, workspace, dx_data, bytes});
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha, void *x, const void *x_data, void *dy,
                                             const void *dy_data, cudnnConvolutionDescriptor_t convolution, int algorithm,
                                             void *workspace, size_t bytes, const void *beta, void *dw, void *dw_data) {
  return convolve({__func__, Direction::kBackwardFilter, x, dy, convolution, dw}, handle, algorithm,
                  {alpha, x_data, dy_data, beta, workspace, dw_data, bytes});
}

cudnnStatus_t cudnnConvolutionBackwardBias(cudnnHandle_t handle, const void *alpha, cudnnTensorDescriptor_t dy_key,
                                           const void *dy_data, const void *beta, cudnnTensorDescriptor_t db_key,
                                           void *db_data) {
  const char *function = __func__;
  return with<Handle>(function, handle, [&](Handle &live) {
    const auto dy = Registry<Tensor>::instance().find(dy_key), db = Registry<Tensor>::instance().find(db_key);
    if (!dy || !db || dy->rank != 4 || db->rank != 4 || !alpha || !beta || !dy_data || !db_data) {
      return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "a descriptor or pointer is null or not of four dimensions");
    }
    if (db->dims[0] != 1 || db->dims[1] != dy->dims[1] || db->dims[2] != 1 || db->dims[3] != 1 || db->type != dy->type) {
      return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "db must be [1,%d,1,1] of the type of dy", dy->dims[1]);
    }
    Number type;
    if (!number_of(dy->type, &type)) return DNN_REFUSE(function, CUDNN_STATUS_NOT_SUPPORTED, "data type %d", dy->type);
    const Number scale_type = type == Number::kF64 ? Number::kF64 : Number::kF32;
    const double scale = load_one(scale_type, alpha, 0), keep = load_one(scale_type, beta, 0);
    const Address from = address_of(dy_data), to = address_of(db_data);
    return launched(function, enqueue(live.stream(), function, [=, shape = *dy, bias_stride = db->strides[1]] {
      const size_t size = size_of(type);
      const int *d = shape.dims, *stride = shape.strides;
      size_t last = 0;
      for (int i = 0; i < 4; i++) last += static_cast<size_t>(d[i] - 1) * static_cast<size_t>(stride[i]);
      const void *gradient = readable(from, (last + 1) * size, size);
      for (int c = 0; c < d[1]; c++) {
        double sum = 0;
        for (size_t n = 0; n < static_cast<size_t>(d[0]); n++)
          for (size_t h = 0; h < static_cast<size_t>(d[2]); h++)
            for (size_t w = 0; w < static_cast<size_t>(d[3]); w++)
              sum += load_one(type, gradient,
                              n * static_cast<size_t>(stride[0]) + static_cast<size_t>(c) * static_cast<size_t>(stride[1]) +
                                  h * static_cast<size_t>(stride[2]) + w * static_cast<size_t>(stride[3]));
        const Address target = to + static_cast<Address>(c) * static_cast<Address>(bias_stride) * size;
        const double kept = keep == 0 ? 0 : keep * load_one(type, readable(target, size, size), 0);
        store_one(type, writable(target, size, size), 0, scale * sum + kept);
      }
    }));
  });
}
