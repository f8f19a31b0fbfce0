// The driver's objects: devices, contexts, streams, events, modules. All of them are touched only under one lock.
#ifndef LIMBECK_DRIVER_STATE_H
#define LIMBECK_DRIVER_STATE_H

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "check/counters.h"
#include "driver/api.h"
#include "driver/arena.h"
#include "exec/kernel.h"
#include "exec/warp.h"

namespace limbeck {

struct Context;
struct Graph;
struct Stream;

struct Device {
  int number = 0;
  std::unique_ptr<Arena> arena;
  Context *primary = nullptr;
  int primaryUses = 0;
  uint32_t primaryFlags = 0;
};

// What a stream does one after the other. A node of a graph holds the same thing.
struct Work {
  enum class Kind : uint8_t { kernel, copy, fill, host, event, free, empty };
  Kind kind = Kind::empty;
  std::function<int()> run;  // a CUresult; anything but 0 breaks the context
};

struct Item {
  Work work;
  uint64_t sequence;
  std::vector<std::pair<Stream *, uint64_t>> after;  // streams and how far they must have come
};

// A capture in progress: streams that were forked into it share it.
struct Capture {
  Graph *graph = nullptr;
  Stream *origin = nullptr;
  int mode = 0;  // 0 global, 1 thread local, 2 relaxed
  uint64_t thread = 0;
  uint64_t id = 0;
  bool invalid = false;
  std::set<Stream *> streams;
};

struct Stream {
  Context *context = nullptr;
  uint32_t flags = 0;  // 1: not blocking
  int priority = 0;
  uint64_t id = 0;
  bool isDefault = false;
  std::deque<Item> queue;
  uint64_t issued = 0, completed = 0;
  std::shared_ptr<Capture> capture;
  std::vector<int> captureTips;  // nodes the next captured one depends on
};

struct Event {
  Context *context = nullptr;
  uint32_t flags = 0;
  bool recorded = false;
  Stream *stream = nullptr;
  uint64_t sequence = 0;
  std::shared_ptr<double> time = std::make_shared<double>(0.0);  // milliseconds, written when the record runs
  std::shared_ptr<Capture> capture;  // recorded inside a capture: the nodes it stands for
  std::vector<int> captureNodes;
};

struct LoadedModule {
  Context *context = nullptr;
  std::unique_ptr<ptx::Module> text;
  std::map<std::string, int> functionNumbers;
  std::map<std::string, std::unique_ptr<Kernel>> kernels;
  std::vector<CUdeviceptr> allocations;
};

struct Context {
  Device *device = nullptr;
  bool primary = false;
  uint64_t id = 0;
  uint32_t flags = 0;
  int broken = 0;  // sticky error
  std::unique_ptr<Stream> defaultStream;
  std::set<Stream *> streams;
  std::set<Event *> events;
  std::set<LoadedModule *> modules;
  std::set<Context *> peers;
};

struct Options {
  Checks checks;
  bool strict = true;  // findings no GPU would notice (races, uninitialised reads) break the context, too
  uint64_t noiseSeed = 0, scheduleSeed = 0;
  int capability = 80;
  int workers = 0;  // 0: as many as there are processors, at most 2
  int devices = 1;
  uint64_t memory = 8ull << 30;
  uint64_t instructionLimit = 1ull << 31;
  int64_t failAllocation = 0, failLaunch = 0;  // counts down to the call that fails; 0: none
  bool lost = false;
  bool counters = false;
  bool eager = false;  // streams run at once instead of as late as possible
  std::string registerTable;
};

struct HostRange {
  char *begin;
  size_t bytes;
  bool registered;
};

struct Driver {
  std::recursive_mutex mutex;
  bool initialized = false;
  Options options;
  std::vector<std::unique_ptr<Device>> devices;
  std::unordered_set<const void *> contexts, streams, events, modules, kernels, graphs, executables;
  std::map<char *, HostRange> pinned;
  std::map<std::string, int> registers;  // "kernel" or "kernel sm" -> registers per thread
  uint64_t nextId = 1, launches = 0, random = 0;
  std::string counterLog;
  std::set<Capture *> captures;

  static Driver &instance();
};

inline Driver &driver() { return Driver::instance(); }

// The calling thread's stack of contexts.
std::vector<Context *> &contextStack();
// The current context, or null. status becomes 201 without one, or its sticky error.
Context *currentContext(int &status);

// Null and the stream handles 1 and 2 are the context's default stream.
Stream *streamOf(void *handle, Context *context, int &status);

// --- queue.cpp
// Appends work to a stream, or to the graph its capture builds. After an error it was not appended.
int append(Stream &stream, Work work, std::vector<std::pair<Stream *, uint64_t>> after = {});
// Waits where an endless queue or eager streams ask for it; the context's error.
int settle(Stream &stream);
int enqueue(Stream &stream, Work work, std::vector<std::pair<Stream *, uint64_t>> after = {});
int runUntil(Stream &stream, uint64_t sequence);
int runAll(Context &context);
bool runOne(Context &context);  // any ready item; false if there was none
bool isIdle(const Stream &stream);

// --- graph.cpp
void destroyGraphs(Context &context);

// --- capture.cpp
int capture(Stream &stream, Work work);
int waitDuringCapture(Stream &stream, Event &event);
int recordDuringCapture(Stream &stream, Event &event);
// Whether a call that synchronises or allocates is allowed now; invalidates the captures it breaks.
int forbidDuringCapture(Context &context);
void invalidate(Capture &capture);

// --- memory.cpp
// A host address inside pinned memory the device may reach.
bool isPinned(const void *address, size_t bytes);
void *translate(Context &context, CUdeviceptr address, size_t bytes, bool write, const char *call);
void hostFinding(const std::string &what);

// --- module.cpp
int loadModule(Context &context, const char *image, LoadedModule *&module, std::string &log);
void unloadModule(LoadedModule *module);
struct LaunchRequest {
  Kernel *kernel;
  Dim grid, block;
  uint32_t dynamicShared;
  std::vector<uint8_t> parameters;
};
int checkLaunch(Context &context, const LaunchRequest &request);
int runLaunch(Context &context, const LaunchRequest &request);

uint64_t threadNumber();

// Locks the driver, turns exceptions into statuses, and asks for a working context.
template <class F>
int withDriver(F body) noexcept {
  try {
    std::lock_guard<std::recursive_mutex> lock(driver().mutex);
    if (!driver().initialized) return kNotInitialized;
    return body();
  } catch (const std::bad_alloc &) {
    return kOutOfMemory;
  } catch (...) {
    return kUnknown;
  }
}

template <class F>
int withContext(F body) noexcept {
  return withDriver([&]() -> int {
    int status = kSuccess;
    Context *context = currentContext(status);
    if (status) return status;
    return body(*context);
  });
}

}  // namespace limbeck

#endif
