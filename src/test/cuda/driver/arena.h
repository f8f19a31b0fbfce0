// Device memory: a reserved run of host memory behind addresses the host cannot use, handed out with guards and late reuse.
#ifndef LIMBECK_DRIVER_ARENA_H
#define LIMBECK_DRIVER_ARENA_H

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "exec/memory_map.h"

namespace limbeck {

class Arena {
 public:
  Arena(uint64_t base, uint64_t bytes);
  ~Arena();
  Arena(const Arena &) = delete;
  Arena &operator=(const Arena &) = delete;

  uint64_t allocate(uint64_t bytes, bool readOnly = false);  // 0: out of memory
  bool free(uint64_t address);                                // false: not the begin of an allocation
  bool wasFreed(uint64_t address) const;
  void addPinned(char *host, uint64_t bytes);
  void removePinned(char *host);
  void clear();

  uint64_t total() const { return bytes_; }
  uint64_t used() const { return used_; }
  MemoryMap &map() { return map_; }

 private:
  void release(uint64_t begin, uint64_t bytes);
  uint64_t take(uint64_t bytes);

  uint64_t base_, bytes_, used_ = 0, quarantined_ = 0;
  char *host_ = nullptr;
  uint8_t *written_ = nullptr;
  MemoryMap map_;
  std::map<uint64_t, uint64_t> free_;                        // begin -> bytes, guards included
  std::deque<std::pair<uint64_t, uint64_t>> quarantine_;     // freed and not yet reused
};

}  // namespace limbeck

#endif
