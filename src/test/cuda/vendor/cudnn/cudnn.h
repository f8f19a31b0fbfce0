// The part of the cuDNN 9 interface that the stand-in computes: values and signatures, stated from the public documentation.
#pragma once

#include <cstddef>
#include <cstdint>

#define CUDNN_API extern "C" __attribute__((visibility("default")))

// cuDNN 9 numbers its statuses anew, in thousands by category; version 8's numbers (bad parameter 3, not supported 9) are gone.
enum cudnnStatus_t : int {
  CUDNN_STATUS_SUCCESS = 0,
  CUDNN_STATUS_NOT_INITIALIZED = 1001,
  CUDNN_STATUS_BAD_PARAM = 2000,
  CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER = 2003,
  CUDNN_STATUS_NOT_SUPPORTED = 3000,
  CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH = 3007,
  CUDNN_STATUS_INTERNAL_ERROR = 4000,
  CUDNN_STATUS_ALLOC_FAILED = 4003,
  CUDNN_STATUS_EXECUTION_FAILED = 5000,
};

enum { CUDNN_DATA_FLOAT = 0, CUDNN_DATA_DOUBLE = 1, CUDNN_DATA_HALF = 2, CUDNN_DATA_BFLOAT16 = 9, CUDNN_DATA_LAST = 14 };
enum { CUDNN_TENSOR_NCHW = 0, CUDNN_TENSOR_NHWC = 1, CUDNN_TENSOR_NCHW_VECT_C = 2 };
enum { CUDNN_CONVOLUTION = 0, CUDNN_CROSS_CORRELATION = 1 };
enum { CUDNN_DEFAULT_MATH = 0, CUDNN_TENSOR_OP_MATH = 1, CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION = 2, CUDNN_FMA_MATH = 3 };
enum { CUDNN_NON_DETERMINISTIC = 0, CUDNN_DETERMINISTIC = 1 };
enum {
  CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM = 0,
  CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM = 1,
  CUDNN_CONVOLUTION_FWD_ALGO_GEMM = 2,
  CUDNN_CONVOLUTION_FWD_ALGO_DIRECT = 3,
  CUDNN_CONVOLUTION_FWD_ALGO_FFT = 4,
  CUDNN_CONVOLUTION_FWD_ALGO_FFT_TILING = 5,
  CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD = 6,
  CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED = 7,
};
enum {
  CUDNN_CONVOLUTION_BWD_DATA_ALGO_0 = 0,
  CUDNN_CONVOLUTION_BWD_DATA_ALGO_1 = 1,
  CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT = 2,
  CUDNN_CONVOLUTION_BWD_DATA_ALGO_FFT_TILING = 3,
  CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD = 4,
  CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED = 5,
};
enum {
  CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0 = 0,
  CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1 = 1,
  CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT = 2,
  CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3 = 3,
  CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD = 4,
  CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED = 5,
  CUDNN_CONVOLUTION_BWD_FILTER_ALGO_FFT_TILING = 6,
};

// One layout for all three directions.
struct cudnnConvolutionAlgoPerf_t {
  int algo;
  cudnnStatus_t status;
  float time;
  size_t memory;
  int determinism;
  int mathType;
  int reserved[3];
};

constexpr int CUDNN_DIM_MAX = 8;

using cudnnHandle_t = void *;
using cudnnTensorDescriptor_t = void *;
using cudnnFilterDescriptor_t = void *;
using cudnnConvolutionDescriptor_t = void *;

// Handle and library.
CUDNN_API cudnnStatus_t cudnnCreate(cudnnHandle_t *handle);
CUDNN_API cudnnStatus_t cudnnDestroy(cudnnHandle_t handle);
CUDNN_API cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, void *stream);
CUDNN_API cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, void **stream);
CUDNN_API size_t cudnnGetVersion(void);
CUDNN_API size_t cudnnGetCudartVersion(void);
CUDNN_API size_t cudnnGetMaxDeviceVersion(void);
CUDNN_API cudnnStatus_t cudnnGetProperty(int type, int *value);
CUDNN_API const char *cudnnGetErrorString(cudnnStatus_t status);
CUDNN_API cudnnStatus_t cudnnQueryRuntimeError(cudnnHandle_t handle, cudnnStatus_t *status, int mode, void *tag);
CUDNN_API cudnnStatus_t cudnnOpsVersionCheck(void);
CUDNN_API cudnnStatus_t cudnnCnnVersionCheck(void);
CUDNN_API cudnnStatus_t cudnnGraphVersionCheck(void);

// Tensor and filter descriptors.
CUDNN_API cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensor);
CUDNN_API cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor);
CUDNN_API cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, int format, int type, int n, int c, int h,
                                                   int w);
CUDNN_API cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t tensor, int type, int n, int c, int h, int w,
                                                     int n_stride, int c_stride, int h_stride, int w_stride);
CUDNN_API cudnnStatus_t cudnnGetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, int *type, int *n, int *c, int *h, int *w,
                                                   int *n_stride, int *c_stride, int *h_stride, int *w_stride);
CUDNN_API cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, int type, int rank, const int dims[],
                                                   const int strides[]);
CUDNN_API cudnnStatus_t cudnnSetTensorNdDescriptorEx(cudnnTensorDescriptor_t tensor, int format, int type, int rank,
                                                     const int dims[]);
CUDNN_API cudnnStatus_t cudnnGetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, int wanted, int *type, int *rank, int dims[],
                                                   int strides[]);
CUDNN_API cudnnStatus_t cudnnGetTensorSizeInBytes(cudnnTensorDescriptor_t tensor, size_t *bytes);
CUDNN_API cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *filter);
CUDNN_API cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter);
CUDNN_API cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, int type, int format, int k, int c, int h,
                                                   int w);
CUDNN_API cudnnStatus_t cudnnGetFilter4dDescriptor(cudnnFilterDescriptor_t filter, int *type, int *format, int *k, int *c,
                                                   int *h, int *w);
CUDNN_API cudnnStatus_t cudnnSetFilterNdDescriptor(cudnnFilterDescriptor_t filter, int type, int format, int rank,
                                                   const int dims[]);
CUDNN_API cudnnStatus_t cudnnGetFilterNdDescriptor(cudnnFilterDescriptor_t filter, int wanted, int *type, int *format, int *rank,
                                                   int dims[]);
CUDNN_API cudnnStatus_t cudnnGetFilterSizeInBytes(cudnnFilterDescriptor_t filter, size_t *bytes);

// Convolution descriptor.
CUDNN_API cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *convolution);
CUDNN_API cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convolution);
CUDNN_API cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convolution, int pad_h, int pad_w,
                                                        int stride_h, int stride_w, int dilation_h, int dilation_w, int mode,
                                                        int compute_type);
CUDNN_API cudnnStatus_t cudnnGetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convolution, int *pad_h, int *pad_w,
                                                        int *stride_h, int *stride_w, int *dilation_h, int *dilation_w,
                                                        int *mode, int *compute_type);
CUDNN_API cudnnStatus_t cudnnSetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t convolution, int rank, const int pads[],
                                                        const int strides[], const int dilations[], int mode, int compute_type);
CUDNN_API cudnnStatus_t cudnnGetConvolutionNdDescriptor(cudnnConvolutionDescriptor_t convolution, int wanted, int *rank,
                                                        int pads[], int strides[], int dilations[], int *mode,
                                                        int *compute_type);
CUDNN_API cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t convolution, int groups);
CUDNN_API cudnnStatus_t cudnnGetConvolutionGroupCount(cudnnConvolutionDescriptor_t convolution, int *groups);
CUDNN_API cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t convolution, int math);
CUDNN_API cudnnStatus_t cudnnGetConvolutionMathType(cudnnConvolutionDescriptor_t convolution, int *math);
CUDNN_API cudnnStatus_t cudnnSetConvolutionReorderType(cudnnConvolutionDescriptor_t convolution, int reorder);
CUDNN_API cudnnStatus_t cudnnGetConvolutionReorderType(cudnnConvolutionDescriptor_t convolution, int *reorder);
CUDNN_API cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(cudnnConvolutionDescriptor_t convolution,
                                                              cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w, int *n,
                                                              int *c, int *h, int *width);
CUDNN_API cudnnStatus_t cudnnGetConvolutionNdForwardOutputDim(cudnnConvolutionDescriptor_t convolution,
                                                              cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w, int rank,
                                                              int dims[]);

// Choice of an algorithm, in the order of arguments of each direction: forward (x, w, y), data (w, dy, dx), filter (x, dy, dw).
#define CUDNN_DIRECTION(NAME)                                                                                                  \
  CUDNN_API cudnnStatus_t cudnnGetConvolution##NAME##AlgorithmMaxCount(cudnnHandle_t handle, int *count);                      \
  CUDNN_API cudnnStatus_t cudnnGetConvolution##NAME##Algorithm_v7(                                                             \
      cudnnHandle_t handle, void *first, void *second, cudnnConvolutionDescriptor_t convolution, void *result, int requested,  \
      int *returned, cudnnConvolutionAlgoPerf_t *perf);                                                                        \
  CUDNN_API cudnnStatus_t cudnnFindConvolution##NAME##Algorithm(                                                               \
      cudnnHandle_t handle, void *first, void *second, cudnnConvolutionDescriptor_t convolution, void *result, int requested,  \
      int *returned, cudnnConvolutionAlgoPerf_t *perf);                                                                        \
  CUDNN_API cudnnStatus_t cudnnFindConvolution##NAME##AlgorithmEx(                                                             \
      cudnnHandle_t handle, void *first, const void *first_data, void *second, const void *second_data,                        \
      cudnnConvolutionDescriptor_t convolution, void *result, void *result_data, int requested, int *returned,                 \
      cudnnConvolutionAlgoPerf_t *perf, void *workspace, size_t bytes);                                                        \
  CUDNN_API cudnnStatus_t cudnnGetConvolution##NAME##WorkspaceSize(                                                            \
      cudnnHandle_t handle, void *first, void *second, cudnnConvolutionDescriptor_t convolution, void *result, int algorithm,  \
      size_t *bytes);                                                                                                          \
  CUDNN_API cudnnStatus_t cudnnConvolution##NAME(                                                                              \
      cudnnHandle_t handle, const void *alpha, void *first, const void *first_data, void *second, const void *second_data,     \
      cudnnConvolutionDescriptor_t convolution, int algorithm, void *workspace, size_t bytes, const void *beta, void *result,  \
      void *result_data);

CUDNN_DIRECTION(Forward)
CUDNN_DIRECTION(BackwardData)
CUDNN_DIRECTION(BackwardFilter)
#undef CUDNN_DIRECTION

CUDNN_API cudnnStatus_t cudnnConvolutionBackwardBias(cudnnHandle_t handle, const void *alpha, cudnnTensorDescriptor_t dy,
                                                     const void *dy_data, const void *beta, cudnnTensorDescriptor_t db,
                                                     void *db_data);
