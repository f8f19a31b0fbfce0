// Which device addresses are alive, and where on the host they lie.
#ifndef LIMBECK_EXEC_MEMORY_MAP_H
#define LIMBECK_EXEC_MEMORY_MAP_H

#include <cstdint>
#include <vector>

namespace limbeck {

struct MemoryRange {
  uint64_t begin = 0, end = 0;
  char *host = nullptr;
  uint8_t *written = nullptr;  // one byte per byte, null: not tracked
  bool readOnly = false;       // constant memory
  bool pinned = false;         // host memory the device may reach
  int64_t delta() const { return reinterpret_cast<int64_t>(host) - static_cast<int64_t>(begin); }
};

// Sorted by address. Only changed under the device lock, while no kernel runs.
class MemoryMap {
 public:
  const MemoryRange *find(uint64_t address) const;       // the range that holds the address, or null
  const MemoryRange *below(uint64_t address) const;      // the last range that begins at or before the address, or null
  void insert(const MemoryRange &range);
  bool erase(uint64_t begin);
  const std::vector<MemoryRange> &ranges() const { return ranges_; }

 private:
  std::vector<MemoryRange> ranges_;
};

}  // namespace limbeck

#endif
