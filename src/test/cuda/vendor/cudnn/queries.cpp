// Which algorithm: heuristic (v7) and "measured" (Find) answers, counts and workspace sizes, alike for the three directions.
#include <algorithm>
#include <cstring>
#include <vector>

#include "arguments.h"

using namespace limbeck;
using namespace limbeck::dnn;

namespace {

struct Query {
  int requested;
  int *returned;
  cudnnConvolutionAlgoPerf_t *perf;
  bool measured;
  size_t memory_limit;
};

// One entry for each algorithm and math type that the descriptor's math type allows; what cannot run comes last, with its status.
std::vector<cudnnConvolutionAlgoPerf_t> entries(const Call &call, const Problem &problem, const Query &query) {
  std::vector<cudnnConvolutionAlgoPerf_t> usable, rest;
  for (const Algorithm &algorithm : algorithms(call.direction)) {
    bool any = false;
    for (const int math : {CUDNN_TENSOR_OP_MATH, CUDNN_FMA_MATH}) {
      Problem variant = problem;
      // Allowed conversion stays allowed; where tensor cores are forbidden they stay so.
      if (math == CUDNN_FMA_MATH || problem.math == CUDNN_DEFAULT_MATH) variant.math = math;
      const bool cores = on_tensor_cores(algorithm, variant);
      if (cores != (math == CUDNN_TENSOR_OP_MATH) || objection(call.direction, algorithm, variant) != nullptr) continue;
      cudnnConvolutionAlgoPerf_t entry{};
      entry.algo = algorithm.id;
      entry.memory = workspace_bytes(call.direction, algorithm, variant);
      entry.status = entry.memory > query.memory_limit ? CUDNN_STATUS_ALLOC_FAILED : CUDNN_STATUS_SUCCESS;
      entry.determinism = algorithm.deterministic ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
      entry.mathType = variant.math;
      // No time is measured: Find ranks by the order of the list.
      const bool runs = entry.status == CUDNN_STATUS_SUCCESS;
      entry.time = query.measured && runs ? 0.125F * static_cast<float>(usable.size() + 1) : -1;
      (runs ? usable : rest).push_back(entry);
      any = true;
    }
    if (!any) {
      cudnnConvolutionAlgoPerf_t entry{};
      entry.algo = algorithm.id;
      entry.status = CUDNN_STATUS_NOT_SUPPORTED;
      entry.time = -1;
      entry.determinism = algorithm.deterministic ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
      entry.mathType = problem.math;
      rest.push_back(entry);
    }
  }
  usable.insert(usable.end(), rest.begin(), rest.end());
  return usable;
}

cudnnStatus_t answer(const Call &call, const Problem &problem, const Query &query) {
  if (query.requested < 1 || query.returned == nullptr || query.perf == nullptr) {
    return DNN_REFUSE(call.function, CUDNN_STATUS_BAD_PARAM, "%d results requested, or no place for them", query.requested);
  }
  const auto all = entries(call, problem, query);
  const size_t count = std::min(all.size(), static_cast<size_t>(query.requested));
  std::copy(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), query.perf);
  *query.returned = static_cast<int>(count);
  return CUDNN_STATUS_SUCCESS;
}

// JCudnn's natives copy as many results as this count says, also after an error: it must never be left as it was.
void clear(const Query &query) {
  if (query.returned != nullptr) *query.returned = 0;
}

cudnnStatus_t heuristic(const Call &call, cudnnHandle_t handle, const Query &query) {
  clear(query);
  return with<Handle>(call.function, handle, [&](Handle &) {
    Problem problem;
    const cudnnStatus_t status = call.resolve(&problem);
    return status == CUDNN_STATUS_SUCCESS ? answer(call, problem, query) : status;
  });
}

// Find runs the algorithms, so it waits for the device (and cannot be captured) and destroys what the result held.
cudnnStatus_t measure(const Call &call, cudnnHandle_t handle, const Query &query, bool own_memory, const void *first,
                      const void *second, void *result) {
  clear(query);
  return with<Handle>(call.function, handle, [&](Handle &live) {
    Problem problem;
    cudnnStatus_t status = call.resolve(&problem);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    if (!own_memory && (first == nullptr || second == nullptr || result == nullptr)) {
      return DNN_REFUSE(call.function, CUDNN_STATUS_BAD_PARAM, "a pointer to data is null");
    }
    if (const int busy = cuCtxSynchronize()) {
      return DNN_REFUSE(call.function, CUDNN_STATUS_EXECUTION_FAILED, "the device cannot be waited for: CUresult %d", busy);
    }
    status = answer(call, problem, query);
    if (status != CUDNN_STATUS_SUCCESS || own_memory) return status;
    const size_t bytes = static_cast<size_t>(result_layout(call.direction, problem).count()) * size_of(problem.type);
    int failed = enqueue(live.stream(), call.function, [target = address_of(result), bytes] {
      std::memset(writable(target, bytes, 1), 0xff, bytes);
    });
    if (failed == kSuccess) failed = cuCtxSynchronize();
    if (failed == kSuccess) return CUDNN_STATUS_SUCCESS;
    return DNN_REFUSE(call.function, CUDNN_STATUS_EXECUTION_FAILED, "a trial run failed with CUresult %d", failed);
  });
}

cudnnStatus_t workspace(const Call &call, cudnnHandle_t handle, int id, size_t *bytes) {
  return with<Handle>(call.function, handle, [&](Handle &) {
    Problem problem;
    const cudnnStatus_t status = call.resolve(&problem);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    const Algorithm *algorithm = find(call.direction, id);
    if (algorithm == nullptr || bytes == nullptr) {
      return DNN_REFUSE(call.function, CUDNN_STATUS_BAD_PARAM, "%d is no algorithm, or the result pointer is null", id);
    }
    if (const char *reason = objection(call.direction, *algorithm, problem)) {
      return DNN_REFUSE(call.function, CUDNN_STATUS_NOT_SUPPORTED, "%s: %s", algorithm->name, reason);
    }
    *bytes = workspace_bytes(call.direction, *algorithm, problem);
    return CUDNN_STATUS_SUCCESS;
  });
}

// Every algorithm once, those of the tensor cores twice.
cudnnStatus_t max_count(const char *function, Direction direction, cudnnHandle_t handle, int *count) {
  return with<Handle>(function, handle, [&](Handle &) {
    if (count == nullptr) return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "the result pointer is null");
    *count = 0;
    for (const Algorithm &algorithm : algorithms(direction)) *count += algorithm.tensor_cores ? 2 : 1;
    return CUDNN_STATUS_SUCCESS;
  });
}

constexpr size_t kNoLimit = ~size_t{0};

}  // namespace

#define QUERIES(NAME)                                                                                                         \
  cudnnStatus_t cudnnGetConvolution##NAME##AlgorithmMaxCount(cudnnHandle_t handle, int *count) {                              \
    return max_count(__func__, Direction::k##NAME, handle, count);                                                            \
  }                                                                                                                           \
  cudnnStatus_t cudnnGetConvolution##NAME##Algorithm_v7(cudnnHandle_t handle, void *first, void *second,                      \
                                                        cudnnConvolutionDescriptor_t convolution, void *result,               \
                                                        int requested, int *returned, cudnnConvolutionAlgoPerf_t *perf) {     \
    return heuristic({__func__, Direction::k##NAME, first, second, convolution, result}, handle,                              \
                     {requested, returned, perf, false, kNoLimit});                                                           \
  }                                                                                                                           \
  cudnnStatus_t cudnnFindConvolution##NAME##Algorithm(cudnnHandle_t handle, void *first, void *second,                        \
                                                      cudnnConvolutionDescriptor_t convolution, void *result, int requested,  \
                                                      int *returned, cudnnConvolutionAlgoPerf_t *perf) {                      \
    return measure({__func__, Direction::k##NAME, first, second, convolution, result}, handle,                                \
                   {requested, returned, perf, true, kNoLimit}, true, nullptr, nullptr, nullptr);                             \
  }                                                                                                                           \
  cudnnStatus_t cudnnFindConvolution##NAME##AlgorithmEx(                                                                      \
      cudnnHandle_t handle, void *first, const void *first_data, void *second, const void *second_data,                       \
      cudnnConvolutionDescriptor_t convolution, void *result, void *result_data, int requested, int *returned,                \
      cudnnConvolutionAlgoPerf_t *perf, void *memory, size_t bytes) {                                                         \
    return measure({__func__, Direction::k##NAME, first, second, convolution, result}, handle,                                \
                   {requested, returned, perf, true, memory == nullptr ? 0 : bytes}, false, first_data, second_data,          \
                   result_data);                                                                                              \
  }                                                                                                                           \
  cudnnStatus_t cudnnGetConvolution##NAME##WorkspaceSize(cudnnHandle_t handle, void *first, void *second,                     \
                                                         cudnnConvolutionDescriptor_t convolution, void *result,              \
                                                         int algorithm, size_t *bytes) {                                      \
    return workspace({__func__, Direction::k##NAME, first, second, convolution, result}, handle, algorithm, bytes);           \
  }

QUERIES(Forward)
QUERIES(BackwardData)
QUERIES(BackwardFilter)
