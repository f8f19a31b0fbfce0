// The least a test needs: checks that say where they failed, and the device's own driver API behind a few short names.
#ifndef LIMBECK_TEST_KIT_H
#define LIMBECK_TEST_KIT_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "host_api.h"

extern "C" {
int cuInit(unsigned);
int cuDevicePrimaryCtxRetain(void **, int);
int cuDevicePrimaryCtxReset_v2(int);
int cuDeviceGetByPCIBusId(int *, const char *);
int cuCtxSetCurrent(void *);
int cuCtxSynchronize();
int cuModuleLoadData(void **, const char *);
int cuModuleUnload(void *);
int cuModuleGetFunction(void **, void *, const char *);
int cuModuleGetGlobal_v2(unsigned long long *, size_t *, void *, const char *);
int cuFuncSetAttribute(void *, int, int);
int cuMemAlloc_v2(unsigned long long *, size_t);
int cuMemFree_v2(unsigned long long);
int cuMemHostAlloc(void **, size_t, unsigned);
int cuMemFreeHost(void *);
int cuMemcpyHtoD_v2(unsigned long long, const void *, size_t);
int cuMemcpyDtoH_v2(void *, unsigned long long, size_t);
int cuMemcpyHtoDAsync_v2(unsigned long long, const void *, size_t, void *);
int cuMemcpyDtoHAsync_v2(void *, unsigned long long, size_t, void *);
int cuMemsetD32_v2(unsigned long long, unsigned, size_t);
int cuMemsetD32Async(unsigned long long, unsigned, size_t, void *);
int cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
int cuStreamCreate(void **, unsigned);
int cuStreamDestroy_v2(void *);
int cuStreamSynchronize(void *);
int cuStreamQuery(void *);
int cuStreamWaitEvent(void *, void *, unsigned);
int cuEventCreate(void **, unsigned);
int cuEventDestroy_v2(void *);
int cuEventRecord(void *, void *);
int cuEventSynchronize(void *);
int cuEventQuery(void *);
int cuStreamBeginCapture_v2(void *, int);
int cuStreamEndCapture(void *, void **);
int cuStreamIsCapturing(void *, int *);
int cuGraphInstantiateWithFlags(void **, void *, unsigned long long);
int cuGraphLaunch(void *, void *);
int cuGraphDestroy(void *);
int cuGraphExecDestroy(void *);
int cuMemAllocAsync(unsigned long long *, size_t, void *);
int cuLaunchHostFunc(void *, void (*)(void *), void *);
int cuCtxGetCurrent(void **);
int cuDeviceGetCount(int *);
int cuCtxEnablePeerAccess(void *, unsigned);
int cuMemcpyPeer(unsigned long long, void *, unsigned long long, void *, size_t);
int cuDeviceGetName(char *, int, int);
int cuDeviceGetAttribute(int *, int, int);
int cuGetErrorName(int, const char **);
}

namespace kit {

inline int failures = 0, checks = 0;
inline int contexts = 0;  // how many there have been: a context takes its memory along

inline void fail(const char *file, int line, const std::string &what) {
  ++failures;
  std::printf("%s:%d: %s\n", file, line, what.c_str());
}

#define CHECK(condition)                                              \
  do {                                                                \
    ++kit::checks;                                                    \
    if (!(condition)) kit::fail(__FILE__, __LINE__, "failed: " #condition); \
  } while (0)

#define CHECK_EQ(actual, expected)                                                                                              \
  do {                                                                                                                          \
    ++kit::checks;                                                                                                              \
    auto a_ = (actual);                                                                                                         \
    decltype(a_) e_ = (expected);                                                                                               \
    if (!(a_ == e_)) kit::fail(__FILE__, __LINE__, #actual " is " + std::to_string(a_) + ", expected " + std::to_string(e_)); \
  } while (0)

// A call the test cannot go on without.
inline void require(int status, const char *call) {
  if (status == 0) return;
  const char *name = nullptr;
  cuGetErrorName(status, &name);
  std::printf("%s: %d %s\n", call, status, name ? name : "?");
  std::exit(1);
}
#define REQUIRE(call) kit::require((call), #call)

inline void start() {
  REQUIRE(cuInit(0));
  void *context;
  REQUIRE(cuDevicePrimaryCtxRetain(&context, 0));
  REQUIRE(cuCtxSetCurrent(context));
}

// A fresh context, after an error that stuck.
inline void restart() {
  cuDevicePrimaryCtxReset_v2(0);
  ++contexts;
  void *context;
  REQUIRE(cuDevicePrimaryCtxRetain(&context, 0));
  REQUIRE(cuCtxSetCurrent(context));
}

inline void option(const char *name, const std::string &value) { REQUIRE(limbeck_device_option(name, value.c_str())); }

inline std::string read(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

inline std::string findings() {
  const std::string path = "findings-" + std::to_string(reinterpret_cast<uintptr_t>(&failures)) + ".txt";
  option("findings", path);
  std::string text = read(path);
  std::remove(path.c_str());
  option("findings", "clear");
  return text;
}

template <class T>
struct Buffer {
  unsigned long long address = 0;
  size_t count;
  int context = contexts;
  explicit Buffer(size_t n) : count(n) { REQUIRE(cuMemAlloc_v2(&address, n * sizeof(T))); }
  explicit Buffer(const std::vector<T> &values) : Buffer(values.size()) { REQUIRE(cuMemcpyHtoD_v2(address, values.data(), values.size() * sizeof(T))); }
  ~Buffer() {
    if (context == contexts) cuMemFree_v2(address);
  }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  std::vector<T> values() const {
    std::vector<T> result(count);
    REQUIRE(cuMemcpyDtoH_v2(result.data(), address, count * sizeof(T)));
    return result;
  }
};

struct Module {
  void *handle = nullptr;
  explicit Module(const std::string &text) { REQUIRE(cuModuleLoadData(&handle, text.c_str())); }
  ~Module() { cuModuleUnload(handle); }
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;
  void *function(const char *name) const {
    void *f = nullptr;
    REQUIRE(cuModuleGetFunction(&f, handle, name));
    return f;
  }
  // Launches and waits; the status of the wait if the launch went well.
  template <class... A>
  int run(const char *name, unsigned grid, unsigned block, unsigned shared, A... arguments) const {
    void *pointers[] = {&arguments..., nullptr};
    int status = cuLaunchKernel(function(name), grid, 1, 1, block, 1, 1, shared, nullptr, pointers, nullptr);
    return status ? status : cuCtxSynchronize();
  }
};

inline int finish() {
  std::printf("%d checks, %d failures\n", checks, failures);
  return failures ? 1 : 0;
}

}  // namespace kit

#endif
