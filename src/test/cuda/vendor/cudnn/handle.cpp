// Handles, versions, status names.
#include "device.h"
#include "objects.h"

using namespace limbeck;
using namespace limbeck::dnn;

namespace {

constexpr int kMajor = 9, kMinor = 5, kPatch = 1;  // the version whose documentation the checks follow

}  // namespace

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
  if (handle != nullptr && !has_context()) {
    *handle = nullptr;
    return DNN_REFUSE(__func__, CUDNN_STATUS_NOT_INITIALIZED, "this thread has no current context");
  }
  return create<Handle>(__func__, handle);
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  // Documented: destroying a handle synchronises the device. Its result belongs to the device's own error reporting.
  if (handle != nullptr) cuCtxSynchronize();
  return destroy<Handle>(__func__, handle);
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, void *stream) {
  return with<Handle>(__func__, handle, [&](Handle &live) {
    live.set_stream(stream);
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, void **stream) {
  return with<Handle>(__func__, handle, [&](Handle &live) {
    if (stream == nullptr) return DNN_REFUSE("cudnnGetStream", CUDNN_STATUS_BAD_PARAM, "the result pointer is null");
    *stream = live.stream();
    return CUDNN_STATUS_SUCCESS;
  });
}

size_t cudnnGetVersion(void) { return 10000 * kMajor + 100 * kMinor + kPatch; }

size_t cudnnGetCudartVersion(void) { return 12060; }

size_t cudnnGetMaxDeviceVersion(void) { return 900; }

cudnnStatus_t cudnnGetProperty(int type, int *value) {
  constexpr int kParts[] = {kMajor, kMinor, kPatch};
  if (type < 0 || type > 2 || value == nullptr) {
    return DNN_REFUSE(__func__, CUDNN_STATUS_BAD_PARAM, "property %d, or a null result pointer", type);
  }
  *value = kParts[type];
  return CUDNN_STATUS_SUCCESS;
}

const char *cudnnGetErrorString(cudnnStatus_t status) {
  switch (status) {
    case CUDNN_STATUS_SUCCESS:
      return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED:
      return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM:
      return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER:
      return "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER";
    case CUDNN_STATUS_NOT_SUPPORTED:
      return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH:
      return "CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH";
    case CUDNN_STATUS_INTERNAL_ERROR:
      return "CUDNN_STATUS_INTERNAL_ERROR";
    case CUDNN_STATUS_ALLOC_FAILED:
      return "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED";
    case CUDNN_STATUS_EXECUTION_FAILED:
      return "CUDNN_STATUS_EXECUTION_FAILED";
    default:
      return "unknown cuDNN status";
  }
}

cudnnStatus_t cudnnQueryRuntimeError(cudnnHandle_t handle, cudnnStatus_t *status, int, void *) {
  return with<Handle>(__func__, handle, [&](Handle &) {
    if (status == nullptr) return DNN_REFUSE("cudnnQueryRuntimeError", CUDNN_STATUS_BAD_PARAM, "the result pointer is null");
    *status = CUDNN_STATUS_SUCCESS;
    return CUDNN_STATUS_SUCCESS;
  });
}

cudnnStatus_t cudnnOpsVersionCheck(void) { return CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnCnnVersionCheck(void) { return CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnGraphVersionCheck(void) { return CUDNN_STATUS_SUCCESS; }
