// Tensor and filter descriptors: dimensions are always given in the order N, C, space, whatever the layout.
#include <algorithm>

#include "objects.h"

using namespace limbeck;
using namespace limbeck::dnn;

namespace {

bool is_type(int type) { return type >= 0 && type <= CUDNN_DATA_LAST; }

// Strides of a packed tensor. Channels last: channels are the fastest, then space, then N.
void pack(int format, int rank, const int dims[], int strides[]) {
  int stride = 1;
  if (format == CUDNN_TENSOR_NHWC) {
    strides[1] = 1;
    stride = dims[1];
  }
  for (int i = rank - 1; i >= 2; i--) {
    strides[i] = stride;
    stride *= dims[i];
  }
  if (format != CUDNN_TENSOR_NHWC) {
    strides[1] = stride;
    stride *= dims[1];
  }
  strides[0] = stride;
}

// Checks what both kinds of descriptor share.
cudnnStatus_t check(const char *function, int type, int minimal_rank, int rank, const int dims[]) {
  if (!is_type(type)) return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "%d is no cudnnDataType_t", type);
  if (rank < minimal_rank || rank > CUDNN_DIM_MAX) {
    return DNN_REFUSE(function, CUDNN_STATUS_NOT_SUPPORTED, "%d dimensions: not %d to %d", rank, minimal_rank, CUDNN_DIM_MAX);
  }
  if (dims == nullptr) return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "the dimensions are null");
  int64_t count = 1;
  for (int i = 0; i < rank; i++) {
    if (dims[i] <= 0) return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "dimension %d is %d", i, dims[i]);
    count *= dims[i];
    if (count >= int64_t{1} << 31) {
      return DNN_REFUSE(function, CUDNN_STATUS_NOT_SUPPORTED, "2^31 elements or more");
    }
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_format(const char *function, int format) {
  if (format == CUDNN_TENSOR_NCHW || format == CUDNN_TENSOR_NHWC) return CUDNN_STATUS_SUCCESS;
  if (format == CUDNN_TENSOR_NCHW_VECT_C) {
    return DNN_REFUSE(function, CUDNN_STATUS_NOT_SUPPORTED, "vectors of channels are not computed here");
  }
  return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "%d is no cudnnTensorFormat_t", format);
}

cudnnStatus_t set_strided(const char *function, void *tensor, int type, int rank, const int dims[], const int strides[]) {
  return with<Tensor>(function, tensor, [&](Tensor &live) {
    const cudnnStatus_t status = check(function, type, 4, rank, dims);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    Tensor fresh;
    fresh.type = type;
    fresh.rank = rank;
    for (int i = 0; i < rank; i++) {
      if (strides == nullptr || strides[i] <= 0) {
        return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "stride %d is not positive", i);
      }
      fresh.dims[i] = dims[i];
      fresh.strides[i] = strides[i];
    }
    live = fresh;
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t set_packed(const char *function, void *tensor, int format, int type, int rank, const int dims[]) {
  cudnnStatus_t status = check_format(function, format);
  if (status == CUDNN_STATUS_SUCCESS) status = check(function, type, 4, rank, dims);
  if (status != CUDNN_STATUS_SUCCESS) return status;
  int strides[CUDNN_DIM_MAX];
  pack(format, rank, dims, strides);
  return set_strided(function, tensor, type, rank, dims, strides);
}

cudnnStatus_t set_filter(const char *function, void *filter, int type, int format, int rank, const int dims[]) {
  return with<Filter>(function, filter, [&](Filter &live) {
    cudnnStatus_t status = check_format(function, format);
    if (status == CUDNN_STATUS_SUCCESS) status = check(function, type, 3, rank, dims);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    Filter fresh;
    fresh.type = type;
    fresh.format = format;
    fresh.rank = rank;
    std::copy(dims, dims + rank, fresh.dims);
    live = fresh;
    return CUDNN_STATUS_SUCCESS;
  });
}

void put(int *target, int value) {
  if (target != nullptr) *target = value;
}

// The first `wanted` of the values; a null array is skipped.
void put(int *target, const int values[], int wanted, int rank) {
  if (target != nullptr) std::copy(values, values + std::min(wanted, rank), target);
}

}  // namespace

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensor) { return create<Tensor>(__func__, tensor); }

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) { return destroy<Tensor>(__func__, tensor); }

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, int format, int type, int n, int c, int h, int w) {
  const int dims[] = {n, c, h, w};
  return set_packed(__func__, tensor, format, type, 4, dims);
}

cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t tensor, int type, int n, int c, int h, int w, int n_stride,
                                           int c_stride, int h_stride, int w_stride) {
  const int dims[] = {n, c, h, w}, strides[] = {n_stride, c_stride, h_stride, w_stride};
  return set_strided(__func__, tensor, type, 4, dims, strides);
}

cudnnStatus_t cudnnGetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, int *type, int *n, int *c, int *h, int *w,
                                         int *n_stride, int *c_stride, int *h_stride, int *w_stride) {
  return with<Tensor>(__func__, tensor, [&](Tensor &live) {
    int *dims[] = {n, c, h, w}, *strides[] = {n_stride, c_stride, h_stride, w_stride};
    put(type, live.type);
    for (int i = 0; i < 4; i++) put(dims[i], live.dims[i]), put(strides[i], live.strides[i]);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, int type, int rank, const int dims[],
                                         const int strides[]) {
  return set_strided(__func__, tensor, type, rank, dims, strides);
}

cudnnStatus_t cudnnSetTensorNdDescriptorEx(cudnnTensorDescriptor_t tensor, int format, int type, int rank, const int dims[]) {
  return set_packed(__func__, tensor, format, type, rank, dims);
}

cudnnStatus_t cudnnGetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, int wanted, int *type, int *rank, int dims[],
                                         int strides[]) {
  return with<Tensor>(__func__, tensor, [&](Tensor &live) {
    put(type, live.type);
    put(rank, live.rank);
    put(dims, live.dims, wanted, live.rank);
    put(strides, live.strides, wanted, live.rank);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnGetTensorSizeInBytes(cudnnTensorDescriptor_t tensor, size_t *bytes) {
  return with<Tensor>(__func__, tensor, [&](Tensor &live) {
    Number number;
    if (bytes == nullptr || live.rank == 0 || !number_of(live.type, &number)) {
      return DNN_REFUSE("cudnnGetTensorSizeInBytes", CUDNN_STATUS_BAD_PARAM, "not set, of an uncomputed type, or no result");
    }
    size_t last = 0;
    for (int i = 0; i < live.rank; i++) last += static_cast<size_t>(live.dims[i] - 1) * static_cast<size_t>(live.strides[i]);
    *bytes = (last + 1) * size_of(number);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *filter) { return create<Filter>(__func__, filter); }

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) { return destroy<Filter>(__func__, filter); }

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, int type, int format, int k, int c, int h, int w) {
  const int dims[] = {k, c, h, w};
  return set_filter(__func__, filter, type, format, 4, dims);
}

cudnnStatus_t cudnnGetFilter4dDescriptor(cudnnFilterDescriptor_t filter, int *type, int *format, int *k, int *c, int *h, int *w) {
  return with<Filter>(__func__, filter, [&](Filter &live) {
    int *dims[] = {k, c, h, w};
    put(type, live.type);
    put(format, live.format);
    for (int i = 0; i < 4; i++) put(dims[i], live.dims[i]);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnSetFilterNdDescriptor(cudnnFilterDescriptor_t filter, int type, int format, int rank, const int dims[]) {
  return set_filter(__func__, filter, type, format, rank, dims);
}

cudnnStatus_t cudnnGetFilterNdDescriptor(cudnnFilterDescriptor_t filter, int wanted, int *type, int *format, int *rank,
                                         int dims[]) {
  return with<Filter>(__func__, filter, [&](Filter &live) {
    put(type, live.type);
    put(format, live.format);
    put(rank, live.rank);
    put(dims, live.dims, wanted, live.rank);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnGetFilterSizeInBytes(cudnnFilterDescriptor_t filter, size_t *bytes) {
  return with<Filter>(__func__, filter, [&](Filter &live) {
    Number number;
    if (bytes == nullptr || live.rank == 0 || !number_of(live.type, &number)) {
      return DNN_REFUSE("cudnnGetFilterSizeInBytes", CUDNN_STATUS_BAD_PARAM, "not set, of an uncomputed type, or no result");
    }
    size_t count = 1;
    for (int i = 0; i < live.rank; i++) count *= static_cast<size_t>(live.dims[i]);
    *bytes = count * size_of(number);
    return CUDNN_STATUS_SUCCESS;
  });
}
