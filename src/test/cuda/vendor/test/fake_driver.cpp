#include "fake_driver.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "host_api.h"

namespace {

struct Job {
  int (*run)(void *);
  void (*destroy)(void *);
  void *argument;
};

std::mutex mutex;
std::map<unsigned long long, size_t> allocations;
std::vector<Job> queue;
size_t done = 0;
int capability = 80;
bool context = true;

int run_from(size_t first) {
  int result = 0;
  for (; first < queue.size(); first++) {
    const int one = queue[first].run(queue[first].argument);
    if (result == 0) result = one;
  }
  done = queue.size();
  return result;
}

}  // namespace

namespace fake {

void *allocate(size_t bytes) {
  void *memory = std::malloc(bytes);
  std::memset(memory, 0xff, bytes);
  const auto address = reinterpret_cast<unsigned long long>(memory) + kOffset;
  std::lock_guard<std::mutex> lock(mutex);
  allocations[address] = bytes;
  return reinterpret_cast<void *>(address);
}

void *host(void *device) { return reinterpret_cast<void *>(reinterpret_cast<unsigned long long>(device) - kOffset); }

void set_capability(int value) { capability = value; }
void set_context(bool present) { context = present; }
int pending() { return static_cast<int>(queue.size() - done); }
int run_all() { return run_from(done); }
int run_again() { return run_from(0); }

void drop_all() {
  for (const Job &job : queue) job.destroy(job.argument);
  queue.clear();
  done = 0;
}

}  // namespace fake

extern "C" {

void *limbeck_device_translate(unsigned long long address, size_t bytes, int) {
  std::lock_guard<std::mutex> lock(mutex);
  auto after = allocations.upper_bound(address);
  if (after == allocations.begin()) return nullptr;
  const auto &[first, size] = *--after;
  if (address - first > size || bytes > size - (address - first)) return nullptr;
  return reinterpret_cast<void *>(address - fake::kOffset);
}

int limbeck_device_enqueue(void *, int (*run)(void *), void (*destroy)(void *), void *argument) {
  std::lock_guard<std::mutex> lock(mutex);
  queue.push_back({run, destroy, argument});
  return 0;
}

int cuCtxGetCurrent(void **current) {
  *current = context ? &context : nullptr;
  return 0;
}

int cuCtxGetDevice(int *device) {
  *device = 0;
  return context ? 0 : 201;
}

int cuCtxSynchronize(void) { return fake::run_all(); }

int cuDeviceGetAttribute(int *value, int attribute, int) {
  *value = attribute == 75 ? capability / 10 : capability % 10;
  return 0;
}
}
