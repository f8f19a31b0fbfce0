// What libcuda.so.1 of the software CUDA device offers beside the driver API: the door for code on the host that plays a vendor
// library (stand-ins of cuBLAS and cuDNN) and for tests. Device addresses are never host addresses; these functions are the only way in.
#ifndef LIMBECK_HOST_API_H
#define LIMBECK_HOST_API_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// Host memory behind [address, address + bytes) of live device memory, or null (and a finding on stderr) if the range leaves an
// allocation. `write` != 0 marks the range as initialised. Call it from inside an enqueued function, when the work runs: memory may be
// freed or written between enqueueing and running.
void *limbeck_device_translate(unsigned long long address, size_t bytes, int write);

// Runs `run(argument)` in the order of `stream` (late, as a kernel would be; recorded as a node while the stream is captured, and then
// run once per graph launch). A non-zero return of `run` becomes the context's sticky error. `destroy` (may be null) frees the
// argument when no run can follow. Returns a CUresult; if it is not 0, neither function was or will be called.
int limbeck_device_enqueue(void *stream, int (*run)(void *argument), void (*destroy)(void *argument), void *argument);

// Sets an option of the device (see README.md), as the environment variable LIMBECK_DEVICE does at start. Returns a CUresult:
// CUDA_ERROR_INVALID_VALUE for an unknown name or a value it cannot have.
int limbeck_device_option(const char *name, const char *value);

#ifdef __cplusplus
}
#endif

#endif
