// Handles and their settings; versions and status names.
#include "handle.h"

#include "device.h"

using namespace limbeck;
using namespace limbeck::blas;

namespace {

constexpr int kMajor = 12, kMinor = 6, kPatch = 0;  // the version the natives were built for

template <class Value>
cublasStatus_t answer(const char *function, cublasHandle_t handle, Value Settings::*field, Value *target) {
  return with_handle(function, handle, [&](Handle &live) {
    if (target == nullptr) return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "the result pointer is null");
    *target = live.settings().*field;
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t change(const char *function, cublasHandle_t handle, int Settings::*field, int value, bool valid) {
  return with_handle(function, handle, [&](Handle &live) {
    if (!valid) return BLAS_REFUSE(function, CUBLAS_STATUS_INVALID_VALUE, "%d is no value of this setting", value);
    live.change([&](Settings &settings) { settings.*field = value; });
    return CUBLAS_STATUS_SUCCESS;
  });
}

}  // namespace

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle) {
  if (handle == nullptr) return BLAS_REFUSE(__func__, CUBLAS_STATUS_INVALID_VALUE, "the handle pointer is null");
  *handle = nullptr;
  if (!has_context()) return BLAS_REFUSE(__func__, CUBLAS_STATUS_NOT_INITIALIZED, "this thread has no current context");
  try {
    *handle = Registry<Handle>::instance().add(std::make_shared<Handle>());
    return CUBLAS_STATUS_SUCCESS;
  } catch (...) {
    return BLAS_REFUSE(__func__, CUBLAS_STATUS_ALLOC_FAILED, "no host memory");
  }
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  return with_handle(__func__, handle, [&](Handle &) {
    // Documented: destroying a handle synchronises the device. Its result belongs to the device's own error reporting.
    cuCtxSynchronize();
    Registry<Handle>::instance().remove(handle);
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, void *stream) {
  return with_handle(__func__, handle, [&](Handle &live) {
    live.change([&](Settings &settings) {
      settings.stream = stream;
      // Documented: a set stream gives the user's workspace back.
      settings.workspace = nullptr;
      settings.workspace_bytes = 0;
    });
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, void **stream) {
  return answer(__func__, handle, &Settings::stream, stream);
}

cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, int mode) {
  return change(__func__, handle, &Settings::pointer_mode, mode,
                mode == CUBLAS_POINTER_MODE_HOST || mode == CUBLAS_POINTER_MODE_DEVICE);
}

cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, int *mode) {
  return answer(__func__, handle, &Settings::pointer_mode, mode);
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, int mode) {
  const int base = mode & ~CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
  return change(__func__, handle, &Settings::math_mode, mode, base >= CUBLAS_DEFAULT_MATH && base <= CUBLAS_TF32_TENSOR_OP_MATH);
}

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, int *mode) {
  return answer(__func__, handle, &Settings::math_mode, mode);
}

cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, int mode) {
  return change(__func__, handle, &Settings::atomics_mode, mode, mode == 0 || mode == 1);
}

cublasStatus_t cublasGetAtomicsMode(cublasHandle_t handle, int *mode) {
  return answer(__func__, handle, &Settings::atomics_mode, mode);
}

cublasStatus_t cublasSetSmCountTarget(cublasHandle_t handle, int count) {
  return change(__func__, handle, &Settings::sm_count_target, count, count >= 0);
}

cublasStatus_t cublasGetSmCountTarget(cublasHandle_t handle, int *count) {
  return answer(__func__, handle, &Settings::sm_count_target, count);
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes) {
  return with_handle(__func__, handle, [&](Handle &live) {
    if (address_of(workspace) % 256 != 0) {
      return BLAS_REFUSE("cublasSetWorkspace_v2", CUBLAS_STATUS_INVALID_VALUE, "the workspace is not aligned to 256 bytes");
    }
    if (workspace == nullptr && bytes != 0) {
      return BLAS_REFUSE("cublasSetWorkspace_v2", CUBLAS_STATUS_INVALID_VALUE, "a null workspace of %zu bytes", bytes);
    }
    live.change([&](Settings &settings) {
      settings.workspace = workspace;
      settings.workspace_bytes = bytes;
    });
    return CUBLAS_STATUS_SUCCESS;
  });
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int *version) {
  // A null handle is allowed here: the version is the library's.
  if (version == nullptr) return BLAS_REFUSE(__func__, CUBLAS_STATUS_INVALID_VALUE, "the result pointer is null");
  if (handle != nullptr && !Registry<Handle>::instance().find(handle)) {
    return BLAS_REFUSE(__func__, CUBLAS_STATUS_NOT_INITIALIZED, "the handle is destroyed or foreign");
  }
  *version = 10000 * kMajor + 100 * kMinor + kPatch;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetProperty(int type, int *value) {
  constexpr int kParts[] = {kMajor, kMinor, kPatch};
  if (type < 0 || type > 2 || value == nullptr) {
    return BLAS_REFUSE(__func__, CUBLAS_STATUS_INVALID_VALUE, "property %d, or a null result pointer", type);
  }
  *value = kParts[type];
  return CUBLAS_STATUS_SUCCESS;
}

size_t cublasGetCudartVersion(void) { return 1000 * kMajor + 10 * kMinor; }

const char *cublasGetStatusName(cublasStatus_t status) {
  switch (static_cast<int>(status)) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_LICENSE_ERROR:
      return "CUBLAS_STATUS_LICENSE_ERROR";
    default:
      return "unknown cuBLAS status";
  }
}

const char *cublasGetStatusString(cublasStatus_t status) { return cublasGetStatusName(status); }
