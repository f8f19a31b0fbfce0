#include "exec/host_calls.h"

#include <cstdio>

#include "exec/lanes.h"

namespace limbeck {

namespace {

struct Reader {
  Warp &w;
  int lane;

  // A string the kernel points at; it must end inside its allocation.
  std::string text(uint64_t address) const {
    const MemoryRange *range = w.launch->memory->find(address);
    if (!range) return "(a pointer that is not device memory)";
    std::string result;
    for (uint64_t at = address; at < range->end; ++at) {
      char c = *reinterpret_cast<const char *>(at + range->delta());
      if (!c) break;
      result += c;
    }
    return result;
  }

  template <class T>
  T argument(const uint32_t *places, int index) const {
    T value{};
    std::memcpy(&value, w.local + static_cast<size_t>(lane) * w.launch->kernel->localBytes + places[2 * index], sizeof(T));
    return value;
  }

  const char *memory(uint64_t address, size_t bytes) const {
    if ((address & kWindowMask) == kLocalWindow) {
      uint64_t offset = address & ~kWindowMask;
      if (offset + bytes > w.launch->kernel->localBytes) return nullptr;
      return w.local + static_cast<size_t>(lane) * w.launch->kernel->localBytes + offset;
    }
    const MemoryRange *range = w.launch->memory->find(address);
    return range && address + bytes <= range->end ? reinterpret_cast<const char *>(address + range->delta()) : nullptr;
  }
};

// One conversion of a printf format at a time, its argument taken from the packed argument block (8-byte slots for 8-byte values,
// 4-byte slots otherwise, each aligned to its size).
std::string format(const Reader &reader, const std::string &pattern, uint64_t arguments) {
  std::string result;
  uint64_t offset = 0;
  for (size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] != '%') {
      result += pattern[at];
      continue;
    }
    size_t end = pattern.find_first_of("diouxXfFeEgGaAcsp%", at + 1);
    if (end == std::string::npos) return result + pattern.substr(at);
    std::string spec = pattern.substr(at, end - at + 1);
    at = end;
    char kind = spec.back();
    if (kind == '%') {
      result += '%';
      continue;
    }
    bool real = std::string("fFeEgGaA").find(kind) != std::string::npos;
    bool wide = real || kind == 's' || kind == 'p' || spec.find('l') != std::string::npos;
    size_t bytes = wide ? 8 : 4;
    offset = (offset + bytes - 1) / bytes * bytes;
    const char *value = reader.memory(arguments + offset, bytes);
    offset += bytes;
    if (!value) return result + "(argument out of bounds)";
    char text[256];
    if (real) {
      double x;
      std::memcpy(&x, value, 8);
      std::snprintf(text, sizeof text, spec.c_str(), x);
    } else if (wide) {
      uint64_t x;
      std::memcpy(&x, value, 8);
      if (kind == 's') {
        result += reader.text(x);
        continue;
      }
      std::snprintf(text, sizeof text, spec.c_str(), static_cast<unsigned long>(x));
    } else {
      uint32_t x;
      std::memcpy(&x, value, 4);
      std::snprintf(text, sizeof text, spec.c_str(), x);
    }
    result += text;
  }
  return result;
}

void printFormatted(Warp &w, const Inst &i) {
  const uint32_t *places = reinterpret_cast<const uint32_t *>(i.more);
  for (uint32_t rest = w.active; rest; rest &= rest - 1) {
    Reader reader{w, __builtin_ctz(rest)};
    std::string pattern = reader.text(reader.argument<uint64_t>(places, 0));
    std::string line = format(reader, pattern, reader.argument<uint64_t>(places, 1));
    std::fputs(line.c_str(), stdout);
    int32_t conversions = 0;
    std::memcpy(w.local + static_cast<size_t>(reader.lane) * w.launch->kernel->localBytes + i.aux, &conversions, sizeof conversions);
  }
  std::fflush(stdout);
}

void failAssertion(Warp &w, const Inst &i) {
  const uint32_t *places = reinterpret_cast<const uint32_t *>(i.more);
  Reader reader{w, __builtin_ctz(w.active)};
  std::string message = reader.text(reader.argument<uint64_t>(places, 0));
  std::string file = reader.text(reader.argument<uint64_t>(places, 1));
  uint32_t line = reader.argument<uint32_t>(places, 2);
  fault(w, Check::assertion, 710, reader.lane, file + ":" + std::to_string(line) + ": assertion failed: " + message);
}

}  // namespace

Handler hostCall(const std::string &name) {
  if (name == "vprintf") return printFormatted;
  if (name == "__assertfail") return failAssertion;
  return nullptr;
}

}  // namespace limbeck
