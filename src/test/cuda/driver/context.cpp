// Initialisation, devices and contexts.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>

#include "driver/graph.h"
#include "driver/options.h"
#include "driver/profile.h"
#include "driver/state.h"

namespace limbeck {

Driver &Driver::instance() {
  // Never destroyed: the JVM may call until its very end, in any order.
  static Driver *driver = [] {
    auto *fresh = new Driver;
    readEnvironment(fresh->options);
    return fresh;
  }();
  return *driver;
}

std::vector<Context *> &contextStack() {
  thread_local std::vector<Context *> stack;
  return stack;
}

uint64_t threadNumber() {
  static std::atomic<uint64_t> next{1};
  thread_local uint64_t number = next.fetch_add(1);
  return number;
}

Context *currentContext(int &status) {
  std::vector<Context *> &stack = contextStack();
  if (stack.empty() || stack.back() == nullptr) {
    status = kInvalidContext;
    return nullptr;
  }
  Context *context = stack.back();
  if (!driver().contexts.count(context)) {
    status = kContextIsDestroyed;
    return nullptr;
  }
  if (driver().options.lost && !context->broken) context->broken = kUnknown;
  status = context->broken;
  return context;
}

namespace {

Device *deviceOf(int number) {
  Driver &d = driver();
  return number >= 0 && number < static_cast<int>(d.devices.size()) ? d.devices[number].get() : nullptr;
}

Context *createContext(Device &device, uint32_t flags, bool primary) {
  auto *context = new Context;
  context->device = &device;
  context->primary = primary;
  context->flags = flags;
  context->id = driver().nextId++;
  context->defaultStream = std::make_unique<Stream>();
  context->defaultStream->context = context;
  context->defaultStream->isDefault = true;
  driver().contexts.insert(context);
  driver().streams.insert(context->defaultStream.get());
  return context;
}

void destroyContext(Context *context) {
  for (Capture *running : std::set<Capture *>(driver().captures))
    if (running->origin->context == context) {
      delete running->graph;
      driver().captures.erase(running);
    }
  runAll(*context);
  destroyGraphs(*context);
  for (LoadedModule *module : std::set<LoadedModule *>(context->modules)) unloadModule(module);
  for (Stream *stream : context->streams) {
    driver().streams.erase(stream);
    delete stream;
  }
  for (Event *event : context->events) {
    driver().events.erase(event);
    delete event;
  }
  driver().streams.erase(context->defaultStream.get());
  driver().contexts.erase(context);
  for (const void *other : driver().contexts) const_cast<Context *>(static_cast<const Context *>(other))->peers.erase(context);
  // Its memory goes with it. One arena serves a device, so only the last context of a device empties it.
  bool last = true;
  for (const void *other : driver().contexts) last = last && static_cast<const Context *>(other)->device != context->device;
  if (last) context->device->arena->clear();
  delete context;
}

struct Attribute {
  int id;
  int value;
};

int attributeOf(int id, bool &known) {
  const Profile &p = profileOf(driver().options.capability);
  const Attribute attributes[] = {
      {1, 1024}, {2, 1024}, {3, 1024}, {4, 64},                         // threads per block; block x, y, z
      {5, INT32_MAX}, {6, 65535}, {7, 65535},                           // grid x, y, z
      {8, static_cast<int>(p.sharedPerBlock)}, {9, 65536}, {10, 32},    // shared per block, constant bytes, warp size
      {11, INT32_MAX}, {12, static_cast<int>(p.registers)}, {13, 1000000}, {14, 512}, {15, 1},
      {16, kMultiprocessors}, {17, 0}, {18, 0}, {19, 1}, {20, 0},       // multiprocessors, timeout, integrated, can map host memory, mode
      {31, 1}, {32, 0}, {33, 0}, {34, 0}, {35, 0}, {36, 1000000}, {37, 256},
      {38, static_cast<int>(p.l2Bytes)}, {39, static_cast<int>(p.threadsPerMultiprocessor)}, {40, 1}, {41, 1}, {50, 0},
      {75, p.capability / 10}, {76, p.capability % 10}, {78, 1}, {79, 1}, {80, 1},
      {81, static_cast<int>(p.sharedPerMultiprocessor)}, {82, static_cast<int>(p.registers)}, {83, 0}, {84, 0}, {85, 0}, {86, 0},
      {87, 32}, {88, 0}, {89, 0}, {90, 0}, {91, 0}, {95, 0}, {96, 0}, {97, static_cast<int>(p.sharedPerBlockOptin)},
      {98, 0}, {99, 0}, {100, 0}, {101, 0}, {102, 0}, {106, static_cast<int>(p.blocksPerMultiprocessor)}, {111, 1024}, {115, 1},
  };
  for (const Attribute &attribute : attributes)
    if (attribute.id == id) {
      known = true;
      return attribute.value;
    }
  known = false;
  return 0;
}

template <class F>
int withDevice(int number, F body) {
  return withDriver([&]() -> int {
    Device *device = deviceOf(number);
    return device ? body(*device) : static_cast<int>(kInvalidDevice);
  });
}

}  // namespace

}  // namespace limbeck

using namespace limbeck;

LIMBECK_API cuInit(unsigned flags) {
  if (flags != 0) return kInvalidValue;
  try {
    Driver &d = driver();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    if (d.initialized) return kSuccess;
    for (int i = 0; i < d.options.devices; ++i) {
      auto device = std::make_unique<Device>();
      device->number = i;
      device->arena = std::make_unique<Arena>(kDeviceBase + i * kDeviceStride, d.options.memory);
      d.devices.push_back(std::move(device));
    }
    d.initialized = true;
    return kSuccess;
  } catch (...) {
    return kOutOfMemory;
  }
}

LIMBECK_API cuDriverGetVersion(int *version) {
  if (!version) return kInvalidValue;
  *version = 12060;
  return kSuccess;
}

LIMBECK_API cuDeviceGet(int *device, int ordinal) {
  return withDevice(ordinal, [&](Device &) {
    if (!device) return kInvalidValue;
    *device = ordinal;
    return kSuccess;
  });
}

LIMBECK_API cuDeviceGetCount(int *count) {
  return withDriver([&] {
    if (!count) return kInvalidValue;
    *count = static_cast<int>(driver().devices.size());
    return kSuccess;
  });
}

LIMBECK_API cuDeviceGetName(char *name, int length, int device) {
  return withDevice(device, [&](Device &) {
    if (!name || length <= 0) return kInvalidValue;
    std::snprintf(name, static_cast<size_t>(length), "%s", "Software CUDA device (PTX interpreter)");
    return kSuccess;
  });
}

LIMBECK_API cuDeviceTotalMem_v2(size_t *bytes, int device) {
  return withDevice(device, [&](Device &d) {
    if (!bytes) return kInvalidValue;
    *bytes = d.arena->total();
    return kSuccess;
  });
}

LIMBECK_API cuDeviceGetAttribute(int *value, int attribute, int device) {
  return withDevice(device, [&](Device &) {
    if (!value) return kInvalidValue;
    bool known;
    *value = attributeOf(attribute, known);
    return known ? kSuccess : kInvalidValue;
  });
}

LIMBECK_API cuDeviceComputeCapability(int *major, int *minor, int device) {
  return withDevice(device, [&](Device &) {
    if (!major || !minor) return kInvalidValue;
    *major = driver().options.capability / 10;
    *minor = driver().options.capability % 10;
    return kSuccess;
  });
}

LIMBECK_API cuDeviceGetUuid(void *uuid, int device) {
  return withDevice(device, [&](Device &d) {
    if (!uuid) return kInvalidValue;
    char bytes[17] = "limbeck-software";
    bytes[15] = static_cast<char>(d.number);
    std::memcpy(uuid, bytes, 16);
    return kSuccess;
  });
}

LIMBECK_API cuDeviceGetPCIBusId(char *id, int length, int device) {
  return withDevice(device, [&](Device &d) {
    if (!id || length < 13) return kInvalidValue;
    std::snprintf(id, static_cast<size_t>(length), "0000:%02x:00.0", d.number + 1);
    return kSuccess;
  });
}

// Also the door for options: JCuda has no other call that takes a free text and needs neither context nor module.
LIMBECK_API cuDeviceGetByPCIBusId(int *device, const char *id) {
  constexpr const char *kPrefix = "limbeck:";
  if (!device || !id) return kInvalidValue;
  if (std::strncmp(id, kPrefix, std::strlen(kPrefix)) == 0) {
    *device = 0;
    try {
      std::lock_guard<std::recursive_mutex> lock(driver().mutex);
      return applyOption(std::string(id + std::strlen(kPrefix)));
    } catch (...) {
      return kUnknown;
    }
  }
  return withDriver([&] {
    int bus = 0;
    if (std::sscanf(id, "%*x:%x:", &bus) != 1 || !deviceOf(bus - 1)) return kInvalidValue;
    *device = bus - 1;
    return kSuccess;
  });
}

LIMBECK_API cuDeviceCanAccessPeer(int *can, int device, int peer) {
  return withDevice(device, [&](Device &) {
    if (!can) return kInvalidValue;
    if (!deviceOf(peer)) return kInvalidDevice;
    *can = device != peer;
    return kSuccess;
  });
}

LIMBECK_API cuDevicePrimaryCtxRetain(Context **context, int device) {
  return withDevice(device, [&](Device &d) {
    if (!context) return kInvalidValue;
    if (!d.primary) d.primary = createContext(d, d.primaryFlags, true);
    ++d.primaryUses;
    *context = d.primary;
    return kSuccess;
  });
}

LIMBECK_API cuDevicePrimaryCtxRelease_v2(int device) {
  return withDevice(device, [&](Device &d) {
    if (d.primaryUses == 0) return kInvalidContext;
    if (--d.primaryUses == 0) {
      destroyContext(d.primary);
      d.primary = nullptr;
    }
    return kSuccess;
  });
}

LIMBECK_API cuDevicePrimaryCtxReset_v2(int device) {
  return withDevice(device, [&](Device &d) {
    // Those who hold it must retain a fresh one: the old handle is dead.
    if (d.primary) destroyContext(d.primary);
    d.primary = nullptr;
    d.primaryUses = 0;
    return kSuccess;
  });
}

LIMBECK_API cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
  return withDevice(device, [&](Device &d) {
    d.primaryFlags = flags;
    return kSuccess;
  });
}

LIMBECK_API cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
  return withDevice(device, [&](Device &d) {
    if (!flags || !active) return kInvalidValue;
    *flags = d.primaryFlags;
    *active = d.primary != nullptr;
    return kSuccess;
  });
}

LIMBECK_API cuCtxCreate_v2(Context **context, unsigned flags, int device) {
  return withDevice(device, [&](Device &d) {
    if (!context) return kInvalidValue;
    *context = createContext(d, flags, false);
    contextStack().push_back(*context);
    return kSuccess;
  });
}

LIMBECK_API cuCtxDestroy_v2(Context *context) {
  return withDriver([&] {
    if (!driver().contexts.count(context)) return kInvalidContext;
    if (context->primary) return kInvalidContext;
    std::vector<Context *> &stack = contextStack();
    if (!stack.empty() && stack.back() == context) stack.pop_back();
    destroyContext(context);
    return kSuccess;
  });
}

LIMBECK_API cuCtxSetCurrent(Context *context) {
  return withDriver([&] {
    if (context && !driver().contexts.count(context)) return kInvalidContext;
    std::vector<Context *> &stack = contextStack();
    if (!stack.empty()) stack.pop_back();
    if (context) stack.push_back(context);
    return kSuccess;
  });
}

LIMBECK_API cuCtxGetCurrent(Context **context) {
  return withDriver([&] {
    if (!context) return kInvalidValue;
    *context = contextStack().empty() ? nullptr : contextStack().back();
    return kSuccess;
  });
}

LIMBECK_API cuCtxPushCurrent_v2(Context *context) {
  return withDriver([&] {
    if (!driver().contexts.count(context)) return kInvalidContext;
    contextStack().push_back(context);
    return kSuccess;
  });
}

LIMBECK_API cuCtxPopCurrent_v2(Context **context) {
  return withDriver([&] {
    std::vector<Context *> &stack = contextStack();
    if (stack.empty()) return kInvalidContext;
    if (context) *context = stack.back();
    stack.pop_back();
    return kSuccess;
  });
}

LIMBECK_API cuCtxGetDevice(int *device) {
  return withContext([&](Context &c) {
    if (!device) return kInvalidValue;
    *device = c.device->number;
    return kSuccess;
  });
}

LIMBECK_API cuCtxGetFlags(unsigned *flags) {
  return withContext([&](Context &c) {
    if (!flags) return kInvalidValue;
    *flags = c.flags;
    return kSuccess;
  });
}

LIMBECK_API cuCtxGetApiVersion(Context *context, unsigned *version) {
  return withDriver([&] {
    if (!version || (context && !driver().contexts.count(context))) return kInvalidValue;
    *version = 3020;
    return kSuccess;
  });
}

LIMBECK_API cuCtxGetId(Context *context, unsigned long long *id) {
  return withDriver([&] {
    if (!context) context = contextStack().empty() ? nullptr : contextStack().back();
    if (!id || !context || !driver().contexts.count(context)) return kInvalidContext;
    *id = context->id;
    return kSuccess;
  });
}

LIMBECK_API cuCtxSynchronize() {
  return withContext([&](Context &c) -> int {
    int status = forbidDuringCapture(c);
    return status ? status : runAll(c);
  });
}

LIMBECK_API cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  return withContext([&](Context &) {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return kSuccess;
  });
}

LIMBECK_API cuCtxEnablePeerAccess(Context *peer, unsigned flags) {
  return withContext([&](Context &c) {
    if (!driver().contexts.count(peer)) return kInvalidContext;
    if (flags) return kInvalidValue;
    if (peer->device == c.device) return kInvalidDevice;
    return c.peers.insert(peer).second ? kSuccess : kPeerAccessAlreadyEnabled;
  });
}

LIMBECK_API cuCtxDisablePeerAccess(Context *peer) {
  return withContext([&](Context &c) { return c.peers.erase(peer) ? kSuccess : kPeerAccessNotEnabled; });
}
