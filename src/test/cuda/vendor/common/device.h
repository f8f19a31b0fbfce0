// The software device as the stand-ins see it: memory at execution time, stream order, compute capability.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <utility>

#include "host_api.h"

// The few driver functions the stand-ins need; libcuda.so.1 exports them.
extern "C" {
int cuCtxGetCurrent(void **context);
int cuCtxGetDevice(int *device);
int cuCtxSynchronize(void);
int cuDeviceGetAttribute(int *value, int attribute, int device);
}

namespace limbeck {

constexpr int kSuccess = 0;                // CUDA_SUCCESS
constexpr int kOutOfMemory = 2;            // CUDA_ERROR_OUT_OF_MEMORY
constexpr int kIllegalAddress = 700;       // CUDA_ERROR_ILLEGAL_ADDRESS
constexpr int kMisalignedAddress = 716;    // CUDA_ERROR_MISALIGNED_ADDRESS
constexpr int kUnknownError = 999;         // CUDA_ERROR_UNKNOWN

using Address = unsigned long long;

inline Address address_of(const void *pointer) { return reinterpret_cast<Address>(pointer); }

// Thrown inside a running job only; enqueue() turns it into the job's CUresult.
struct DeviceFault : std::runtime_error {
  int result;
  DeviceFault(int result, const char *what) : std::runtime_error(what), result(result) {}
};

// Host memory behind a device range. Throws DeviceFault for a range outside one allocation or not aligned to an element.
const void *readable(Address address, size_t bytes, size_t alignment);
void *writable(Address address, size_t bytes, size_t alignment);

// Whether this thread has a current context.
bool has_context();

// Compute capability of the current context's device, as 80 for 8.0; 0 if there is no device.
int compute_capability();

// To be called in a catch block: reports the exception in flight, answers the CUresult of a job that ended so.
int fault_result(const char *name);

// Runs the job (a callable without result) late, in the order of the stream, possibly several times (a replayed graph): it must
// own all it needs. Answers a CUresult.
template <class Job>
int enqueue(void *stream, const char *name, Job job) {
  struct Argument {
    Job job;
    const char *name;
  };
  auto argument = std::unique_ptr<Argument>(new Argument{std::move(job), name});
  auto run = [](void *opaque) -> int {
    auto *self = static_cast<Argument *>(opaque);
    try {
      self->job();
      return kSuccess;
    } catch (...) {
      return fault_result(self->name);
    }
  };
  auto destroy = [](void *opaque) { delete static_cast<Argument *>(opaque); };
  const int result = limbeck_device_enqueue(stream, run, destroy, argument.get());
  if (result == kSuccess) argument.release();  // from here on the device's
  return result;
}

}  // namespace limbeck
