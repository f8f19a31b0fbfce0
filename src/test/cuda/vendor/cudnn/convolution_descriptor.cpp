// Convolution descriptors and the shape of a convolution's output.
#include <algorithm>

#include "objects.h"
#include "problem.h"

using namespace limbeck;
using namespace limbeck::dnn;

namespace {

cudnnStatus_t set(const char *function, void *convolution, int rank, const int pads[], const int strides[], const int dilations[],
                  int mode, int compute_type) {
  return with<Convolution>(function, convolution, [&](Convolution &live) {
    if (rank < 1 || pads == nullptr || strides == nullptr || dilations == nullptr) {
      return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "%d dimensions of space, or a null array", rank);
    }
    if (rank > CUDNN_DIM_MAX - 2) return DNN_REFUSE(function, CUDNN_STATUS_NOT_SUPPORTED, "%d dimensions of space", rank);
    if (mode != CUDNN_CONVOLUTION && mode != CUDNN_CROSS_CORRELATION) {
      return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "%d is no cudnnConvolutionMode_t", mode);
    }
    if (compute_type < 0 || compute_type > CUDNN_DATA_LAST) {
      return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "%d is no cudnnDataType_t", compute_type);
    }
    // Group count and math type go back to their defaults: whoever sets them before the shape finds out here.
    Convolution fresh;
    fresh.rank = rank;
    fresh.mode = mode;
    fresh.compute_type = compute_type;
    for (int i = 0; i < rank; i++) {
      if (pads[i] < 0 || strides[i] <= 0 || dilations[i] <= 0) {
        return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "padding %d, stride %d, dilation %d in dimension %d", pads[i],
                          strides[i], dilations[i], i);
      }
      fresh.pads[i] = pads[i], fresh.strides[i] = strides[i], fresh.dilations[i] = dilations[i];
    }
    live = fresh;
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t change(const char *function, void *convolution, int Convolution::*field, int value, bool valid) {
  return with<Convolution>(function, convolution, [&](Convolution &live) {
    if (!valid) return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "%d is no value of this setting", value);
    live.*field = value;
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t answer(const char *function, void *convolution, int Convolution::*field, int *target) {
  return with<Convolution>(function, convolution, [&](Convolution &live) {
    if (target == nullptr) return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "the result pointer is null");
    *target = live.*field;
    return CUDNN_STATUS_SUCCESS;
  });
}

}  // namespace

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *convolution) {
  return create<Convolution>(__func__, convolution);
}

cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convolution) {
  return destroy<Convolution>(__func__, convolution);
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convolution, int pad_h, int pad_w, int stride_h,
                                              int stride_w, int dilation_h, int dilation_w, int mode, int compute_type) {
  const int pads[] = {pad_h, pad_w}, strides[] = {stride_h, stride_w}, dilations[] = {dilation_h, dilation_w};
  return set(__func__, convolution, 2, pads, strides, dilations, mode, compute_type);
}

cudnnStatus_t cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t convolution, int rank, const int pads[],
                                              const int strides[], const int dilations[], int mode, int compute_type) {
  return set(__func__, convolution, rank, pads, strides, dilations, mode, compute_type);
}

cudnnStatus_t cudnnGetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convolution, int *pad_h, int *pad_w, int *stride_h,
                                              int *stride_w, int *dilation_h, int *dilation_w, int *mode, int *compute_type) {
  return with<Convolution>(__func__, convolution, [&](Convolution &live) {
    if (live.rank != 2) return DNN_REFUSE("cudnnGetConvolution2dDescriptor", CUDNN_STATUS_BAD_PARAM, "not a 2d convolution");
    int *targets[] = {pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, mode, compute_type};
    const int values[] = {live.pads[0],      live.pads[1],      live.strides[0], live.strides[1],
                          live.dilations[0], live.dilations[1], live.mode,       live.compute_type};
    for (int i = 0; i < 8; i++) {
      if (targets[i] != nullptr) *targets[i] = values[i];
    }
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnGetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t convolution, int wanted, int *rank, int pads[],
                                              int strides[], int dilations[], int *mode, int *compute_type) {
  return with<Convolution>(__func__, convolution, [&](Convolution &live) {
    const int count = std::clamp(wanted, 0, live.rank);
    if (rank != nullptr) *rank = live.rank;
    if (pads != nullptr) std::copy(live.pads, live.pads + count, pads);
    if (strides != nullptr) std::copy(live.strides, live.strides + count, strides);
    if (dilations != nullptr) std::copy(live.dilations, live.dilations + count, dilations);
    if (mode != nullptr) *mode = live.mode;
    if (compute_type != nullptr) *compute_type = live.compute_type;
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t convolution, int groups) {
  return change(__func__, convolution, &Convolution::groups, groups, groups >= 1);
}

cudnnStatus_t cudnnGetConvolutionGroupCount(cudnnConvolutionDescriptor_t convolution, int *groups) {
  return answer(__func__, convolution, &Convolution::groups, groups);
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convolution, int math) {
  return change(__func__, convolution, &Convolution::math, math, math >= CUDNN_DEFAULT_MATH && math <= CUDNN_FMA_MATH);
}

cudnnStatus_t cudnnGetConvolutionMathType(cudnnConvolutionDescriptor_t convolution, int *math) {
  return answer(__func__, convolution, &Convolution::math, math);
}

cudnnStatus_t cudnnSetConvolutionReorderType(cudnnConvolutionDescriptor_t convolution, int reorder) {
  return change(__func__, convolution, &Convolution::reorder, reorder, reorder == 0 || reorder == 1);
}

cudnnStatus_t cudnnGetConvolutionReorderType(cudnnConvolutionDescriptor_t convolution, int *reorder) {
  return answer(__func__, convolution, &Convolution::reorder, reorder);
}

cudnnStatus_t cudnnGetConvolutionNdForwardOutputDim(cudnnConvolutionDescriptor_t convolution, cudnnTensorDescriptor_t x,
                                                    cudnnFilterDescriptor_t w, int rank, int dims[]) {
  const char *function = __func__;
  return guarded(function, [&] {
    const auto live = Registry<Convolution>::instance().find(convolution);
    const auto input = Registry<Tensor>::instance().find(x);
    const auto filter = Registry<Filter>::instance().find(w);
    if (!live || !input || !filter || dims == nullptr) {
      return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "a descriptor is null or of another kind, or no result");
    }
    if (live->rank == 0 || input->rank != live->rank + 2 || filter->rank != input->rank || rank != input->rank) {
      return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "the ranks do not agree, or a descriptor was not set");
    }
    return output_dims(function, *live, *input, *filter, dims);
  });
}

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(cudnnConvolutionDescriptor_t convolution, cudnnTensorDescriptor_t x,
                                                    cudnnFilterDescriptor_t w, int *n, int *c, int *h, int *width) {
  int dims[4];
  const cudnnStatus_t status = cudnnGetConvolutionNdForwardOutputDim(convolution, x, w, 4, dims);
  if (status != CUDNN_STATUS_SUCCESS) return status;
  int *targets[] = {n, c, h, width};
  for (int i = 0; i < 4; i++) {
    if (targets[i] != nullptr) *targets[i] = dims[i];
  }
  return CUDNN_STATUS_SUCCESS;
}
