#include "device.h"

#include "report.h"

namespace limbeck {

namespace {

void *translate(Address address, size_t bytes, size_t alignment, int write) {
  if (address % alignment != 0) throw DeviceFault(kMisalignedAddress, "a device address is not aligned to its element type");
  void *host = limbeck_device_translate(address, bytes, write);
  if (host == nullptr) {
    throw DeviceFault(kIllegalAddress, write ? "writes outside a device allocation" : "reads outside a device allocation");
  }
  return host;
}

}  // namespace

const void *readable(Address address, size_t bytes, size_t alignment) { return translate(address, bytes, alignment, 0); }

void *writable(Address address, size_t bytes, size_t alignment) { return translate(address, bytes, alignment, 1); }

bool has_context() {
  void *context = nullptr;
  return cuCtxGetCurrent(&context) == kSuccess && context != nullptr;
}

int compute_capability() {
  constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
  int device = 0, major = 0, minor = 0;
  if (cuCtxGetDevice(&device) != kSuccess || cuDeviceGetAttribute(&major, kMajor, device) != kSuccess ||
      cuDeviceGetAttribute(&minor, kMinor, device) != kSuccess) {
    return 0;
  }
  return 10 * major + minor;
}

int fault_result(const char *name) {
  try {
    throw;
  } catch (const DeviceFault &fault) {
    report("vendor", name, "%s (CUresult %d)", fault.what(), fault.result);
    return fault.result;
  } catch (const std::bad_alloc &) {
    report("vendor", name, "no host memory for the work arrays");
    return kOutOfMemory;
  } catch (const std::exception &failure) {
    report("vendor", name, "%s", failure.what());
    return kUnknownError;
  } catch (...) {
    return kUnknownError;
  }
}

}  // namespace limbeck
