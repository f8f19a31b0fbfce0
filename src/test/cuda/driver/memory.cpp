// Allocation, pinned memory, copies and fills.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "check/findings.h"
#include "driver/state.h"
#include "host_api.h"

namespace limbeck {

void hostFinding(const std::string &what) {
  Finding finding;
  finding.check = Check::host;
  finding.onHost = true;
  finding.what = what;
  FindingLog::add(finding);
}

bool isPinned(const void *address, size_t bytes) {
  const char *begin = static_cast<const char *>(address);
  auto after = driver().pinned.upper_bound(const_cast<char *>(begin));
  if (after == driver().pinned.begin()) return false;
  const HostRange &range = std::prev(after)->second;
  return begin + bytes <= range.begin + range.bytes;
}

void *translate(Context &context, CUdeviceptr address, size_t bytes, bool write, const char *call) {
  // Any device's memory will do: unified addressing lets a copy name a peer.
  for (auto &device : driver().devices) {
    const MemoryRange *range = device->arena->map().find(address);
    if (!range) continue;
    if (address + bytes > range->end) {
      hostFinding(std::string(call) + ": " + std::to_string(bytes) + " bytes at offset " + std::to_string(address - range->begin) + " leave an allocation of " +
                  std::to_string(range->end - range->begin) + " bytes");
      return nullptr;
    }
    if (write && range->written) std::memset(range->written + (address - range->begin), 1, bytes);
    return reinterpret_cast<void *>(address + range->delta());
  }
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", address);
  bool freed = context.device->arena->wasFreed(address);
  hostFinding(std::string(call) + ": " + text + (freed ? " lies in memory that was freed" : " is not device memory"));
  return nullptr;
}

namespace {

bool failsByRequest(uint64_t bytes) {
  Options &options = driver().options;
  if (options.failAllocation > 0 && --options.failAllocation == 0) {
    hostFinding("allocation of " + std::to_string(bytes) + " bytes fails as asked for by fail-allocation");
    return true;
  }
  return false;
}

int allocate(Context &c, CUdeviceptr *address, size_t bytes) {
  if (!address || bytes == 0) return kInvalidValue;
  if (failsByRequest(bytes)) return kOutOfMemory;
  uint64_t begin = c.device->arena->allocate(bytes);
  if (!begin) return kOutOfMemory;
  *address = begin;
  return kSuccess;
}

// Where one end of a copy lies: pageable host memory, pinned host memory or a device.
struct End {
  void *host = nullptr;
  CUdeviceptr device = 0;
  bool isDevice = false;
};

End hostEnd(const void *p) { return {const_cast<void *>(p), 0, false}; }

End deviceEnd(CUdeviceptr p) { return {nullptr, p, true}; }

// Unified addressing: the pointer says itself what it is.
End anyEnd(CUdeviceptr p) {
  for (auto &device : driver().devices) {
    const MemoryRange *range = device->arena->map().find(p);
    if (range && !range->pinned) return deviceEnd(p);
  }
  return p >= kDeviceBase && p < kDeviceBase + 8 * kDeviceStride && !isPinned(reinterpret_cast<void *>(p), 1) ? deviceEnd(p) : hostEnd(reinterpret_cast<void *>(p));
}

int copyNow(Context &c, const End &to, const End &from, size_t bytes, const char *call) {
  const void *source = from.isDevice ? translate(c, from.device, bytes, false, call) : from.host;
  void *target = to.isDevice ? translate(c, to.device, bytes, true, call) : to.host;
  if (!source || !target) return kIllegalAddress;
  std::memmove(target, source, bytes);
  return kSuccess;
}

// The ranges must be alive when the call is made, and again when the copy runs.
int checkEnds(Context &c, const End &to, const End &from, size_t bytes, const char *call) {
  if ((!to.isDevice && !to.host) || (!from.isDevice && !from.host)) return kInvalidValue;
  if (from.isDevice && !translate(c, from.device, bytes, false, call)) return kInvalidValue;
  if (to.isDevice && !translate(c, to.device, bytes, false, call)) return kInvalidValue;
  return kSuccess;
}

int copySync(Context &c, End to, End from, size_t bytes, const char *call) {
  int status = forbidDuringCapture(c);
  if (status || bytes == 0) return status;
  status = checkEnds(c, to, from, bytes, call);
  if (status) return status;
  Stream &stream = *c.defaultStream;
  status = enqueue(stream, {Work::Kind::copy, [&c, to, from, bytes, call] { return copyNow(c, to, from, bytes, call); }});
  return status ? status : runUntil(stream, stream.issued);
}

int copyAsync(Context &c, void *handle, End to, End from, size_t bytes, const char *call) {
  int status = kSuccess;
  Stream *stream = streamOf(handle, &c, status);
  if (!stream) return status;
  if (bytes == 0) return kSuccess;
  status = checkEnds(c, to, from, bytes, call);
  if (status) return status;
  bool pageableSource = !from.isDevice && !isPinned(from.host, bytes), pageableTarget = !to.isDevice && !isPinned(to.host, bytes);
  if (stream->capture && (pageableSource || pageableTarget)) {
    // A replay would read or write memory that may be gone by then.
    invalidate(*stream->capture);
    return kStreamCaptureUnsupported;
  }
  if (pageableSource) {
    auto staged = std::make_shared<std::vector<char>>(static_cast<char *>(from.host), static_cast<char *>(from.host) + bytes);
    return enqueue(*stream, {Work::Kind::copy, [&c, to, staged, bytes, call] { return copyNow(c, to, hostEnd(staged->data()), bytes, call); }});
  }
  status = enqueue(*stream, {Work::Kind::copy, [&c, to, from, bytes, call] { return copyNow(c, to, from, bytes, call); }});
  // A copy to pageable memory has happened when the call returns.
  return status || !pageableTarget ? status : runUntil(*stream, stream->issued);
}

int fillNow(Context &c, CUdeviceptr address, uint32_t value, size_t width, size_t count, const char *call) {
  char *target = static_cast<char *>(translate(c, address, width * count, true, call));
  if (!target) return kIllegalAddress;
  if (width == 1) std::memset(target, static_cast<int>(value & 255), count);
  if (width == 2) std::fill_n(reinterpret_cast<uint16_t *>(target), count, static_cast<uint16_t>(value));
  if (width == 4) std::fill_n(reinterpret_cast<uint32_t *>(target), count, value);
  return kSuccess;
}

int fillOn(Context &c, Stream &stream, CUdeviceptr address, uint32_t value, size_t width, size_t count, const char *call) {
  if (count == 0) return kSuccess;
  if (address % width) return kInvalidValue;
  if (!translate(c, address, width * count, false, call)) return kInvalidValue;
  return enqueue(stream, {Work::Kind::fill, [&c, address, value, width, count, call] { return fillNow(c, address, value, width, count, call); }});
}

int fill(CUdeviceptr address, uint32_t value, size_t width, size_t count, const char *call) {
  return withContext([&](Context &c) { return fillOn(c, *c.defaultStream, address, value, width, count, call); });
}

int fillAsync(CUdeviceptr address, uint32_t value, size_t width, size_t count, void *handle, const char *call) {
  return withContext([&](Context &c) -> int {
    int status = kSuccess;
    Stream *stream = streamOf(handle, &c, status);
    return stream ? fillOn(c, *stream, address, value, width, count, call) : status;
  });
}

int pin(Context &, void *memory, size_t bytes, bool registered) {
  driver().pinned[static_cast<char *>(memory)] = {static_cast<char *>(memory), bytes, registered};
  for (auto &device : driver().devices) device->arena->addPinned(static_cast<char *>(memory), bytes);
  return kSuccess;
}

void unpin(void *memory) {
  driver().pinned.erase(static_cast<char *>(memory));
  for (auto &device : driver().devices) device->arena->removePinned(static_cast<char *>(memory));
}

int allocateHost(void **memory, size_t bytes) {
  return withContext([&](Context &c) -> int {
    if (!memory || bytes == 0) return kInvalidValue;
    int status = forbidDuringCapture(c);
    if (status) return status;
    if (failsByRequest(bytes)) return kOutOfMemory;
    constexpr size_t kPage = 4096;
    void *fresh = std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
    if (!fresh) return kOutOfMemory;
    std::memset(fresh, 0xa5, bytes);
    *memory = fresh;
    return pin(c, fresh, bytes, false);
  });
}

}  // namespace

}  // namespace limbeck

using namespace limbeck;

extern "C" __attribute__((visibility("default"))) void *limbeck_device_translate(unsigned long long address, size_t bytes, int write) {
  void *result = nullptr;
  withContext([&](Context &c) {
    result = translate(c, address, bytes, write != 0, "library access");
    return kSuccess;
  });
  return result;
}

LIMBECK_API cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  return withContext([&](Context &c) -> int {
    int status = forbidDuringCapture(c);
    return status ? status : allocate(c, address, bytes);
  });
}

LIMBECK_API cuMemAllocPitch_v2(CUdeviceptr *address, size_t *pitch, size_t width, size_t height, unsigned element) {
  return withContext([&](Context &c) -> int {
    if (!pitch || (element != 4 && element != 8 && element != 16)) return kInvalidValue;
    int status = forbidDuringCapture(c);
    *pitch = (width + 511) / 512 * 512;
    return status ? status : allocate(c, address, *pitch * height);
  });
}

LIMBECK_API cuMemFree_v2(CUdeviceptr address) {
  return withContext([&](Context &c) -> int {
    if (address == 0) return kSuccess;
    int status = forbidDuringCapture(c);
    if (status) return status;
    status = runAll(c);  // a free waits for the work that may use the memory
    if (status) return status;
    for (auto &device : driver().devices)
      if (device->arena->free(address)) return kSuccess;
    hostFinding(c.device->arena->wasFreed(address) ? "cuMemFree of memory that was freed before" : "cuMemFree of an address that no allocation begins at");
    return kInvalidValue;
  });
}

LIMBECK_API cuMemGetInfo_v2(size_t *available, size_t *total) {
  return withContext([&](Context &c) {
    if (available) *available = c.device->arena->total() - c.device->arena->used();
    if (total) *total = c.device->arena->total();
    return kSuccess;
  });
}

LIMBECK_API cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr address) {
  return withContext([&](Context &c) {
    const MemoryRange *range = c.device->arena->map().find(address);
    if (!range) return kNotFound;
    if (base) *base = range->begin;
    if (bytes) *bytes = range->end - range->begin;
    return kSuccess;
  });
}

LIMBECK_API cuMemAllocAsync(CUdeviceptr *address, size_t bytes, void *handle) {
  return withContext([&](Context &c) -> int {
    int status = kSuccess;
    Stream *stream = streamOf(handle, &c, status);
    if (!stream) return status;
    if (stream->capture) {
      // Real graphs hold memory nodes; a program that owns its memory has no use for them.
      invalidate(*stream->capture);
      return kStreamCaptureUnsupported;
    }
    return allocate(c, address, bytes);
  });
}

LIMBECK_API cuMemFreeAsync(CUdeviceptr address, void *handle) {
  return withContext([&](Context &c) -> int {
    int status = kSuccess;
    Stream *stream = streamOf(handle, &c, status);
    if (!stream) return status;
    if (stream->capture) {
      invalidate(*stream->capture);
      return kStreamCaptureUnsupported;
    }
    const MemoryRange *range = c.device->arena->map().find(address);
    if (!range || range->begin != address) return kInvalidValue;
    return enqueue(*stream, {Work::Kind::free, [&c, address]() -> int { return c.device->arena->free(address) ? kSuccess : kInvalidValue; }});
  });
}

LIMBECK_API cuMemHostAlloc(void **memory, size_t bytes, unsigned) { return allocateHost(memory, bytes); }

LIMBECK_API cuMemAllocHost_v2(void **memory, size_t bytes) { return allocateHost(memory, bytes); }

LIMBECK_API cuMemFreeHost(void *memory) {
  return withContext([&](Context &c) -> int {
    auto found = driver().pinned.find(static_cast<char *>(memory));
    if (found == driver().pinned.end() || found->second.registered) return kInvalidValue;
    int status = runAll(c);
    unpin(memory);
    std::free(memory);
    return status;
  });
}

LIMBECK_API cuMemHostRegister_v2(void *memory, size_t bytes, unsigned) {
  return withContext([&](Context &c) -> int {
    if (!memory || bytes == 0) return kInvalidValue;
    if (isPinned(memory, 1)) return kHostMemoryAlreadyRegistered;
    return pin(c, memory, bytes, true);
  });
}

LIMBECK_API cuMemHostUnregister(void *memory) {
  return withContext([&](Context &c) -> int {
    auto found = driver().pinned.find(static_cast<char *>(memory));
    if (found == driver().pinned.end() || !found->second.registered) return kHostMemoryNotRegistered;
    int status = runAll(c);
    unpin(memory);
    return status;
  });
}

LIMBECK_API cuMemHostGetDevicePointer_v2(CUdeviceptr *address, void *memory, unsigned flags) {
  return withContext([&](Context &) {
    if (!address || flags || !isPinned(memory, 1)) return kInvalidValue;
    *address = reinterpret_cast<CUdeviceptr>(memory);
    return kSuccess;
  });
}

LIMBECK_API cuMemHostGetFlags(unsigned *flags, void *memory) {
  return withContext([&](Context &) {
    if (!flags || !isPinned(memory, 1)) return kInvalidValue;
    *flags = 3;  // portable and mapped, as unified addressing makes all of them
    return kSuccess;
  });
}

LIMBECK_API cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
  return withContext([&](Context &c) { return copySync(c, deviceEnd(to), hostEnd(from), bytes, "cuMemcpyHtoD"); });
}

LIMBECK_API cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  return withContext([&](Context &c) { return copySync(c, hostEnd(to), deviceEnd(from), bytes, "cuMemcpyDtoH"); });
}

LIMBECK_API cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  // Not waited for: a copy within a device is asynchronous to the host.
  return withContext([&](Context &c) { return copyAsync(c, nullptr, deviceEnd(to), deviceEnd(from), bytes, "cuMemcpyDtoD"); });
}

LIMBECK_API cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  return withContext([&](Context &c) { return copySync(c, anyEnd(to), anyEnd(from), bytes, "cuMemcpy"); });
}

LIMBECK_API cuMemcpyPeer(CUdeviceptr to, Context *, CUdeviceptr from, Context *, size_t bytes) {
  return withContext([&](Context &c) { return copySync(c, deviceEnd(to), deviceEnd(from), bytes, "cuMemcpyPeer"); });
}

LIMBECK_API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, void *stream) {
  return withContext([&](Context &c) { return copyAsync(c, stream, deviceEnd(to), hostEnd(from), bytes, "cuMemcpyHtoDAsync"); });
}

LIMBECK_API cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, void *stream) {
  return withContext([&](Context &c) { return copyAsync(c, stream, hostEnd(to), deviceEnd(from), bytes, "cuMemcpyDtoHAsync"); });
}

LIMBECK_API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, void *stream) {
  return withContext([&](Context &c) { return copyAsync(c, stream, deviceEnd(to), deviceEnd(from), bytes, "cuMemcpyDtoDAsync"); });
}

LIMBECK_API cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, void *stream) {
  return withContext([&](Context &c) { return copyAsync(c, stream, anyEnd(to), anyEnd(from), bytes, "cuMemcpyAsync"); });
}

LIMBECK_API cuMemcpyPeerAsync(CUdeviceptr to, Context *, CUdeviceptr from, Context *, size_t bytes, void *stream) {
  return withContext([&](Context &c) { return copyAsync(c, stream, deviceEnd(to), deviceEnd(from), bytes, "cuMemcpyPeerAsync"); });
}

LIMBECK_API cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) { return fill(to, value, 1, count, "cuMemsetD8"); }

LIMBECK_API cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t count) { return fill(to, value, 2, count, "cuMemsetD16"); }

LIMBECK_API cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) { return fill(to, value, 4, count, "cuMemsetD32"); }

LIMBECK_API cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, void *stream) { return fillAsync(to, value, 1, count, stream, "cuMemsetD8Async"); }

LIMBECK_API cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, void *stream) { return fillAsync(to, value, 2, count, stream, "cuMemsetD16Async"); }

LIMBECK_API cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, void *stream) { return fillAsync(to, value, 4, count, stream, "cuMemsetD32Async"); }

LIMBECK_API cuPointerGetAttribute(void *data, int attribute, CUdeviceptr address) {
  return withDriver([&] {
    if (!data) return kInvalidValue;
    for (auto &device : driver().devices) {
      const MemoryRange *range = device->arena->map().find(address);
      if (!range) continue;
      switch (attribute) {
        case 2: *static_cast<unsigned *>(data) = range->pinned ? 1 : 2; return kSuccess;                      // memory type: host, device
        case 3: *static_cast<CUdeviceptr *>(data) = address; return kSuccess;                                  // device pointer
        case 9: *static_cast<int *>(data) = device->number; return kSuccess;                                   // device ordinal
        case 11: *static_cast<CUdeviceptr *>(data) = range->begin; return kSuccess;                            // range start
        case 12: *static_cast<size_t *>(data) = range->end - range->begin; return kSuccess;                    // range size
        default: return kNotSupported;
      }
    }
    return kInvalidValue;
  });
}
