// The state behind a cublasHandle_t, and the frame around every exported function.
#pragma once

#include <memory>
#include <mutex>
#include <new>

#include "cublas.h"
#include "registry.h"
#include "report.h"

namespace limbeck::blas {

struct Settings {
  void *stream = nullptr;
  int pointer_mode = CUBLAS_POINTER_MODE_HOST;
  int math_mode = CUBLAS_DEFAULT_MATH;
  int atomics_mode = 0;
  int sm_count_target = 0;
  void *workspace = nullptr;
  size_t workspace_bytes = 0;
};

class Handle {
 public:
  Settings settings() {
    std::lock_guard<std::mutex> lock(mutex_);
    return settings_;
  }

  template <class Change>
  void change(Change apply) {
    std::lock_guard<std::mutex> lock(mutex_);
    apply(settings_);
  }

 private:
  std::mutex mutex_;
  Settings settings_;
};

// Tells why a call is refused, answers the status.
#define BLAS_REFUSE(function, status, ...) (::limbeck::report("libcublas", function, __VA_ARGS__), status)

// Finds the handle, runs the body with it, lets no exception across the C interface.
template <class Body>
cublasStatus_t with_handle(const char *function, const void *key, Body body) {
  try {
    std::shared_ptr<Handle> handle = Registry<Handle>::instance().find(key);
    if (!handle) return BLAS_REFUSE(function, CUBLAS_STATUS_NOT_INITIALIZED, "the handle is null, destroyed or foreign");
    return body(*handle);
  } catch (const std::bad_alloc &) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_ALLOC_FAILED, "no host memory");
  } catch (...) {
    return BLAS_REFUSE(function, CUBLAS_STATUS_INTERNAL_ERROR, "an unexpected exception");
  }
}

}  // namespace limbeck::blas
