// What stands behind the opaque pointers of the interface, and the frame around every exported function.
#pragma once

#include <memory>
#include <mutex>
#include <new>

#include "cudnn.h"
#include "number.h"
#include "registry.h"
#include "report.h"

namespace limbeck::dnn {

class Handle {
 public:
  void *stream() {
    std::lock_guard<std::mutex> lock(mutex_);
    return stream_;
  }
  void set_stream(void *stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    stream_ = stream;
  }

 private:
  std::mutex mutex_;
  void *stream_ = nullptr;
};

// A descriptor of rank 0 was never set.
struct Tensor {
  int type = 0, rank = 0;
  int dims[CUDNN_DIM_MAX] = {}, strides[CUDNN_DIM_MAX] = {};
};

struct Filter {
  int type = 0, format = 0, rank = 0;
  int dims[CUDNN_DIM_MAX] = {};
};

struct Convolution {
  int rank = 0;  // of space: 2
  int pads[CUDNN_DIM_MAX] = {}, strides[CUDNN_DIM_MAX] = {}, dilations[CUDNN_DIM_MAX] = {};
  int mode = 0, compute_type = 0, groups = 1, math = CUDNN_DEFAULT_MATH, reorder = 0;
};

// Tells why a call is refused, answers the status.
#define DNN_REFUSE(function, status, ...) (::limbeck::report("libcudnn", function, __VA_ARGS__), status)

// Runs the body, lets no exception across the C interface.
template <class Body>
cudnnStatus_t guarded(const char *function, Body body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return DNN_REFUSE(function, CUDNN_STATUS_ALLOC_FAILED, "no host memory");
  } catch (...) {
    return DNN_REFUSE(function, CUDNN_STATUS_INTERNAL_ERROR, "an unexpected exception");
  }
}

// Finds the object behind a pointer, or refuses the call.
template <class Object, class Body>
cudnnStatus_t with(const char *function, const void *key, Body body) {
  return guarded(function, [&] {
    std::shared_ptr<Object> object = Registry<Object>::instance().find(key);
    if (!object) {
      return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "a handle or descriptor is null, destroyed or of another kind");
    }
    return body(*object);
  });
}

template <class Object>
cudnnStatus_t create(const char *function, void **result) {
  return guarded(function, [&] {
    if (result == nullptr) return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "the result pointer is null");
    *result = Registry<Object>::instance().add(std::make_shared<Object>());
    return CUDNN_STATUS_SUCCESS;
  });
}

// Destroying null is allowed, as free(null) is.
template <class Object>
cudnnStatus_t destroy(const char *function, const void *key) {
  if (key == nullptr || Registry<Object>::instance().remove(key)) return CUDNN_STATUS_SUCCESS;
  return DNN_REFUSE(function, CUDNN_STATUS_BAD_PARAM, "destroyed already, or of another kind");
}

// Number of a cudnnDataType_t; false if the stand-in computes none such.
inline bool number_of(int type, Number *number) {
  switch (type) {
    case CUDNN_DATA_FLOAT:
      *number = Number::kF32;
      return true;
    case CUDNN_DATA_DOUBLE:
      *number = Number::kF64;
      return true;
    case CUDNN_DATA_HALF:
      *number = Number::kF16;
      return true;
    case CUDNN_DATA_BFLOAT16:
      *number = Number::kBf16;
      return true;
    default:
      return false;
  }
}

}  // namespace limbeck::dnn
